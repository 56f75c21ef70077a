"""Evaluate a solution on the other folds, on several at once as far as leases allow. The model learns only a status."""

from __future__ import annotations

import contextvars
import math
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Literal

from harness import leasing
from harness.evaluation.failure import exception_type
from harness.evaluation.run_split import blend_of, job_of, run_on_split
from harness.evaluation.steps.sandboxed import Conditions
from harness.interrupt import StopRequested
from harness.run import Run
from runs.events.registry import FoldFinished, FoldStarted, StepResult
from runs.state import Evaluation
from sandboxes.leases.amounts import Priority, thread_variables
from tasks.holdout.split import Split

Outcome = Literal["done", "short", "slow", "failed"]
"""How a solution fared on several splits: it ran on all; time was short for some; it took several times as long as
before; it failed."""
MIN_SECONDS = 60.0
"""What a job on another split may always take, however short it was before."""
LOOK_SECONDS = 0.25
"""How often a thread that waits for others looks."""
ROUND_SECONDS, ROUND_SHARE = 5.0, 0.05
"""Granularity of the moment when results of other folds are shown; the share is that of the time expected."""


def run_all(
    run: Run,
    evaluation: Evaluation,
    splits: Sequence[Split],
    seconds: float,
    slowdown: float,
    left: Callable[[], float],
    use_cache: bool = True,
    steps: Sequence[StepResult] = (),
) -> Outcome:
    """Run an evaluation's steps on these splits as long as `left()` has the seconds for it.

    `seconds` is what they took before; with the whole machine, they may take `slowdown` times as long. Without
    `use_cache` every step runs. `steps` say how much memory they took. Where a split fails, no further one starts and
    those that run are ended. Repeated after a crash, the call continues. Raises `StopRequested`.
    """
    with _alone(run, evaluation.id), leasing.gpu_turn(run, leasing.FOLDS + evaluation.id):
        batch = _Batch(run, evaluation, splits, seconds, slowdown, left, use_cache, steps)
        if any(batch.is_missing(split) for split in splits):
            batch.run_missing()
        return batch.outcome()


def round_up_seconds(elapsed: float, expected: float) -> float:
    """Elapsed seconds as a multiple of the larger of 5 s and 5 % of the time that was expected."""
    unit = max(ROUND_SECONDS, ROUND_SHARE * expected)
    return math.ceil(elapsed / unit) * unit


def wait_until_round_time(run: Run, started: float, expected: float) -> None:
    """Wait until the time since `started` (monotonic) is a round one, as long as the run has time.

    How long other folds take may depend on labels that they train on. Raises `StopRequested`.
    """
    until = started + round_up_seconds(time.monotonic() - started, expected)
    while (left := min(until - time.monotonic(), run.seconds_left())) > 0:
        run.pulse("the other folds")
        time.sleep(min(left, LOOK_SECONDS))


@contextmanager
def _alone(run: Run, evaluation: str) -> Iterator[None]:
    """Let one thread at a time run the folds of an evaluation: lanes may compare with the same best one."""
    while True:
        with run.lock:
            if evaluation not in run.on_folds:
                run.on_folds.add(evaluation)
                break
        run.pulse(f"another attempt runs evaluation {evaluation} on the other folds")
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        run.on_folds.discard(evaluation)


class _NothingToDo(Exception):
    """No fold is left to start, so nobody needs a lease any more."""


