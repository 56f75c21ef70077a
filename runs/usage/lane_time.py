"""Where the hours went: every second of every lane belongs to one part, as a fold over the events of a run.

The whole is the wall time from the first event to the last, once per lane. A part of a lane's time is what the lane
itself was doing: a job that runs while the model thinks is thinking time. Positions are seconds since the run began;
time in which no process played the run, or in which its clock stood still, is `paused`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Decided,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    FoldFinished,
    FoldStarted,
    JobFinished,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    MoveChosen,
    PlayContinued,
    PlayPaused,
    Resumed,
    RunEnded,
    RunForked,
    ToolFinished,
    ToolStarted,
    Waited,
)

Part = Literal["thinking", "job", "endpoint", "lease", "folds", "judging", "harness", "idle", "paused"]
PARTS: tuple[Part, ...] = get_args(Part)
NAMES: dict[Part, str] = {
    "thinking": "model thinking",
    "job": "job running",
    "endpoint": "waiting for the endpoint",
    "lease": "waiting for a lease",
    "folds": "other folds",
    "judging": "judging",
    "harness": "the harness itself",
    "idle": "idle",
    "paused": "paused or stopped",
}
LOSSES: tuple[Part, ...] = ("endpoint", "lease", "judging", "harness", "idle", "paused")
"""Parts in which neither the model nor a solution worked."""
MIN_STANDSTILL = 1.0
"""Seconds by which the wall clock must be ahead of the run's clock to count as a pause; less is rounding."""


@dataclass(frozen=True)
class Segment:
    """A stretch of one lane's time that belongs to one part."""

    start: float
    end: float
    part: Part


# Exact types, not `isinstance`, which is slow for pydantic models: a long run has 100,000 events.
_OF_REQUESTS = frozenset({ModelAsked, ModelReplied, ModelFailed, Waited})
_STOPS_CLOCK = frozenset({PlayPaused, PlayContinued})
_OF_TOOLS = frozenset({ToolStarted, ToolFinished})
_OF_ATTEMPTS = frozenset({AttemptStarted, AttemptEnded})
_OF_EVALUATIONS = frozenset({EvaluationStarted, JobFinished, FoldStarted, FoldFinished, EvaluationFinished, Decided})


@dataclass
class _LaneClock:
    """What one lane is doing, and its segments so far."""

    segments: list[Segment] = field(default_factory=list)
    since: float = 0.0
    has_begun: bool = False
    has_played: bool = False
    attempt: int = 0
    asks: bool = False
    is_down: bool = False
    tool: ToolStarted | None = None
    evaluations: dict[str, str] = field(default_factory=dict)
    """Open evaluations and the job of each that runs; empty once it ended."""
    folds: set[tuple[str, str]] = field(default_factory=set)
    selects: bool = False
    is_over: bool = False

    def doing(self) -> Part:
        """The part that the time from now on belongs to, until the next event of the lane."""
        if not self.has_begun or (self.is_over and not self.attempt):
            return "idle"
        if self.asks:
            return "endpoint" if self.is_down else "thinking"
        if self.tool is not None and self.tool.job and self.tool.name != "evaluate":
            return "job"
        if self.tool is not None and self.tool.name not in ("evaluate", "wait", "bash"):
            return "harness"
        return self._evaluating() or ("job" if self.tool is not None and self.tool.name == "wait" else "harness")

    def doing_until(self, event: Event) -> Part:
        """What the time until this event belongs to: a lane without an attempt is idle, unless the next one begins."""
        part = self.doing()
        if part != "harness" or self.attempt or not self.has_played:
            return part
        return part if isinstance(event, MoveChosen | AttemptStarted) else "idle"

    def _evaluating(self) -> Part | None:
        if any(self.evaluations.values()):
            return "job"
        if self.folds:
            return "folds"
        return "judging" if self.evaluations or self.selects else None

    def spend(self, until: float, part: Part) -> None:
        """Give the time up to a position to a part."""
        if until <= self.since:
            return
        last = self.segments[-1] if self.segments else None
        if last and last.part == part:
            self.segments[-1] = Segment(last.start, until, part)
        else:
            self.segments.append(Segment(self.since, until, part))
        self.since = until

    def give_to_lease(self, seconds: float) -> None:
        """The last seconds were spent waiting for a lease, as far as the lane did nothing else in them."""
        begin, taken = self.since - seconds, []
        while self.segments and self.segments[-1].end > begin:
            taken.append(self.segments.pop())
        for segment in reversed(taken):
            if segment.part not in ("job", "folds", "judging", "harness"):
                self._put(segment)
                continue
            cut = max(segment.start, begin)
            self._put(Segment(segment.start, cut, segment.part))
            self._put(Segment(cut, segment.end, "lease"))

    def _put(self, segment: Segment) -> None:
        last = self.segments[-1] if self.segments else None
        if segment.end <= segment.start:
            return
        if last and last.part == segment.part:
            self.segments[-1] = Segment(last.start, segment.end, last.part)
        else:
            self.segments.append(segment)

    def apply(self, event: Event) -> None:
        """Note what the lane does from this event on."""
        self.has_begun = True
        kind = type(event)
        if kind in _OF_REQUESTS:
            self._talk(event)
        elif kind in _OF_TOOLS:
            self.tool = event if isinstance(event, ToolStarted) else None
        elif kind in _OF_EVALUATIONS:
            self._evaluate(event)
        elif kind in _OF_ATTEMPTS:
            self.attempt = event.attempt if kind is AttemptStarted else 0
            self.has_played = True
            self.asks, self.is_down, self.tool = False, False, None
        elif kind is RunEnded:
            self.attempt, self.is_over = 0, True

    def _talk(self, event: Event) -> None:
        if isinstance(event, Waited):
            if event.request:
                self.asks, self.is_down = True, False
            elif event.seconds:
                self.give_to_lease(event.seconds)
            return
        self.asks = isinstance(event, ModelAsked) or (isinstance(event, ModelFailed) and event.again_in is not None)
        self.is_down = isinstance(event, ModelFailed)

    def _evaluate(self, event: Event) -> None:
        if isinstance(event, EvaluationStarted):
            self.evaluations[event.evaluation] = event.job
        elif isinstance(event, JobFinished):
            for name, job in self.evaluations.items():
                if job and (event.job == job or event.job.startswith(f"{job}-s")):
                    self.evaluations[name] = ""
        elif isinstance(event, FoldStarted):
            self.folds.add((event.evaluation, event.fold))
        elif isinstance(event, FoldFinished):
            self.folds.discard((event.evaluation, event.fold))
        elif isinstance(event, EvaluationFinished):
            self.evaluations.pop(event.evaluation, None)
        elif isinstance(event, Decided):
            self.selects = event.step != "record"


