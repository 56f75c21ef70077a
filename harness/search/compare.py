"""Compare evaluations within their branch, so that the search knows which attempts gained.

The verdict of an evaluation compares it with the run's best. In another branch that tells nothing about a gain there,
so it is compared with the branch's own best too, from the predictions that the judge kept. The ledger asks what one
change brought, so at the end each result is compared with the one it started from. The model never sees this.
"""

from __future__ import annotations

import math
import time

from harness.evaluation.run_split import fold_dir
from harness.evaluation.verdict import compare, is_promoted
from harness.run import Run
from harness.search.from_run import values_of
from runs.branches import comparison_of, is_result, lines_of, origins_of
from runs.events.registry import BranchCompared
from runs.state import Evaluation, State
from tasks.holdout.split import Split
from tasks.metrics.bootstrap import REAL_SHARE
from tasks.subprocesses import ChildFailed

MOST_SECONDS = 120.0
"""How long the comparisons at the end of a run may take: its submission is chosen, and only the ledger waits."""


def compare_branches(run: Run) -> None:
    """Record the comparisons that the next decision needs and that are not on record."""
    while missing := next_missing(run.state):
        evaluation, against = (run.state.evaluations[name] for name in missing)
        event = _compared(run, evaluation, against)
        with run.lock:
            if (evaluation.id, against.id) not in run.state.comparisons:
                run.record(event)


def compare_with_origins(run: Run) -> None:
    """Record how each result of an ended run compares with the one that its attempt changed, where nothing says it."""
    began = time.monotonic()
    for evaluation in list(run.state.evaluations.values()):
        origins = origins_of(run.state, evaluation) if is_result(evaluation) and evaluation.score is not None else []
        if time.monotonic() - began > MOST_SECONDS:
            return
        if origins and all(comparison_of(run.state, evaluation, origin) is None for origin in origins):
            run.record(_compared(run, evaluation, origins[-1]))


def next_missing(state: State) -> tuple[str, str] | None:
    """Two evaluations to compare next, if any: the second is the branch's best, or its first result.

    The comparison of a branch's top with its first result is only needed where there is another branch to combine with.
    """
    lines, values = lines_of(state), values_of(state)
    for line in lines.values():
        if line.missing:
            return line.missing
    for line in lines.values() if len(lines) > 1 else ():
        scored = [one for one in line.results if one.score is not None]
        if not scored:
            continue
        top = max(scored, key=lambda one: values[one.id])
        if top is not line.results[0] and comparison_of(state, top, line.results[0]) is None:
            return top.id, line.results[0].id
    return None


def _compared(run: Run, evaluation: Evaluation, against: Evaluation) -> BranchCompared:
    shared = min(evaluation.result.folds, against.result.folds)
    splits = [Split(0, fold) for fold in range(shared)] if shared > 1 else [Split()]
    share, shares = None, []
    gain, noise = None, None
    files = [fold_dir(run, one.id, split) / "held_out.csv" for one in (evaluation, against) for split in splits]
    if all(file.exists() for file in files):
        try:
            comparison = compare(run, evaluation.id, splits, against, splits)
            share, shares = comparison.share, comparison.shares
            gain, noise = comparison.gain, comparison.gain_noise
        except ChildFailed:  # the scores tell enough
            pass
    if share is None:
        share = _share_of_scores(run.state, evaluation, against)
    kind = "real" if share >= REAL_SHARE else "worse" if share <= 1 - REAL_SHARE else "unclear"
    return BranchCompared(
        evaluation=evaluation.id,
        against=against.id,
        share=round(share, 4),
        is_gain=is_promoted(kind, share, shares),
        verdict=kind,
        gain=gain,
        gain_noise=noise,
    )


def _share_of_scores(state: State, evaluation: Evaluation, against: Evaluation) -> float:
    """The share from scores and their noise alone, as if the rows were independent."""
    gap = (evaluation.score or 0.0) - (against.score or 0.0)
    gap = -gap if state.lower_is_better else gap
    noise = math.hypot(evaluation.noise or 0.0, against.noise or 0.0)
    return 0.5 * (1 + math.erf(gap / max(noise, 1e-12) / math.sqrt(2)))
