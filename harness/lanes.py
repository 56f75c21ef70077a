"""The lanes of a run, played side by side: one thread each, which waits for the model or for a job most of the time."""

from __future__ import annotations

from functools import partial

from harness import attempt
from harness.evaluation import background
from harness.run import Lane, Run
from runs.events.registry import LanesChanged, Warned
from sandboxes.base import SandboxError

QUIET_SECONDS = 1_800.0
"""Time without a refusal for too many requests after which a lane is given back."""


def play(run: Run) -> None:
    """Play all lanes until no further attempt may start and every evaluation has ended. Raises what ended them before.

    A lane whose sandbox fails ends alone, unless it is the last one.
    """
    run.playing, run.resting = {lane.number for lane in run.lanes}, set()
    background.ensure_open(run)
    for lane in run.lanes:
        run.workers.start(f"lane {lane.number}", partial(_play_lane, lane))
    try:
        error = run.workers.wait(run.stopping.halt, run.settings.stop_seconds)
    finally:
        if run.workers.are_working:
            run.close_to_workers()
    if error is not None:
        raise error


def _play_lane(lane: Lane) -> None:
    try:
        if lane.state.attempt and (why := attempt.budget_end_reason(lane.run)):
            attempt.end(lane, why)
        while not _is_superfluous(lane) and attempt.play(lane):
            _give_lane_back(lane.run)
    except SandboxError as error:
        if _is_last(lane):
            raise
        message = f"lane {lane.number} has ended, since its sandbox failed ({error}); the others go on"
        lane.record(Warned(message=message))
        if lane.state.attempt:
            attempt.end(lane, "stopped", has_failed=True)
    finally:
        lane.run.playing.discard(lane.number)


def _is_superfluous(lane: Lane) -> bool:
    """Whether a lane must not start another attempt, because fewer lanes are allowed now."""
    run = lane.run
    with run.lock:
        if lane.state.attempt or len(run.playing) <= run.lane_limit:
            return False
        run.playing.discard(lane.number)
        run.resting.add(lane.number)
        return True


def _give_lane_back(run: Run) -> None:
    """Give back one lane that refusals of the endpoint took away, once there was no refusal for a while."""
    with run.lock:
        if not (run.resting and run.lanes_refused) or run.slots.quiet_seconds < QUIET_SECONDS:
            return
        number = min(run.resting)
        run.resting.discard(number)
        run.playing.add(number)
        run.slots.start_quiet()  # the next one comes after the same time
        why = f"no request was refused as too many for {QUIET_SECONDS / 60:.0f} min"
        run.record(LanesChanged(parallel=run.lane_limit + 1, refused=run.lanes_refused - 1, why=why))
        lane = next(lane for lane in run.lanes if lane.number == number)
        run.workers.start(f"lane {number}", partial(_play_lane, lane))


def _is_last(lane: Lane) -> bool:
    """Whether no other lane is played any more; if one is, this lane counts as ended."""
    with lane.run.lock:
        if lane.run.playing == {lane.number}:
            return True
        lane.run.playing.discard(lane.number)
        return False
