"""Propose the weights of an ensemble by greedy selection on some rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tasks.judging.ensemble import looks_like_labels
from tasks.metrics.folds import Fold

GREEDY_STEPS = 8


def propose_weights(folds: Sequence[Fold], groups: Sequence[int] = ()) -> list[float]:
    """Weights of a greedy ensemble (Caruana et al. 2004): starting from the best candidate, the one that helps most is
    added, with replacement. The equal average of all candidates is taken instead where it scores better.

    `groups` gives the group of each candidate; those of one group err alike. A candidate of a group that has no member
    yet is added first, if one of them helps. Raises `NoScore`.
    """
    lower = folds[0].metric.lower_is_better
    count = len(folds[0].predictions)
    counts = [0] * count
    best: float | None = None
    for _ in range(GREEDY_STEPS):
        trials = [score_ensemble(folds, [n + (i == added) for i, n in enumerate(counts)]) for added in range(count)]
        index = best_index(trials, lower)
        if best is not None and not _is_better(trials[index], best, lower):
            break
        present = {groups[i] for i, n in enumerate(counts) if n and groups}
        others = [i for i in range(count) if present and groups[i] not in present]
        helpful = [i for i in others if best is not None and _is_better(trials[i], best, lower)]
        if helpful:
            index = helpful[best_index([trials[i] for i in helpful], lower)]
        best = trials[index]
        counts[index] += 1
    equal = [1.0] * count
    if best is None or _is_better(score_ensemble(folds, equal), best, lower):
        return equal
    return [float(number) for number in counts]


def score_ensemble(folds: Sequence[Fold], weights: Sequence[float]) -> float:
    """The score of a weighted combination of the candidates. Raises `NoScore`."""
    from tasks.metrics.bootstrap import score_candidates

    return score_candidates([with_ensemble(fold, weights) for fold in folds])[0]


def with_ensemble(fold: Fold, weights: Sequence[float], *others: int) -> Fold:
    """The fold with the combination as candidate 0, and the candidates with these indices after it."""
    return replace(fold, predictions=(_combine(fold, weights), *(fold.predictions[index] for index in others)))


def best_index(scores: Sequence[float], lower_is_better: bool) -> int:
    """The index of the best score; of equal ones the first."""
    return min(range(len(scores)), key=lambda index: (scores[index] if lower_is_better else -scores[index], index))


def _is_better(one: float, other: float, lower: bool) -> bool:
    return one < other if lower else one > other


def _combine(fold: Fold, weights: Sequence[float]) -> Any:
    """`ensemble.combine` on data frames; a test checks that the two agree."""
    import numpy as np
    import pandas as pd

    used = [(table, weight) for table, weight in zip(fold.predictions, weights, strict=True) if weight]
    if len(used) == 1:
        return used[0][0]
    weights = [weight for _, weight in used]
    columns = {}
    for name in fold.targets:
        cells = [table[name] for table, _ in used]
        are_labels = fold.metric.needs == "labels" or any(column.dtype == object for column in cells)
        if are_labels or looks_like_labels(fold.metric, (column.tolist() for column in cells)):
            columns[name] = _vote(cells, weights)
            continue
        if fold.metric.is_rank_based:
            cells = [(column.rank() - 1) / max(1, len(column) - 1) for column in cells]
        columns[name] = np.average(np.column_stack(cells), axis=1, weights=weights)
    return pd.DataFrame(columns)


def _vote(columns: Sequence[Any], weights: Sequence[float]) -> Any:
    import numpy as np
    import pandas as pd

    factorized: Any = pd.factorize(np.concatenate([column.to_numpy() for column in columns]))
    codes, labels = factorized[0].reshape(len(columns), -1), factorized[1]
    votes = np.zeros((codes.shape[1], len(labels)))
    for row, weight in zip(codes, weights, strict=True):
        votes[np.arange(len(row)), row] += weight
    # Break ties in favour of the first voter, by an amount smaller than any weight.
    for index, row in enumerate(codes):
        votes[np.arange(len(row)), row] += 1e-9 * 0.5**index
    return np.asarray(labels)[votes.argmax(axis=1)]
