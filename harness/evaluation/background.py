"""Evaluations beside the thinking: each runs in a thread of the run until its result is on record.

`evaluate` waits for a while, then returns the evaluation's id. The result comes with a later tool result, or when the
model waits for it. An attempt may end before: the result then completes its entry in the memory.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from harness import errors
from harness.evaluation import evaluate, result_text, submission
from harness.evaluation.steps.declare import StepArguments
from harness.evaluation.steps.describe import running_log, spent_seconds
from harness.run import Lane, Run, working_on
from runs.events.registry import Warned
from runs.state import Evaluation
from sandboxes.base import JobStatus, SandboxError

LOOK_SECONDS = 0.5
KILL_SECONDS = 60.0
"""How long `kill` waits for the result of what it killed."""


def start(
    lane: Lane,
    call: str,
    command: str,
    seconds: float,
    steps: Sequence[StepArguments] | None,
    sample: float = 1.0,
) -> Evaluation | str:
    """Start an evaluation of the workspace; the answer instead, where it repeats one.

    Raises `StepsRefused`, and ValueError for a `sample` that cannot be drawn.
    """
    evaluation = evaluate.start(lane, call, command, seconds, steps, sample)
    if isinstance(evaluation, Evaluation):
        ensure(lane.run, evaluation)
    return evaluation


def ensure(run: Run, evaluation: Evaluation) -> None:
    """Start a thread that completes an evaluation, unless one works on it or the result is on record."""
    if not evaluation.finished:
        run.workers.start(f"evaluation {evaluation.id}", partial(_complete, run, evaluation))


def ensure_open(run: Run) -> None:
    """Go on with all evaluations that an earlier process left open, and with what followed from the last result."""
    ended = [e for e in run.state.evaluations.values() if e.finished]
    if ended and "record" not in run.state.decisions:
        evaluate.follow(run, max(ended, key=lambda e: e.ended_active))
    for evaluation in run.state.evaluations.values():
        ensure(run, evaluation)


def await_any(run: Run, names: Sequence[str], seconds: float) -> None:
    """Wait until one of these evaluations has its result, or for `seconds`. Raises `StopRequested`."""
    until = time.monotonic() + seconds
    while all(not run.state.evaluations[name].finished for name in names) and time.monotonic() < until and run.may_wait:
        with run.evaluation_ended:
            run.evaluation_ended.wait(max(0.0, min(LOOK_SECONDS, until - time.monotonic())))
        run.pulse("")


def kill(run: Run, name: str) -> None:
    """End an evaluation: its job is killed, and its result says so."""
    if not run.state.evaluations[name].finished:
        run.killed.add(name)
        await_any(run, [name], KILL_SECONDS)


def status_of(evaluation: Evaluation) -> JobStatus:
    """An evaluation as a job that the model can wait for."""
    if evaluation.finished:
        return JobStatus(evaluation.id, "finished", "exited", 0, spent_seconds(evaluation.result))
    began = datetime.fromisoformat(evaluation.started.at)
    return JobStatus(evaluation.id, "running", seconds=max(0.0, (datetime.now(UTC) - began).total_seconds()))


def text_of(run: Run, name: str) -> str:
    """What the model reads about an evaluation: its result, or that there is none yet."""
    evaluation = run.state.evaluations[name]
    if evaluation.finished:
        return result_text.result_text(run, evaluation)
    status = status_of(evaluation)
    return (
        f"evaluation {name}: {status.summary()}. Go on with your work: its result comes with a later tool result, or "
        f"with wait. Its output so far: {running_log(evaluation.started)}"
    )


def _complete(run: Run, evaluation: Evaluation) -> None:
    with working_on(evaluation.lane, evaluation.attempt):
        try:
            evaluate.complete(run, evaluation)
        except OSError as error:
            if errors.is_of_machine(error):
                raise
            run.record(Warned(message=f"evaluation {evaluation.id} could not be made: {error}"))
            evaluate.fail(run, evaluation, f"it could not be made: {error.strerror or error}")
        except SandboxError as error:
            if len(run.playing) < 2:  # as with a lane: the last one stops the run, which can be resumed
                raise
            run.record(Warned(message=f"evaluation {evaluation.id} could not be made: its sandbox failed ({error})"))
            evaluate.fail(run, evaluation, "it could not be made: its sandbox failed")
        if run.state.evaluations[evaluation.id].is_late:
            submission.keep_attempt(run, evaluation.attempt)
            submission.write_summaries(run)
    with run.evaluation_ended:
        run.evaluation_ended.notify_all()
