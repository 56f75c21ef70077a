"""What the model reads about the steps of an evaluation and about files that it does not hold."""

from __future__ import annotations

from harness.evaluation.steps.checkout import RULE
from runs.events.registry import EvaluationFinished, EvaluationStarted


def describe_time(finished: EvaluationFinished) -> str:
    """How long an evaluation ran, and how long it takes without the cache."""
    cached = any(result.cached_from for result in finished.steps)
    return f"run time: {spent_seconds(finished):.1f} s" + (
        f", {finished.seconds:.1f} s without the cache" if cached else ""
    )


def spent_seconds(finished: EvaluationFinished) -> float:
    """How long the jobs of an evaluation really ran."""
    return finished.seconds if finished.spent_seconds is None else finished.spent_seconds


def running_log(started: EvaluationStarted) -> str:
    """Where the output of an evaluation that runs can be read."""
    several = len(started.steps) > 1
    return f".jobs/{started.job}-s1/log (of step 1, and so on)" if several else f".jobs/{started.job}/log"


def describe_steps(started: EvaluationStarted, finished: EvaluationFinished) -> list[str]:
    """A line per step: cached from which evaluation, or how long it ran; then what it wrote but did not declare."""
    count = max(1, len(started.steps))
    lines = []
    for number, result in enumerate(finished.steps, 1):
        name = f"step {number} of {count}" if count > 1 else "the command"
        if result.cached_from:
            lines.append(f"{name}: cached from {result.cached_from}, saved {_duration(result.seconds)}")
        elif count > 1:
            lines.append(f"{name}: ran {_duration(result.seconds)}")
        lines += [f"{name}: {note}" for note in result.notes]
    return lines


def describe_left_out(started: EvaluationStarted, failed: bool) -> list[str]:
    """Which files of the workspace the evaluation did not hold, and how a solution gets what it needs."""
    if not started.left_out:
        return []
    lines = [f"not in the evaluation, which holds {RULE}: {'; '.join(started.left_out)}"]
    if failed:
        lines.append(
            "a file that your program needs must be made from ./data by a step: "
            'steps=[{"command": "python train.py", "makes": ["model.pkl"]}, {"command": "python predict.py"}]'
        )
    return lines


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
