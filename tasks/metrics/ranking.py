"""Ranks and the area under the ROC curve (AUC), computed from ranks: importing scikit-learn for it costs 1.3 s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def mean_ranks(values: Any) -> Any:
    """The rank of each value, from 0 on, as a float array; equal values share their mean rank."""
    import numpy as np

    _, positions, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[positions]


def area_under_roc(is_positive: Any, scores: Any) -> float:
    """The AUC of scores (rows) that should rank positive rows higher (Mann-Whitney); NaN if only one class is there."""
    import numpy as np

    positive = np.asarray(is_positive, bool)
    count = int(positive.sum())
    pairs = count * (len(positive) - count)
    if not pairs:
        return float("nan")
    return float((mean_ranks(scores)[positive].sum() - count * (count - 1) / 2) / pairs)


def precision_of_ranks(is_positive: Any, scores: Any) -> float:
    """The average precision of scores (rows) that should rank positive rows higher; NaN without a positive row.

    Rows of equal scores have one rank, as in scikit-learn: precision is taken at the end of each rank.
    """
    import numpy as np

    positive, scores = np.asarray(is_positive, bool), np.asarray(scores, float)
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    gained = np.diff(hits[ends], prepend=0)
    return float((gained * hits[ends] / (ends + 1)).sum() / hits[-1])


def placement_values(is_positive: Any, scores: Any) -> Any:
    """For each row, the share of rows of the other class that it is ranked correctly against; ties count half.

    Their mean over the positive rows is the AUC (DeLong, DeLong and Clarke-Pearson 1988). NaN without another class.
    """
    import numpy as np

    order = np.argsort(scores, kind="stable")  # sorted lookups: a million rows take well under a second
    ranked, classes = scores[order], is_positive[order]
    positives, negatives = ranked[classes], ranked[~classes]
    placements, in_order = np.empty(len(scores)), np.empty(len(scores))
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
        above = (
            2 * len(positives)
            - np.searchsorted(positives, negatives, "left")
            - np.searchsorted(positives, negatives, "right")
        )
        in_order[classes] = below / (2 * len(negatives))
        in_order[~classes] = above / (2 * len(positives))
    placements[order] = in_order
    return placements


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 where one of the two is constant."""
    one, other = (ranks - (len(ranks) - 1) / 2 for ranks in (mean_ranks(first), mean_ranks(second)))
    spread = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / spread if spread else 0.0


REVEALING = 0.1
"""Distance of the AUC from 0.5 from which on an order reveals the class."""


def order_auc(is_positive: Sequence[bool]) -> tuple[float, float]:
    """The AUC of an order (0.5: it reveals nothing) and three of its standard errors under chance."""
    pairs = sum(is_positive) * (len(is_positive) - sum(is_positive))
    if not pairs:
        return 0.5, 1.0
    return area_under_roc(is_positive, range(len(is_positive))), 3 * math.sqrt((len(is_positive) + 1) / 12 / pairs)


def reveals_class(is_positive: Sequence[bool]) -> bool:
    """Whether an order reveals the class by more than chance."""
    auc, chance = order_auc(is_positive)
    return abs(auc - 0.5) > max(REVEALING, chance)
