"""Metrics whose predictions are scores that rank, or probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.metrics import row_statistics, survival
from tasks.metrics.metric import built_in, mean_over
from tasks.metrics.ranking import area_under_roc, precision_of_ranks
from tasks.metrics.target_columns import clipped_probabilities, normalized_probabilities, target_numbers

if TYPE_CHECKING:
    import pandas as pd


@built_in(
    False,
    "scores",
    row_statistics=row_statistics.roc_auc,
    answers="binary",
    predictions="numbers",
    is_rank_based=True,
    needs_both_classes=True,
    needs_varied_answers=True,
)
def roc_auc(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Area under the ROC curve of a 0/1 column; averaged over several columns."""
    expected, predicted = target_numbers(answers, targets), target_numbers(predictions, targets)
    return mean_over(targets, lambda c: area_under_roc(expected[:, c] == 1, predicted[:, c]))


@built_in(True, "scores", row_statistics=row_statistics.log_loss, answers="binary", predictions="probabilities")
def log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Negative mean log likelihood; several columns are one class each, scaled to sum to 1 in every row."""
    import numpy as np

    expected = target_numbers(answers, targets)
    if len(targets) == 1:
        predicted = clipped_probabilities(predictions, targets)
        return float(-np.mean(expected * np.log(predicted) + (1 - expected) * np.log(1 - predicted)))
    predicted = normalized_probabilities(predictions, targets)
    return float(-np.mean((expected * np.log(predicted)).sum(axis=1)))


@built_in(
    True,
    "scores",
    row_statistics=row_statistics.mean_columnwise_log_loss,
    answers="binary",
    predictions="probabilities",
)
def mean_columnwise_log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Log loss of every 0/1 column by itself, averaged over the columns."""
    return mean_over(targets, lambda c: log_loss(answers, predictions, [targets[c]]))


@built_in(
    False,
    "scores",
    answers="binary",
    predictions="numbers",
    is_rank_based=True,
    needs_both_classes=True,
    needs_varied_answers=True,
)
def average_precision(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Precision at each row with 1, ranked by score, averaged over these rows; averaged over several columns."""
    expected, predicted = target_numbers(answers, targets), target_numbers(predictions, targets)
    return mean_over(targets, lambda c: precision_of_ranks(expected[:, c] == 1, predicted[:, c]))


@built_in(True, "scores", row_statistics=row_statistics.mse, answers="binary", predictions="probabilities")
def brier(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean squared error of the probability of 1, over all rows and columns."""
    return row_statistics.mse(answers, predictions, targets).whole()


@built_in(
    False,
    "scores",
    row_statistics=survival.concordance,
    answers="numbers",
    predictions="numbers",
    needs_varied_answers=True,
)
def c_index(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of comparable pairs of times predicted in the right order; a second target column is 1 for an event."""
    return survival.concordance(answers, predictions, targets).whole()
