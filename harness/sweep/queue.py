"""Which run a free worker takes next: a pure policy, and the queue of one process around it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.sweep.types import Row

DEFAULT_HOURS = 24.0
_SETTINGS = ("endpoint", "model", "cost", "attempts", "turns", "parallel")
"""Settings that decide how long a run takes, besides its hours."""
Alike = tuple[str, ...]
"""What runs have in common that take about equally long."""


def alike(row: Row) -> Alike:
    """The task, model and budgets of a row."""
    return row.task_id, row.base_url, str(row.hours), *(row.settings.get(name, "") for name in _SETTINGS)


def in_order(rows: Sequence[Row], known_hours: Mapping[Alike, float], played: Mapping[str, float]) -> list[Row]:
    """Rows by the time they still need, longest first, so that no long run begins when the others end.

    What runs like it took (`known_hours`) is expected again; otherwise the budget of hours. `played` are the hours of
    earlier starts, by key. Equal rows go seed by seed, so that whole seeds are complete early.
    """
    place = {row.key: number for number, row in enumerate(rows)}

    def rank(row: Row) -> tuple[float, int, int]:
        left = expected_hours(row, known_hours) - played.get(row.key, 0.0)
        return -left, row.seed, place[row.key]

    return sorted(rows, key=rank)


def expected_hours(row: Row, known_hours: Mapping[Alike, float]) -> float:
    """How long a run will take in all."""
    budget = row.hours if row.hours is not None else DEFAULT_HOURS
    return min(budget, known_hours.get(alike(row), budget))


@dataclass
class Queue:
    """The rows that wait, each not before its time. Safe for threads."""

    rows: list[Row]
    known_hours: dict[Alike, float] = field(default_factory=dict)
    played: dict[str, float] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, now: float) -> Row | None:
        """The next row that may start now; None if there is none at the moment."""
        with self.changed:
            free = [row for row in self.rows if row.key not in self.taken]
            for row in in_order(free, self.known_hours, self.played):
                if self.not_before.get(row.key, 0.0) <= now:
                    self.taken.add(row.key)
                    return row
            return None

    def finish(self, row: Row, hours: float | None = None) -> None:
        """The row is over for this process; `hours` is how long runs like it take, if it shows that."""
        with self.changed:
            self.rows = [one for one in self.rows if one.key != row.key]
            if hours is not None:
                self.known_hours[alike(row)] = max(hours, self.known_hours.get(alike(row), 0.0))
            self.changed.notify_all()

    def put_back(self, row: Row, not_before: float, played: float = 0.0) -> None:
        """Put a row back into the queue; `played` are its hours so far, over all its starts."""
        with self.changed:
            self.taken.discard(row.key)
            self.played[row.key] = played
            self.not_before[row.key] = not_before
            self.changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for a change of the queue, at most for `seconds`."""
        with self.changed:
            self.changed.wait(seconds)

    @property
    def is_empty(self) -> bool:
        """Whether no row is left for this process."""
        return not self.rows
