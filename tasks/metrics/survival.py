"""The concordance index: how often the predicted times of two rows are in the order of the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.metrics.row_statistics import RowStatistics
from tasks.metrics.target_columns import target_numbers

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 1000
"""Rows that are compared with all others in one step, to bound memory."""


def concordance(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """For each row the pairs it is in: those that can be compared, and those in the right order (ties count half).

    The first target column is the time; a second one is 1 if the event happened and 0 if the row was lost from
    sight (censored), of which a prediction is ignored. A pair can be compared where the earlier time is an event; of
    equal times, that of an event is earlier than that of a censored row, as in lifelines and scikit-survival. The score
    of a draw is the linear part of the index around the whole sample, in which each pair counts for both rows.
    """
    import numpy as np

    expected = target_numbers(answers, targets)
    times, predicted = expected[:, 0], target_numbers(predictions, targets[:1])[:, 0]
    happened = expected[:, 1] == 1 if len(targets) > 1 else np.ones(len(times), bool)
    pairs, right = np.zeros(len(times)), np.zeros(len(times))
    for start in range(0, len(times), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        is_before = (times[rows, None] < times) | ((times[rows, None] == times) & ~happened)
        earlier = is_before & happened[rows, None]
        gain = earlier * ((predicted[rows, None] < predicted) + 0.5 * (predicted[rows, None] == predicted))
        pairs[rows] += earlier.sum(axis=1)
        right[rows] += gain.sum(axis=1)
        pairs += earlier.sum(axis=0)
        right += gain.sum(axis=0)

    index = right.sum() / pairs.sum() if pairs.any() else np.nan

    def finish(sums: Any, count: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 2 * sums[:, 0] / sums[:, 1] - index

    return RowStatistics(np.column_stack([right, pairs]), finish)
