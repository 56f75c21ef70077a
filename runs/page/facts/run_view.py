"""One run as the page sees it: folds over its journal that are brought up to date while the run is written.

Long texts stay on disk; a whole event is read when it is shown. Several threads of the server share one view.
"""

from __future__ import annotations

import json
import threading
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EvaluationFinished,
    Event,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    MoveChosen,
    Warned,
)
from runs.follow import JournalFollower
from runs.page.facts.rows import Row, row_of
from runs.serialization import JournalError
from runs.state import State
from runs.usage.cache import METERED, CacheMeter
from runs.usage.job_use import COUNTED, JobUse
from runs.usage.lane_time import LaneTimes
from runs.usage.money import PRICED, Money
from runs.usage.repair_steps import count_repair_steps

BATCH = 256
"""Events that are read before the folds see them."""
_NOTED = frozenset({Warned, MoveChosen, ModelFailed, AttemptStarted, AttemptEnded, EvaluationFinished})


class RunView:
    """The folds of one run. Call `refresh` before reading; hold `lock` while reading several of them together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.journal = JournalFollower(folder)
        self.state = State()
        self.times = LaneTimes()
        self.money = Money()
        self.job_use = JobUse()
        self.cache = CacheMeter()
        self.repairs: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.first_warned: dict[str, int] = {}
        self.newer: Counter[str] = Counter()
        """Fields and kinds that a newer version wrote."""
        self.moves: dict[int, MoveChosen] = {}
        """How each attempt's move was chosen."""
        self.failures = 0
        self.rows: list[Row] = []
        self.positions: dict[str, float] = {}
        """When each evaluation was over, in seconds since the run began."""
        self.attempt_seqs: dict[int, int] = {}
        """The event that started each attempt."""
        self.spans: dict[int, tuple[float, float | None]] = {}
        """When each attempt began and ended, in seconds since the run began."""
        self._turn_rows = array("L")
        self._lanes = array("H")
        self._turns = array("L")
        self._lane_turns: dict[int, int] = {}

    def refresh(self, limit: int = 0) -> int:
        """Read what was written since the last call, at most `limit` events (0: all); returns how many there were.

        Raises `JournalError` if the journal cannot be read at all.
        """
        with self.lock:
            count, events = 0, self.journal.read_new()
            while batch := list(islice(events, min(BATCH, limit - count) if limit else BATCH)):
                self._apply(batch)
                count += len(batch)
            return count

    def _apply(self, batch: list[Event]) -> None:
        """Apply events, one fold after the other: its code and data stay in the processor's cache."""
        for event in batch:
            kind = type(event)
            if kind in COUNTED:
                self.job_use.apply(event)
            if kind in PRICED:
                self.money.apply(event)
            if kind in METERED:
                self.cache.apply(event)
        positions = []
        for event in batch:
            self.times.apply(event)
            positions.append(self.times.position)
        for event, position in zip(batch, positions, strict=True):
            self._list(event, position)

    def _list(self, event: Event, position: float) -> None:
        """Apply an event that happened at `position` to the state, and add its row."""
        self.state.apply(event)
        if type(event) is ModelReplied:
            self._lane_turns[event.lane] = self.state.turns
            self._turn_rows.append(len(self.rows))
            self.repairs += count_repair_steps([event])
        self._lanes.append(event.lane)
        self._turns.append(self._lane_turns.get(event.lane, 0))
        if type(event) in _NOTED or event.model_extra:
            self._note(event, position)
        row = row_of(event, self.state, position / 3600)
        if row is not None:
            self.rows.append(row)

    def _note(self, event: Event, position: float) -> None:
        if isinstance(event, Warned):
            self.warnings[event.message] += 1
            self.first_warned.setdefault(event.message, self.state.turns)
        elif isinstance(event, MoveChosen):
            self.moves[event.next] = event
        elif isinstance(event, ModelFailed):
            self.failures += 1
        elif isinstance(event, AttemptStarted):
            self.attempt_seqs[event.attempt] = event.seq
            self.spans[event.attempt] = (position, None)
        elif isinstance(event, AttemptEnded):
            self.spans[event.attempt] = (self.spans.get(event.attempt, (0.0, None))[0], position)
        elif isinstance(event, EvaluationFinished):
            self.positions[event.evaluation] = position
        for name in event.unknown_fields if event.model_extra else ():
            if name != "blobs":
                self.newer[f"{event.kind}.{name}"] += 1  # type: ignore[attr-defined]

    @property
    def turns(self) -> int:
        """How many replies there are."""
        return len(self._turn_rows)

    def turn_row(self, number: int) -> Row:
        """The row of a turn, counted from 1. Raises `JournalError` if there is none."""
        if not 1 <= number <= self.turns:
            raise JournalError(f"{self.folder.name} has no turn {number}; it has {self.turns}")
        return self.rows[self._turn_rows[number - 1]]

    def turn_of(self, seq: int) -> int:
        """The turn of its lane that an event belongs to (0: before the first)."""
        return self._turns[seq] if 0 <= seq < len(self._turns) else 0

    def lane_events(self, lane: int, first: int) -> Iterator[Event]:
        """Whole events of one lane, from event `first` on."""
        for seq in range(first, len(self._lanes)):
            if self._lanes[seq] == lane:
                yield self.journal.read(seq)

    def events_of_turn(self, number: int) -> list[Event]:
        """The reply of a turn and what followed it in its lane, up to the next request."""
        row = self.turn_row(number)
        events: list[Event] = []
        for event in self.lane_events(row.lane, row.seq):
            if events and (isinstance(event, ModelReplied | AttemptStarted | ModelAsked) or len(events) > 400):
                break
            events.append(event)
        return events

    def events_before_turn(self, number: int) -> list[Event]:
        """The events of the turn's lane from the start of its attempt to the request that the turn answers."""
        row = self.turn_row(number)
        events = []
        for event in self.lane_events(row.lane, self.attempt_seqs.get(row.attempt, 0)):
            if event.seq >= row.seq:
                break
            events.append(event)
        asked = [place for place, event in enumerate(events) if isinstance(event, ModelAsked)]
        return events[: asked[-1] + 1] if asked else events

    def rows_json(self, first: int = 0) -> str:
        """The rows from the `first` on, as JSON."""
        with self.lock:
            return json.dumps([row.as_list() for row in self.rows[first:]], ensure_ascii=False, separators=(",", ":"))

    def whole(self, event: Event | None) -> Any:
        """An event that a fold kept, with its whole texts."""
        return None if event is None else self.journal.read(event.seq)
