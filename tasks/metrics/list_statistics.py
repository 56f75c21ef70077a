"""Row statistics of cells that are lists: ranked labels (average precision) and masks as run lengths (Dice, IoU)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tasks.metrics.row_statistics import RowStatistics, mean_of
from tasks.metrics.target_columns import read_mask

if TYPE_CHECKING:
    import pandas as pd

NO_CUT = 1_000_000
"""A `k` that cuts no list."""


def average_precision_at(
    answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], k: int = NO_CUT
) -> RowStatistics:
    """The average precision of each cell at `k`; 0 if the answer has no labels, as in Kaggle's code of it."""

    def precision(answer: object, prediction: object) -> float:
        wanted = set(_labels(answer))
        guesses = _labels(prediction)[:k]
        hits, total = 0, 0.0
        for place, guess in enumerate(guesses, 1):
            if guess in wanted and guess not in guesses[: place - 1]:
                hits += 1
                total += hits / place
        return total / min(len(wanted), k) if wanted else 0.0

    return _of_cells(answers, predictions, targets, precision)


def _labels(cell: object) -> list[str]:
    return [] if _is_missing(cell) else str(cell).removesuffix(".0").split()


def dice(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Twice the common pixels of two masks, as a share of the pixels of both."""

    def overlap(answer: object, prediction: object) -> float:
        common, one, other = _pixels(answer, prediction)
        return 2 * common / (one + other) if one + other else 1.0

    return _of_cells(answers, predictions, targets, overlap)


def iou(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """The common pixels of two masks, as a share of the pixels in either."""

    def overlap(answer: object, prediction: object) -> float:
        common, one, other = _pixels(answer, prediction)
        return common / (one + other - common) if one + other else 1.0

    return _of_cells(answers, predictions, targets, overlap)


def _of_cells(
    answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], score: Callable[[object, object], float]
) -> RowStatistics:
    import numpy as np

    columns = [list(map(score, answers[name].tolist(), predictions[name].tolist())) for name in targets]
    return mean_of(np.column_stack(columns).astype(float))


def _pixels(answer: object, prediction: object) -> tuple[int, int, int]:
    """The pixels that both masks have, and those that each has."""
    one, other = (read_mask("" if _is_missing(cell) else str(cell)) for cell in (answer, prediction))
    common = place = 0
    for start, end in one:
        while place < len(other) and other[place][1] <= start:
            place += 1
        for begin, stop in other[place:]:
            if begin >= end:
                break
            common += min(end, stop) - max(start, begin)
    return common, sum(end - start for start, end in one), sum(end - start for start, end in other)


def _is_missing(cell: object) -> bool:
    return cell is None or cell != cell


def discounted_gain(relevance: Any, scores: Any, k: int) -> float:
    """The normalised discounted cumulative gain of each row of a table of relevances, averaged.

    Equal scores share the mean of their relevances, and a row without relevant columns counts as 0, as in scikit-learn.
    """
    import numpy as np

    discounts = 1 / np.log2(np.arange(2, relevance.shape[1] + 2))
    discounts[k:] = 0.0
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked, sorted_scores = (np.take_along_axis(table, order, axis=1) for table in (relevance, scores))
    starts = np.ones(scores.shape, bool)  # of runs of equal scores
    starts[:, 1:] = sorted_scores[:, 1:] != sorted_scores[:, :-1]
    run = np.cumsum(starts) - 1
    ranked = (np.bincount(run, ranked.ravel()) / np.bincount(run))[run].reshape(scores.shape)
    best = (-np.sort(-relevance, axis=1) * discounts).sum(axis=1)
    return float(((ranked * discounts).sum(axis=1) / np.where(best > 0, best, 1)).mean())
