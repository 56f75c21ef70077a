"""Evaluate a solution on the other folds. The model learns only a fixed status of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Literal

from harness.evaluation.run_split import job_of, run_on_split
from harness.run import Run
from runs.events.registry import FoldFinished, FoldStarted
from runs.state import Evaluation
from tasks.holdout.split import Split

Outcome = Literal["done", "short", "slow", "failed"]
"""How a solution fared on several splits: it ran on all; time was short for some; it took several times as long as
before; it failed."""
MIN_SECONDS = 60.0
"""What a job on another split may always take, however short it was before."""


def run_all(
    run: Run,
    evaluation: Evaluation,
    splits: Sequence[Split],
    seconds: float,
    slowdown: float,
    left: Callable[[], float],
    use_cache: bool = True,
) -> Outcome:
    """Run an evaluation's steps on these splits as long as `left()` has the seconds for it.

    `seconds` is what they took before; a job may take `slowdown` times as long. Without `use_cache` every step runs.
    Repeated after a crash, the call continues. Raises `StopRequested`.
    """
    limit = max(MIN_SECONDS, slowdown * seconds)
    for index, split in enumerate(splits):
        if run.state.folds.get((evaluation.id, split.name)) is None:
            missing = sum(run.state.folds.get((evaluation.id, other.name)) is None for other in splits[index:])
            if left() < missing * seconds:
                return "short"
        result = run_fold(run, evaluation, split, min(limit, max(1.0, left())), use_cache)
        if result.status == "timeout":
            return "slow" if result.seconds > 0.9 * limit else "short"  # otherwise the run's own clock ended it
        if result.status not in ("scored", "unscored"):
            return "failed"
    return "done"


def run_fold(run: Run, evaluation: Evaluation, split: Split, seconds: float, use_cache: bool = True) -> FoldFinished:
    """The result of an evaluation on another split: the recorded one, or that of running it now for at most `seconds`.

    Raises `StopRequested`.
    """
    key = (evaluation.id, split.name)
    recorded = run.state.folds.get(key)
    if recorded is not None:
        return recorded
    if key not in run.state.folds:
        run.record(FoldStarted(evaluation=evaluation.id, fold=split.name, job=job_of(evaluation.id, split)))
    result = run_on_split(run, evaluation, split, seconds, lambda: run.settings.judge_seconds, use_cache=use_cache)
    judgement = result.judgement
    finished = FoldFinished(
        evaluation=evaluation.id,
        fold=split.name,
        status=judgement.status,
        score=judgement.score,
        noise=judgement.noise,
        message=judgement.message,
        seconds=result.spent_seconds,
        submission=judgement.sha256,
        steps=result.outcome.results,
    )
    run.record(finished)
    shutil.rmtree(result.workspace, ignore_errors=True)
    return finished
