"""Where the seconds of a day go: a discrete-event model of a run, with the code's own planning functions.

    python -m tests.benchmarks.day                  a table of variants, over 24 hours
    python -m tests.benchmarks.day --check          also play a short real run and compare it with the model

The model thinks `think` seconds a turn, runs three jobs of `low` to `high` seconds an attempt and evaluates once near
its end. Half of the evaluations are promising and run on the other folds as well. Slots are jobs that run at once.
Interactive jobs go before first folds, and those before other folds, as leases do.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.evaluation.final_plan import MAX_SHARE, SLACK_SECONDS, plan_final
from harness.evaluation.fold_plan import affordable
from runs.run_settings import RunSettings
from sandboxes.leases.amounts import Priority

SETTINGS = RunSettings()
WAIT_SECONDS = 120.0
"""How long `evaluate` waits by default before it returns the id of a running evaluation."""


@dataclass(frozen=True)
class Day:
    """The habits of the model and the machine, in seconds. `overhead` is the harness's time for an evaluation beside
    its job, `fold_overhead` that for each other fold."""

    hours: float = 24.0
    think: float = 20.0
    turns: int = 20
    low: float = 60.0
    high: float = 300.0
    evaluation: float = 120.0
    folds: int = 5
    rows: int = 2000
    promising: float = 0.5
    overhead: float = 1.0
    fold_overhead: float = 1.0
    wait: float = WAIT_SECONDS
    expected: int = SETTINGS.expected_evaluations


@dataclass(frozen=True)
class Variant:
    """How the harness works: lanes, slots, and whether folds run in turn, at once, or while the model thinks."""

    name: str
    lanes: int = 1
    slots: int = 1
    folds: Literal["in turn", "at once", "background"] = "at once"


VARIANTS = (
    Variant("before: one lane, folds in turn inside the call", folds="in turn"),
    Variant("one lane, folds inside the call", slots=1),
    Variant("one lane, 2 slots", slots=2),
    Variant("one lane, 4 slots", slots=4),
    Variant("one lane, 1 slot, evaluate does not block", folds="background"),
    Variant("2 lanes, 1 slot", 2, 1, "background"),
    Variant("2 lanes, 2 slots", 2, 2, "background"),
    Variant("4 lanes, 4 slots", 4, 4, "background"),
)

Step = tuple[Literal["sleep", "job", "join"], float, object]
Process = Generator[Step, None, None]


@dataclass
class Task:
    """A process of the simulation, and the processes that wait for its end."""

    process: Process
    is_done: bool = False
    waiting: list[Task] = field(default_factory=list)


class Clock:
    """Runs processes in simulated time; each yields `("sleep", seconds, None)`, `("job", seconds, priority)` or
    `("join", seconds, task)`: wait for a task's end, for at most so many seconds."""

    def __init__(self, slots: int, end: float) -> None:
        self.now, self.end, self.free, self.slots = 0.0, end, slots, slots
        self.no_job = 0.0
        self._count = 0
        self._events: list[tuple[float, int, Task, bool]] = []
        self._queue: list[tuple[int, int, float, Task]] = []
        self._joins: dict[int, int] = {}

    def start(self, process: Process) -> Task:
        """Start a process now."""
        task = Task(process)
        self._at(0.0, task)
        return task

    def run(self) -> None:
        """Run until the end of the day."""
        while self._events and self._events[0][0] <= self.end:
            at, number, task, ends_job = heapq.heappop(self._events)
            self._advance(at)
            if ends_job:
                self.free += 1
                self._give()
            if self._joins.get(id(task), number) == number:
                self._joins.pop(id(task), None)
                self._step(task)
        self._advance(self.end)

    def _advance(self, at: float) -> None:
        self.no_job += (at - self.now) * (self.free == self.slots)
        self.now = at

    def _at(self, delay: float, task: Task, ends_job: bool = False) -> int:
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, task, ends_job))
        return self._count

    def _step(self, task: Task) -> None:
        try:
            kind, seconds, what = next(task.process)
        except StopIteration:
            task.is_done = True
            for other in task.waiting:
                if id(other) in self._joins:
                    self._joins[id(other)] = self._at(0.0, other)
            return
        if kind == "job":
            assert isinstance(what, Priority)
            self._count += 1
            heapq.heappush(self._queue, (int(what), self._count, seconds, task))
            self._give()
        elif kind == "join":
            assert isinstance(what, Task)
            self._joins[id(task)] = self._at(0.0 if what.is_done else seconds, task)
            what.waiting.append(task)
        else:
            self._at(seconds, task)

    def _give(self) -> None:
        while self.free and self._queue:
            *_, seconds, task = heapq.heappop(self._queue)
            self.free -= 1
            self._at(seconds, task, ends_job=True)


