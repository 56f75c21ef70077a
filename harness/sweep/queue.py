"""Which run a free worker takes next: a pure policy, and the queue of one process around it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.sweep.types import Row

DEFAULT_HOURS = 24.0


def in_order(rows: Sequence[Row], known_hours: Mapping[str, float]) -> list[Row]:
    """Rows by expected length, longest first, so that no long run begins when the others end.

    What runs of the same task took (`known_hours`, by task) is expected again; otherwise the budget of hours. Rows of
    equal length go seed by seed, so that whole seeds are complete early.
    """
    place = {row.key: number for number, row in enumerate(rows)}

    def rank(row: Row) -> tuple[float, int, int]:
        return -expected_hours(row, known_hours), row.seed, place[row.key]

    return sorted(rows, key=rank)


def expected_hours(row: Row, known_hours: Mapping[str, float]) -> float:
    """How long a run will take."""
    budget = row.hours if row.hours is not None else DEFAULT_HOURS
    return min(budget, known_hours.get(row.task_id, budget))


@dataclass
class Queue:
    """The rows that wait, each not before its time. Safe for threads."""

    rows: list[Row]
    known_hours: dict[str, float] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, now: float) -> Row | None:
        """The next row that may start now; None if there is none at the moment."""
        with self.changed:
            for row in in_order([row for row in self.rows if row.key not in self.taken], self.known_hours):
                if self.not_before.get(row.key, 0.0) <= now:
                    self.taken.add(row.key)
                    return row
            return None

    def finish(self, row: Row, hours: float | None = None) -> None:
        """The row is over for this process; `hours` is what it took, if that is known."""
        with self.changed:
            self.rows = [one for one in self.rows if one.key != row.key]
            if hours is not None:
                self.known_hours[row.task_id] = max(hours, self.known_hours.get(row.task_id, 0.0))
            self.changed.notify_all()

    def put_back(self, row: Row, not_before: float) -> None:
        """The row waits again."""
        with self.changed:
            self.taken.discard(row.key)
            self.not_before[row.key] = not_before
            self.changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until something has changed, at most so long."""
        with self.changed:
            self.changed.wait(seconds)

    @property
    def is_empty(self) -> bool:
        """Whether no row is left for this process."""
        return not self.rows
