"""The leases of a run's jobs: what they need, and how a wait for them is shown and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from harness.run import Lane, Run
from runs.events.registry import StepResult, Waited, Warned
from runs.state import Evaluation
from sandboxes.gpus import look_at
from sandboxes.leases.amounts import Priority, Request
from sandboxes.leases.leases import Lease
from sandboxes.select import open_sandbox

FOLDS = "folds of "
"""Users of a lane's lease that run other folds: their names begin so."""
MEMORY_MARGIN = 1.25
"""How much more memory a fold may need than the first one."""
LOOK_SECONDS = 0.25
"""How often a wait for the GPUs is shown, and may be stopped."""
SHORT_SECONDS = 1.0
"""Waits that are shorter are not recorded."""


class _NotNeeded(Exception):
    """The job that waits will not start: attempts may use no more time, or it was killed."""


def _never() -> bool:
    return False


def join(lane: Lane, job: str, priority: Priority, is_unwanted: Callable[[], bool] = _never) -> Lease | None:
    """Add a job that is about to start to its lane's lease; wait for the lease if the lane has no running job.

    Returns None if nothing is free to lease and the job runs already, or the time for attempts is over (another run may
    hold the machine for hours), or the job `is_unwanted`: then it must not be started. Raises `StopRequested`.
    """
    if lane.sandbox.status(job).state == "unknown":
        with suppress(_NotNeeded), shown_wait(lane.run, job) as show:

            def on_wait(what: str) -> None:
                show(what)
                if lane.run.seconds_left() <= 0 or is_unwanted():
                    raise _NotNeeded

            return lane.lease.join(job, priority, on_wait)
    lane.lease.join_running(job)
    return lane.lease.lease


def rejoin(run: Run) -> None:
    """Lease again what jobs of an earlier process use, as far as it is free."""
    for lane in run.lanes:
        for job in lane.state.open_jobs:
            if lane.sandbox.status(job).state == "running":
                lane.lease.join_running(job)


@contextmanager
def shown_wait(run: Run, job: str) -> Iterator[Callable[[str], None]]:
    """Show what a job waits for, and record how long it waited. It yields a function to call while waiting, which
    raises `StopRequested`.
    """
    began = time.monotonic()
    yield lambda what: run.pulse(f"job {job} waits for {what}")
    waited = time.monotonic() - began
    if waited >= SHORT_SECONDS:
        run.record(Waited(on=f"a lease for job {job}", seconds=round(waited, 1)))


def lane_of(run: Run, evaluation: Evaluation) -> Lane:
    """The lane whose share an evaluation uses: its own, or the first one where that is not played any more."""
    return next((lane for lane in run.lanes if lane.number == evaluation.lane), run.lanes[0])


def gpus_of_job(lane: Lane, number: int = 0) -> tuple[str, ...]:
    """The GPUs of the `number`th of the evaluations that a lane runs at once."""
    gpus = lane.sandbox.paths.gpus
    each = min(lane.run.settings.job_gpus or len(gpus), len(gpus))
    return gpus[number * each : (number + 1) * each]


def check_gpus(lane: Lane) -> None:
    """Record what is wrong with the GPUs of a lane, and play on without those that have vanished.

    For an attempt that begins: no job of the lane runs.
    """
    paths = lane.sandbox.paths
    look = look_at(paths.gpus)
    for problem in look.problems:
        lane.record(Warned(message=problem))
    if look.gone:
        lane.sandbox.close()
        kept = tuple(gpu for gpu in paths.gpus if gpu not in look.gone)
        lane.sandbox = open_sandbox(lane.sandbox.kind, replace(paths, gpus=kept))


def present_gpus(run: Run, gpus: Sequence[str]) -> tuple[str, ...]:
    """The GPUs of a job about to start that still exist; the loss of others is recorded."""
    look = look_at(gpus)
    if look.gone:
        run.record(Warned(message="; ".join(look.problems)))
    return tuple(gpu for gpu in gpus if gpu not in look.gone)


def shares_gpus(run: Run) -> bool:
    """Whether several lanes use the same GPUs, because there are fewer GPUs than lanes."""
    used = [gpu for lane in run.lanes for gpu in lane.sandbox.paths.gpus]
    return len(set(used)) < len(used)


@contextmanager
def gpu_turn(run: Run, job: str, is_unwanted: Callable[[], bool] = _never) -> Iterator[None]:
    """Where lanes share GPUs, let one evaluation at a time use them; one that `is_unwanted` continues without a turn,
    and must not be started. Raises `StopRequested`.

    Taken before any lease: who waits for a turn must hold nothing that the others need.
    """
    if not shares_gpus(run):
        yield
        return
    with shown_wait(run, job) as show:
        while not (has_turn := run.gpu_turn.acquire(timeout=LOOK_SECONDS)) and not is_unwanted():
            show("its turn on the GPUs")
    try:
        yield
    finally:
        if has_turn:
            run.gpu_turn.release()


@dataclass(frozen=True)
class FoldShare:
    """How many folds run at once, what each of them leases, and which part of the machine that is."""

    lane: Lane
    at_once: int
    request: Request
    part: float

    def gpus_of(self, number: int) -> tuple[str, ...]:
        """The GPUs of the `number`th fold."""
        return gpus_of_job(self.lane, number)


def fold_share(lane: Lane, count: int, steps: Sequence[StepResult]) -> FoldShare:
    """The shares of `count` folds that run at once as far as cores, memory and GPUs allow.

    `steps` of the first fold say how much memory each needs.
    """
    machine, gpus = lane.run.leases.machine, lane.sandbox.paths.gpus
    at_once = min(count, lane.run.jobs_at_once())
    if gpus:
        at_once = min(at_once, len(gpus) // len(gpus_of_job(lane)))
    memory = int(MEMORY_MARGIN * max((step.peak_bytes for step in steps), default=0))
    if not all(step.peak_bytes for step in steps):
        memory = 0  # not measured
    if memory:
        at_once = min(at_once, machine.memory // memory)
    share = machine.share(max(1, at_once))
    request = replace(share, memory=memory or share.memory)
    return FoldShare(lane, max(1, at_once), request, share.cores / machine.cores)


@contextmanager
def others_paused(lane: Lane) -> Iterator[frozenset[str]]:
    """With `strict`, pause the jobs of all lanes; gives the names of the leases of other lanes, which are lent."""
    run = lane.run
    if not run.settings.strict:
        yield frozenset()
        return
    running = [
        job for each in run.lanes for job in list(each.state.open_jobs) if run.sandbox.status(job).state == "running"
    ]
    with run.sandbox.paused(running) as missed:
        if missed:
            run.record(Warned(message=f"could not be paused while folds run: {', '.join(missed)}"))
        leases = [each.lease for each in run.lanes if each is not lane]
        yield frozenset(each.lease.name for each in leases if each.lease and not each.has_user(FOLDS))
