"""The lanes of a run, played side by side: one thread each, which waits for the model or for a job most of the time.

The main thread waits for the lanes and for signals. A lane whose sandbox fails retires; any other error, and a request
to stop, end all lanes at their next step. A lane that takes longer than the patience of a stop is left behind: what it
does then is not recorded, so a resumed run does it again, as after a crash.
"""

from __future__ import annotations

import queue
import threading
import time

from harness import attempt, budget
from harness.run import Lane, Run
from runs.events.registry import Warned
from sandboxes.base import SandboxError

WAKE_SECONDS = 0.5
"""How often the main thread looks whether its patience with the lanes is over."""

Ended = tuple[Lane, BaseException | None]


def play(run: Run) -> None:
    """Play all lanes until no further attempt may start. Raises what ended them before that."""
    ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    run.playing = {lane.number for lane in run.lanes}
    for lane in run.lanes:
        name = f"lane-{lane.number}"
        threading.Thread(target=_play_lane, args=(lane, ended), name=name, daemon=True).start()
    try:
        error = _await(run, ended)
    finally:
        if run.playing:
            run.close_to_lanes()
    if error is not None:
        raise error


def _play_lane(lane: Lane, ended: queue.SimpleQueue[Ended]) -> None:
    try:
        if lane.state.attempt and (why := budget.spent(lane.run.state, lane.run.active_seconds())):
            attempt.end(lane, "unusable_replies" if why == "unusable_replies" else "budget")
        while not _is_superfluous(lane) and attempt.play(lane):
            pass
    except BaseException as error:
        ended.put((lane, error))
    else:
        ended.put((lane, None))


def _await(run: Run, ended: queue.SimpleQueue[Ended]) -> BaseException | None:
    """Wait until all lanes have ended, or those that are asked to stop take too long. Returns what ended them."""
    first: BaseException | None = None
    patience_ends = float("inf")
    while run.playing and time.monotonic() < patience_ends:
        try:
            lane, error = ended.get(timeout=WAKE_SECONDS)
        except queue.Empty:
            continue
        run.playing.discard(lane.number)
        if first is None and isinstance(error, SandboxError) and run.playing:
            _retire(lane, error)
        elif first is None and error is not None:
            first = error
            run.stopping.halt()
            patience_ends = time.monotonic() + run.settings.stop_seconds
    return first


def _retire(lane: Lane, error: SandboxError) -> None:
    """End the attempt of a lane whose sandbox failed; the other lanes go on."""
    lane.record(Warned(message=f"lane {lane.number} has ended, since its sandbox failed ({error}); the others go on"))
    if lane.state.attempt:
        attempt.end(lane, "stopped", has_failed=True)


def _is_superfluous(lane: Lane) -> bool:
    """Whether a lane must not start another attempt, because fewer lanes are allowed now."""
    run = lane.run
    with run.lock:
        if lane.state.attempt or len(run.playing) <= run.lane_limit:
            return False
        run.playing.discard(lane.number)
        return True
