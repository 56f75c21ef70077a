"""What the model is told of time: shares that are gone, what evaluations cost, jobs that cannot end in time.

Each is a note on a tool result, told once. Its name is recorded with the result, so that a resumed run tells it once.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.budget import describe, stated_deadline
from harness.run import Lane
from harness.timing.attempt_time import OVERTIME, attempt_seconds, evaluation_seconds
from harness.timing.progress import read_progress
from runs.state import State
from runs.views.format import duration_text

HINT = "hint from the person who runs this"
SHARES = (50, 70, 85)
TAIL_BYTES = 4_000
HOPELESS = 1.2
"""A job is offered for a kill when it needs this many times the time that is left."""


def due_notes(lane: Lane) -> dict[str, str]:
    """The notes that are due now and were not told, by their names."""
    told = lane.state.told
    notes = {}
    for name, text in (*_person_notes(lane), *_run_notes(lane), *_attempt_notes(lane), *_job_notes(lane)):
        if name not in told:
            notes[name] = text
    return notes


def is_overtime(lane: Lane) -> bool:
    """Whether the open attempt has used so much more than its time that it is ended."""
    return _elapsed(lane) >= OVERTIME * attempt_seconds(lane.run.settings, lane.run.state)


def _person_notes(lane: Lane) -> Iterator[tuple[str, str]]:
    """Hints of the person who runs this, and changes of the deadline. Each is told once in every lane."""
    control = lane.run.state.control
    for number, hint in enumerate(control.hints, 1):
        yield f"run hint {number}", f"{HINT}: {hint}"
    changes = len(control.pauses) + len(control.extended)
    if changes:
        limits = describe(lane.run.settings).replace("- ", "").replace("\n", " ")
        what = "its budget was extended" if control.extended else "it was paused for a while"
        text = f"the run goes on; {what}: deadline {stated_deadline(lane.run.state)}. {limits}"
        yield f"run change {changes}", text.strip()


def _run_notes(lane: Lane) -> Iterator[tuple[str, str]]:
    run, hours = lane.run, lane.run.settings.hours
    if hours is None:
        return
    usable = run.active_seconds() + run.seconds_left()
    share = 100 * run.active_seconds() / max(1.0, usable)
    if (passed := _last_passed(share)) is not None:
        text = f"{passed} % of the run's time is gone ({duration_text(run.seconds_left())} left)"
        yield f"run {passed}", f"{text}{_what_fits(run.state, run.seconds_left())}"


def _attempt_notes(lane: Lane) -> Iterator[tuple[str, str]]:
    whole, elapsed = attempt_seconds(lane.run.settings, lane.run.state), _elapsed(lane)
    if whole == float("inf"):
        return
    left = min(whole - elapsed, lane.run.seconds_left())
    if elapsed >= whole:
        used, end = duration_text(whole), duration_text(OVERTIME * whole - elapsed)
        yield "attempt 100", f"this attempt's {used} are used up: evaluate and `finish`; it is ended in {end}"
    elif (passed := _last_passed(100 * elapsed / whole)) is not None:
        text = f"{passed} % of this attempt's time is gone ({duration_text(left)} left)"
        yield f"attempt {passed}", f"{text}{_what_fits(lane.run.state, left)}"


def _job_notes(lane: Lane) -> Iterator[tuple[str, str]]:
    """An offer to kill each job that cannot end in time by its own progress."""
    for job in list(lane.state.open_jobs):
        status = lane.sandbox.status(job)
        if status.state != "running":
            continue
        progress = read_progress(lane.sandbox.output(job, -TAIL_BYTES).decode(errors="replace"))
        needs = progress.seconds_left(status.seconds) if progress else None
        left = _time_left(lane)
        if progress and needs is not None and needs > HOPELESS * left:
            pace = f"`{progress.line}` after {duration_text(status.seconds)} means {duration_text(needs)} more"
            end = f"{duration_text(left)} are left. Kill it (`kill`) unless what it has written so far is of use"
            yield f"job {job}", f"job {job} cannot end in time: {pace}, and {end}"


def _time_left(lane: Lane) -> float:
    attempt = OVERTIME * attempt_seconds(lane.run.settings, lane.run.state) - _elapsed(lane)
    return max(0.0, min(attempt, lane.run.seconds_left()))


def _elapsed(lane: Lane) -> float:
    attempt = lane.state.attempt
    return lane.run.active_seconds() - attempt.began_active if attempt else 0.0


def _last_passed(percent: float) -> int | None:
    return next((share for share in reversed(SHARES) if percent >= share), None)


def _what_fits(state: State, seconds: float) -> str:
    """What evaluations have cost so far, and how many more fit into the time."""
    done = [e.result for e in state.evaluations.values() if e.finished]
    each = evaluation_seconds(state)
    if not done or each <= 0:
        return ""
    spent = sum(result.seconds if result.spent_seconds is None else result.spent_seconds for result in done)
    fits = int(max(0.0, seconds) / max(each, 1.0))
    return (
        f"; {len(done)} evaluation{'s' * (len(done) > 1)} took {duration_text(spent)} in all, the best solution takes "
        f"{duration_text(each)}: {fits} more would fit"
    )
