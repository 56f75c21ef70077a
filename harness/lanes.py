"""The lanes of a run, played side by side: one thread each, which waits for the model or for a job most of the time."""

from __future__ import annotations

from functools import partial

from harness import attempt, budget
from harness.evaluation import background
from harness.run import Lane, Run
from runs.events.registry import Warned
from sandboxes.base import SandboxError


def play(run: Run) -> None:
    """Play all lanes until no further attempt may start and every evaluation has ended. Raises what ended them before.

    A lane whose sandbox fails ends alone, unless it is the last one.
    """
    run.playing = {lane.number for lane in run.lanes}
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
        if lane.state.attempt and (why := budget.spent(lane.run.state, lane.run.active_seconds())):
            attempt.end(lane, "unusable_replies" if why == "unusable_replies" else "budget")
        while not _is_superfluous(lane) and attempt.play(lane):
            pass
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
        return True


def _is_last(lane: Lane) -> bool:
    """Whether no other lane is played any more; if one is, this lane counts as ended."""
    with lane.run.lock:
        if lane.run.playing == {lane.number}:
            return True
        lane.run.playing.discard(lane.number)
        return False