@dataclass
class Result:
    """The outcome of a day, in counts and seconds. `no_job` is the share of time in which no job runs."""

    attempts: int = 0
    evaluations: int = 0
    promising: int = 0
    fold_seconds: float = 0.0
    no_job: float = 0.0
    kept_back: float = 0.0
    used: float = 0.0


def simulate(variant: Variant, day: Day, seed: int = 0) -> Result:
    """Play one day."""
    total = 3600 * day.hours
    most = MAX_SHARE * total
    allowance = SETTINGS.fold_share * total
    folds, _ = affordable(day.folds, day.rows, day.evaluation, allowance, day.expected)
    plan = plan_final([day.evaluation] * SETTINGS.finalists, folds, most - SLACK_SECONDS)
    result = Result(kept_back=min(most, plan.seconds + SLACK_SECONDS))
    draw = random.Random(seed)
    clock = Clock(variant.slots, total - result.kept_back)

    def other_fold() -> Process:
        yield "job", day.evaluation, Priority.OTHER_FOLDS
        yield "sleep", day.fold_overhead, None

    def evaluation() -> Process:
        yield "sleep", day.overhead, None
        yield "job", day.evaluation, Priority.FIRST_FOLD
        result.evaluations += 1
        more = (folds - 1) * day.evaluation
        if not folds or draw.random() >= day.promising or result.fold_seconds + more > allowance:
            return
        result.promising += 1
        result.fold_seconds += more
        running: list[Task] = []
        for _ in range(folds - 1):
            running.append(clock.start(other_fold()))
            if variant.folds == "in turn":
                yield "join", float("inf"), running[-1]
        for task in running:
            yield "join", float("inf"), task

    def lane() -> Process:
        jobs = {day.turns // 4, day.turns // 2, 3 * day.turns // 4}
        last: Task | None = None
        while True:
            for turn in range(day.turns):
                yield "sleep", day.think, None
                if turn in jobs:
                    yield "job", draw.uniform(day.low, day.high), Priority.INTERACTIVE
                elif turn == day.turns - 3:
                    if last is not None:  # a lane has one open evaluation at most
                        yield "join", float("inf"), last
                    last = clock.start(evaluation())
                    yield "join", day.wait if variant.folds == "background" else float("inf"), last
            result.attempts += 1

    for _ in range(variant.lanes):
        clock.start(lane())
    clock.run()
    result.no_job = clock.no_job / clock.end
    result.used = final_seconds(day, plan.finalists, plan.fresh_folds, variant.slots)
    return result


def final_seconds(day: Day, finalists: int, fresh_folds: int, slots: int) -> float:
    """How long the final selection takes: fresh folds of one finalist run at once, as far as there are slots."""
    rounds = -(-fresh_folds // max(1, slots))
    return finalists * (rounds * day.evaluation + fresh_folds * day.fold_overhead)


def table(day: Day) -> Iterator[str]:
    """The variants, a line each."""
    yield f"{day}"
    yield f"{'variant':50s} attempts  evaluations  no job runs  final selection: kept, used"
    for variant in VARIANTS:
        runs = [simulate(variant, day, seed) for seed in range(5)]
        attempts, evaluations = (sum(getattr(one, name) for one in runs) / 5 for name in ("attempts", "evaluations"))
        idle = sum(one.no_job for one in runs) / 5
        kept, used = runs[0].kept_back, runs[0].used
        yield f"{variant.name:50s} {attempts:8.0f} {evaluations:12.0f} {idle:12.0%} {kept:20.0f} s, {used:.0f} s"


def main() -> int:
    """Print the table; with `--check` also a real run beside its model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    for name, value in vars(Day()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args())
    is_checked = options.pop("check")
    day = replace(Day(), **options)
    print("\n".join(table(day)))
    if is_checked:
        from tests.benchmarks.day_check import compare

        print(compare())
    return 0


if __name__ == "__main__":
    sys.exit(main())
