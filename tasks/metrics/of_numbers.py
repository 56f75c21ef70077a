"""Metrics whose predictions are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.metrics import row_statistics
from tasks.metrics.metric import built_in, mean_over
from tasks.metrics.target_columns import target_numbers

if TYPE_CHECKING:
    import pandas as pd


@built_in(True, "numbers", row_statistics=row_statistics.rmse, answers="numbers", predictions="numbers")
def rmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Root of the mean squared error over all rows and columns."""
    return float(((target_numbers(answers, targets) - target_numbers(predictions, targets)) ** 2).mean() ** 0.5)


@built_in(True, "numbers", row_statistics=row_statistics.mae, answers="numbers", predictions="numbers")
def mae(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean absolute error over all rows and columns."""
    return float(abs(target_numbers(answers, targets) - target_numbers(predictions, targets)).mean())


@built_in(True, "numbers", row_statistics=row_statistics.rmsle, answers="non_negative", predictions="non_negative")
def rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSE of log(1 + value): relative errors of numbers from 0 up."""
    import numpy as np

    expected, predicted = target_numbers(answers, targets), target_numbers(predictions, targets)
    return float(((np.log1p(expected) - np.log1p(predicted)) ** 2).mean() ** 0.5)


@built_in(
    True,
    "numbers",
    row_statistics=row_statistics.mean_columnwise_rmsle,
    answers="non_negative",
    predictions="non_negative",
)
def mean_columnwise_rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSLE of every column by itself, averaged over the columns."""
    return mean_over(targets, lambda c: rmsle(answers, predictions, [targets[c]]))


@built_in(True, "numbers", row_statistics=row_statistics.mcrmse, answers="numbers", predictions="numbers")
def mcrmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSE of every column by itself, averaged over the columns."""
    errors = target_numbers(answers, targets) - target_numbers(predictions, targets)
    return float(((errors**2).mean(axis=0) ** 0.5).mean())


@built_in(
    False,
    "numbers",
    row_statistics=row_statistics.r2,
    answers="numbers",
    predictions="numbers",
    needs_varied_answers=True,
)
def r2(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of the variance explained; averaged over several columns."""
    from sklearn.metrics import r2_score

    return float(r2_score(target_numbers(answers, targets), target_numbers(predictions, targets)))


@built_in(True, "numbers", row_statistics=row_statistics.mse, answers="numbers", predictions="numbers")
def mse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean squared error over all rows and columns."""
    return row_statistics.mse(answers, predictions, targets).whole()


@built_in(True, "numbers", answers="numbers", predictions="numbers")
def median_absolute_error(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Median of the absolute errors of a column; averaged over several columns."""
    import numpy as np

    errors = abs(target_numbers(answers, targets) - target_numbers(predictions, targets))
    return float(np.median(errors, axis=0).mean())


@built_in(True, "numbers", row_statistics=row_statistics.mape, answers="not_zero", predictions="numbers")
def mape(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean of the absolute errors as shares of the answers (0.1 is 10 %), over all rows and columns."""
    return row_statistics.mape(answers, predictions, targets).whole()


@built_in(True, "numbers", row_statistics=row_statistics.smape, answers="numbers", predictions="numbers")
def smape(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean of 200 * |error| / (|answer| + |prediction|), 0 where both are 0, over all rows and columns."""
    return row_statistics.smape(answers, predictions, targets).whole()


@built_in(
    True,
    "numbers",
    row_statistics=row_statistics.pinball,
    answers="numbers",
    predictions="numbers",
    parameter="quantile",
)
def pinball(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], quantile: float = 0.5) -> float:
    """Quantile loss over all rows and columns; `pinball@0.9` for the 90 % quantile, the median where none is named."""
    return row_statistics.pinball(answers, predictions, targets, quantile).whole()