class _Batch:
    """The splits of one evaluation, run by several threads.

    The calling thread uses the lease of its lane, so it continues however busy the machine is. Each further thread
    leases a share of its own for each fold.
    """

    def __init__(
        self,
        run: Run,
        evaluation: Evaluation,
        splits: Sequence[Split],
        seconds: float,
        slowdown: float,
        left: Callable[[], float],
        use_cache: bool,
        steps: Sequence[StepResult],
    ) -> None:
        self.run, self.evaluation, self.splits, self.seconds, self.left = run, evaluation, splits, seconds, left
        self.lane, self.user = leasing.lane_of(run, evaluation), leasing.FOLDS + evaluation.id
        self.share = leasing.fold_share(self.lane, len(splits), steps)
        self.lent: frozenset[str] = frozenset()
        self.limit = max(MIN_SECONDS, slowdown * seconds / self.share.part)
        missing = [split for split in splits if self.is_missing(split)]
        self.todo = deque(sorted(missing, key=lambda split: not self._is_open(split)))
        """Splits without a result that no thread has taken; those that an earlier process started come first."""
        self.use_cache, self.is_short = use_cache, False
        self.error: BaseException | None = None

    def is_missing(self, split: Split) -> bool:
        """Whether a split has no result on record."""
        return self.run.state.folds.get((self.evaluation.id, split.name)) is None

    def _is_open(self, split: Split) -> bool:
        return (self.evaluation.id, split.name) in self.run.state.folds and self.is_missing(split)

    def outcome(self) -> Outcome:
        """The outcome by the results on record."""
        found = {self._outcome_of(split) for split in self.splits}
        order: tuple[Outcome, ...] = ("failed", "slow", "short")
        return next((outcome for outcome in order if outcome in found), "done")

    def _outcome_of(self, split: Split) -> Outcome:
        result = self.run.state.folds.get((self.evaluation.id, split.name))
        if result is None:
            return "short"
        if result.status == "timeout":  # before its limit, the run's own clock ended it
            return "slow" if result.seconds > 0.9 * self.limit else "short"
        return "done" if result.status in ("scored", "unscored") else "failed"

    @property
    def has_failed(self) -> bool:
        """Whether a result on record decides that the solution is not run on."""
        recorded = [split for split in self.splits if not self.is_missing(split)]
        return any(self._outcome_of(split) in ("failed", "slow") for split in recorded)

    @property
    def is_unneeded(self) -> bool:
        """Whether no further split is to run: a result decides, the evaluation was killed, or a person ends the run."""
        return self.has_failed or self.evaluation.id in self.run.killed or not self.run.may_wait

    # -------------------------------------------------------------------------------------------------------- threads

    def run_missing(self) -> None:
        """Run the splits that have no result, or record of those that were started that they are not needed."""
        for split in self.todo:
            blend_of(self.run, split)  # one after the other, since making data takes much memory
        # Jobs are paused once the lane has its lease: one that is paused would keep what the lane waits for.
        with suppress(_NothingToDo), self._lease_of_lane(), leasing.others_paused(self.lane) as self.lent:
            started = time.monotonic()
            self._run_in_threads()
            if self.run.settings.strict:  # the agent's jobs can tell how long they were paused
                wait_until_round_time(self.run, started, self.seconds * len(self.splits))
        while self.todo and self._is_open(self.todo[0]):  # started before a crash, and not needed since another failed
            self._run_split(self.todo.popleft(), 0)

    def _run_in_threads(self) -> None:
        threads = [self._start_thread(number) for number in range(1, min(self.share.at_once, len(self.todo)))]
        self._guard(self._work_in_lane)
        while any(thread.is_alive() for thread in threads):
            self._guard(lambda: self.run.pulse(""))
            if self.error is not None:
                break  # the threads notice it, and record nothing more
            threads[0].join(LOOK_SECONDS) if threads[0].is_alive() else time.sleep(LOOK_SECONDS)
        if self.error is not None:
            raise self.error

    def _start_thread(self, number: int) -> threading.Thread:
        context = contextvars.copy_context()  # names the attempt that its events belong to
        name = f"{threading.current_thread().name}-fold-{number}"
        act = lambda: self._guard(lambda: self._work_beside(number))  # noqa: E731
        thread = threading.Thread(target=context.run, args=(act,), name=name, daemon=True)
        thread.start()
        return thread

    def _guard(self, act: Callable[[], object]) -> None:
        try:
            act()
        except _NothingToDo:
            pass
        except BaseException as error:
            with self.run.lock:
                self.error = self.error or error

    @contextmanager
    def _lease_of_lane(self) -> Iterator[None]:
        """The lease of the lane, until `_work_in_lane` has ended. Raises `_NothingToDo`."""
        with leasing.shown_wait(self.run, self.user) as show:

            def on_wait(what: str) -> None:
                show(what)
                self._give_up_if_done(what)

            self.lane.lease.join(self.user, Priority.OTHER_FOLDS, on_wait)
        try:
            yield
        finally:
            self.lane.lease.leave(self.user)

    def _work_in_lane(self) -> None:
        try:
            while (split := self._take()) is not None:
                self._run_split(split, 0)
        finally:
            self.lane.lease.leave(self.user)

    def _work_beside(self, number: int) -> None:
        while self.todo:
            request = replace(self.share.request, lent=self.lent)
            with self.run.leases.acquire(request, Priority.OTHER_FOLDS, self._give_up_if_done):
                if (split := self._take()) is None:
                    return
                self._run_split(split, number)

    def _give_up_if_done(self, _: str) -> None:
        self._check()
        with self.run.lock:
            self.is_short = self.is_short or (bool(self.todo) and self._is_short_for(self.todo[0]))
            if not self.todo or self.is_short or self.is_unneeded:
                raise _NothingToDo

    def _check(self) -> None:
        self.run.stopping.check()
        if self.error is not None:
            raise StopRequested("an error on another fold")

    def _take(self) -> Split | None:
        """The next split to run, whose start is then on record; None if none may start."""
        with self.run.lock:
            self._check()
            if not self.todo or self.is_short or self.is_unneeded:
                return None
            split = self.todo[0]
            if not self._is_open(split):
                if self._is_short_for(split):
                    self.is_short = True
                    return None
                job = job_of(self.evaluation.id, split)
                self.run.record(FoldStarted(evaluation=self.evaluation.id, fold=split.name, job=job))
            return self.todo.popleft()

    def _is_short_for(self, split: Split) -> bool:
        """Whether time is too short for the next split. A split that was started before continues while any time is
        left.
        """
        missing = 0 if self._is_open(split) else sum(self.is_missing(other) for other in self.splits)
        return self.left() < missing * self.seconds

    # -------------------------------------------------------------------------------------------------------- one split

    def _run_split(self, split: Split, number: int) -> None:
        """Run the evaluation on a split and record the result."""
        result = run_on_split(
            self.run,
            self.evaluation,
            split,
            min(self.limit, max(1.0, self.left())),
            lambda: self.run.settings.judge_seconds,
            use_cache=self.use_cache,
            conditions=Conditions(
                thread_variables(self.share.request.cores),
                self.share.gpus_of(number),
                self._is_cancelled,
                self.share.request.cores,
            ),
        )
        judgement = result.judgement
        status: str = judgement.status
        message = judgement.message
        if result.job.ended == "killed" and self.has_failed:
            status, message = "stopped", "ended, since another fold failed"
        elif result.job.ended == "killed" and not self.run.may_wait:
            status, message = "timeout", "ended, since the run was"
        with self.run.lock:
            self._check()
            self.run.record(
                FoldFinished(
                    evaluation=self.evaluation.id,
                    fold=split.name,
                    status=status,
                    score=judgement.score,
                    noise=judgement.noise,
                    message=message,
                    seconds=result.spent_seconds,
                    share=round(self.share.part, 4),
                    submission=judgement.sha256,
                    exception=exception_type(result.outcome.logs) if judgement.status == "failed" else "",
                    steps=result.outcome.results,
                )
            )
            self.is_short = self.is_short or self._outcome_of(split) == "short"
        shutil.rmtree(result.workspace, ignore_errors=True)

    def _is_cancelled(self) -> bool:
        self._check()
        return self.is_unneeded
