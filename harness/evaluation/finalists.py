"""Finalists: which solutions the final selection considers. They come from all branches of the search."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runs.branches import branches_of
from runs.state import Evaluation, State

MEMORIZED_Z = 3.0
"""Standard errors by which the other folds may favour a finalist that is not the best."""


def eligible(state: State) -> list[Evaluation]:
    """What may be a finalist, best first: the best so far, then those judged on all folds, by score; one per tree.

    What is worse on the agent's fold than on others may excel on fresh ones, whose labels the agent knows. The best
    always stays.
    """
    best, plan = state.best, state.plan
    assert best is not None and plan is not None
    sign, all_folds = 1 if state.lower_is_better else -1, max(1, plan.folds)
    able = [e for e in state.evaluations.values() if e.score is not None]
    able = [e for e in able if e.id == best.id or not _may_be_memorized(e)]
    ranked = sorted(able, key=lambda e: (e.id != best.id, e.result.folds < all_folds, sign * (e.score or 0.0)))
    first_of_tree = {(e.started.tree, e.command): e for e in reversed(ranked)}
    return [e for e in ranked if first_of_tree[e.started.tree, e.command] is e]


def choose_finalists(ranked: Sequence[Evaluation], branches: dict[int, int], count: int) -> list[Evaluation]:
    """The first `count`, where up to half of the places go to the tops of branches that would otherwise have none.

    Members of one branch err alike, so an ensemble gains more from another branch. `branches` gives that of each
    attempt.
    """
    chosen = list(ranked[:count])
    present = {branches[e.attempt] for e in chosen}
    for top in ranked[count:]:
        if branches[top.attempt] in present or sum(e not in ranked[:count] for e in chosen) >= count // 2:
            continue
        seen = [branches[e.attempt] for e in chosen]
        crowded = [position for position, branch in enumerate(seen) if branch in seen[:position]]
        if not crowded:
            break
        chosen[crowded[-1]] = top
        present.add(branches[top.attempt])
    return [e for e in ranked if e in chosen]


def branches_of_evaluations(state: State, evaluations: Sequence[Evaluation]) -> list[int]:
    """The branch of each evaluation."""
    branches = branches_of(state)
    return [branches.get(e.attempt, e.attempt) for e in evaluations]


def _may_be_memorized(evaluation: Evaluation) -> bool:
    """Whether an evaluation is not trusted, or the other folds favour it by MEMORIZED_Z standard errors."""
    result = evaluation.result
    if result.distrust_reason or result.verdict == "worse":
        return True
    if result.mean_score is None or result.first_score is None or not result.first_noise:
        return False
    # The mean is over all folds: what the others add to it, against the noise of both sides.
    others = result.folds / (result.folds - 1)
    return abs(result.mean_score - result.first_score) * others > MEMORIZED_Z * result.first_noise * math.sqrt(others)