@dataclass
class LaneTimes:
    """The time of every lane by part, updated event by event."""

    lanes: dict[int, _LaneClock] = field(default_factory=dict)
    position: float = 0.0
    """Seconds from the first event to the last one applied."""
    _mono: float = 0.0
    _at: datetime | None = None
    _is_paused: bool = False

    def apply(self, event: Event) -> None:
        """Attribute the time up to one more event."""
        self._move(event)
        kind = type(event)
        if kind is Resumed:
            for each in self.lanes.values():
                each.spend(self.position, "harness")
                each.asks, each.is_down, each.tool = False, False, None
        lane = self.lanes.get(event.lane)
        if lane is None:
            lane = self.lanes[event.lane] = _LaneClock()
        lane.spend(self.position, lane.doing_until(event))
        lane.apply(event)
        if kind is RunEnded:
            for each in self.lanes.values():
                each.spend(self.position, each.doing_until(event))
                each.attempt, each.is_over, each.asks, each.tool = 0, True, False, None

    def _move(self, event: Event) -> None:
        kind = type(event)
        if self._is_paused or kind in _STOPS_CLOCK:
            self._stand_still(event)
            return
        ran = max(0.0, event.mono - (0.0 if kind is Resumed else self._mono))
        at = _moment(event.at)
        standstill = (at - self._at).total_seconds() - ran if at and self._at else 0.0
        if standstill >= MIN_STANDSTILL and kind is not RunForked:  # that is not time of the fork
            for lane in self.lanes.values():
                lane.spend(self.position, lane.doing())
                lane.spend(self.position + standstill, "paused")
            self.position += standstill
        self.position += ran
        self._mono, self._at = event.mono, at

    def _stand_still(self, event: Event) -> None:
        """A person's pause: from its event on no lane does anything, whether or not the run's clock stands still."""
        ran = event.mono - (0.0 if isinstance(event, Resumed) else self._mono)
        at = _moment(event.at)
        self.position += max(0.0, ran, (at - self._at).total_seconds() if at and self._at else 0.0)
        for lane in self.lanes.values():
            lane.spend(self.position, "paused" if self._is_paused else lane.doing())
        self._is_paused = not isinstance(event, PlayContinued | Resumed)
        self._mono, self._at = event.mono, at

    def segments(self, lane: int) -> Iterator[Segment]:
        """The segments of a lane, from the beginning of the run to the last event of any lane."""
        clock = self.lanes[lane]
        yield from clock.segments
        if self.position > clock.since:
            yield Segment(clock.since, self.position, clock.doing() if clock.attempt else "idle")

    def totals(self, lane: int | None = None) -> dict[Part, float]:
        """Seconds by part, of one lane or of all."""
        totals = dict.fromkeys(PARTS, 0.0)
        for number in self.lanes if lane is None else (lane,):
            for segment in self.segments(number):
                totals[segment.part] += segment.end - segment.start
        return totals

    @property
    def whole(self) -> float:
        """The seconds that the parts of all lanes sum to."""
        return self.position * len(self.lanes)

    def largest_losses(self, count: int = 3) -> list[tuple[Part, float]]:
        """The parts in which most time was lost, with their seconds over all lanes."""
        return largest_losses(self.totals(), count)


def largest_losses(totals: Mapping[Part, float], count: int = 3) -> list[tuple[Part, float]]:
    """The losses among these seconds by part, the largest first."""
    losses = [(part, totals[part]) for part in LOSSES if totals[part] > 0]
    return sorted(losses, key=lambda pair: -pair[1])[:count]


def lane_times(events: Iterable[Event]) -> LaneTimes:
    """Where the hours of a run went, from its events, oldest first."""
    times = LaneTimes()
    for event in events:
        times.apply(event)
    return times


def bins(segments: Iterable[Segment], end: float, count: int) -> list[dict[Part, float]]:
    """Equal stretches of time from 0 to `end`, each with its seconds by part."""
    width = end / count if count else 0.0
    binned: list[dict[Part, float]] = [{} for _ in range(count)]
    for segment in segments:
        if width <= 0:
            break
        first = min(count - 1, int(segment.start / width))
        if segment.end <= (first + 1) * width:  # nearly all of them
            binned[first][segment.part] = binned[first].get(segment.part, 0.0) + segment.end - segment.start
            continue
        for index in range(first, count):
            inside = min(segment.end, (index + 1) * width) - max(segment.start, index * width)
            if inside <= 0:
                break
            binned[index][segment.part] = binned[index].get(segment.part, 0.0) + inside
    return binned


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
