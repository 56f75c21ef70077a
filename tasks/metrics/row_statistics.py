"""Metrics as functions of sums over rows: a bootstrap draw then costs a matrix product instead of a new scoring.

The built-in metrics have exactly this form, except AUC: its draws use DeLong's placement values, the linear part of
the metric around the whole sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.metrics.ranking import placement_values
from tasks.metrics.target_columns import (
    clipped_probabilities,
    comparable_labels,
    normalized_probabilities,
    target_numbers,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

Finish = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class RowStatistics:
    """`rows` (rows x statistics) are summed over the rows of a draw; `finish` turns the sums into scores.

    `finish` takes sums (draws x statistics) and the number of rows drawn (draws), and returns scores (draws).
    """

    rows: Any
    finish: Finish

    def whole(self) -> float:
        """The score of all rows."""
        import numpy as np

        return float(self.finish(self.rows.sum(axis=0)[None, :], np.array([float(len(self.rows))]))[0])


MakeStatistics = Callable[..., RowStatistics]
"""From answers, predictions and target columns to the row statistics of these predictions."""


def accuracy(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Whether each cell is right."""
    import numpy as np

    pairs = [comparable_labels(answers[name], predictions[name]) for name in targets]
    return mean_of(np.column_stack([expected == predicted for expected, predicted in pairs]).astype(float))


def f1_macro(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """For each label: hits, occurrences among the answers, occurrences among the predictions."""
    import numpy as np

    columns, widths = [], []
    for name in targets:
        expected, predicted = comparable_labels(answers[name], predictions[name])
        labels = np.unique(expected)
        is_expected, is_predicted = expected[:, None] == labels, predicted[:, None] == labels
        columns += [is_expected & is_predicted, is_expected, is_predicted]
        widths.append(len(labels))

    def finish(sums: Any, count: Any) -> Any:
        scores, start = [], 0
        for width in widths:
            hits, expected, predicted = (sums[:, start + n * width : start + (n + 1) * width] for n in range(3))
            scores.append((2 * hits / np.maximum(expected + predicted, 1)).mean(axis=1))
            start += 3 * width
        return np.mean(scores, axis=0)

    return RowStatistics(np.column_stack(columns).astype(float), finish)


def quadratic_weighted_kappa(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared differences and the first two moments of both grades.

    kappa = 1 - sum (a - p)^2 / (n * expected), where the expected squared difference of two independent grades
    depends only on these moments.
    """
    import numpy as np

    expected, predicted = target_numbers(answers, targets), whole_numbers(predictions, targets)
    rows = np.column_stack([(expected - predicted) ** 2, expected, predicted, expected**2, predicted**2])
    width = len(targets)

    def finish(sums: Any, count: Any) -> Any:
        error, one, two, one2, two2 = (sums[:, n * width : (n + 1) * width] / count[:, None] for n in range(5))
        with np.errstate(divide="ignore", invalid="ignore"):
            return (1 - error / (one2 + two2 - 2 * one * two)).mean(axis=1)

    return RowStatistics(rows, finish)


def roc_auc(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Placement values of positive and negative rows, and the class of each row."""
    import numpy as np

    expected, predicted = target_numbers(answers, targets), target_numbers(predictions, targets)
    columns, areas = [], []
    for index in range(len(targets)):
        positive = expected[:, index] == 1
        placements = placement_values(positive, predicted[:, index])
        areas.append(placements[positive].mean() if positive.any() else np.nan)
        columns += [placements * positive, positive, placements * ~positive, ~positive]

    def finish(sums: Any, count: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = [
                sums[:, n] / sums[:, n + 1] + sums[:, n + 2] / sums[:, n + 3] - areas[n // 4]
                for n in range(0, 4 * len(targets), 4)
            ]
        return np.mean(scores, axis=0)

    return RowStatistics(np.column_stack(columns).astype(float), finish)


def log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """The log loss of each row."""
    import numpy as np

    expected = target_numbers(answers, targets)
    if len(targets) == 1:
        predicted = clipped_probabilities(predictions, targets)
        return mean_of(-(expected * np.log(predicted) + (1 - expected) * np.log(1 - predicted)))
    predicted = normalized_probabilities(predictions, targets)
    return mean_of(-(expected * np.log(predicted)).sum(axis=1, keepdims=True))


def mean_columnwise_log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """The log loss of each cell."""
    import numpy as np

    return mean_of(np.column_stack([log_loss(answers, predictions, [name]).rows for name in targets]))


def mae(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Absolute errors."""
    return mean_of(abs(_errors(answers, predictions, targets)))


def rmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared errors; the root is taken over all columns."""
    return _root_of_mean(_errors(answers, predictions, targets) ** 2)


def mcrmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared errors; the root is taken of each column."""
    return _mean_of_roots(_errors(answers, predictions, targets) ** 2)


def rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared errors of log(1 + value); the root is taken over all columns."""
    return _root_of_mean(_log_errors(answers, predictions, targets) ** 2)


def mean_columnwise_rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared errors of log(1 + value); the root is taken of each column."""
    return _mean_of_roots(_log_errors(answers, predictions, targets) ** 2)


def mse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared errors."""
    return mean_of(_errors(answers, predictions, targets) ** 2)


def mape(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Absolute errors as shares of the answers."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        return mean_of(abs(_errors(answers, predictions, targets) / target_numbers(answers, targets)))


def smape(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Absolute errors as percentages of the mean size of answer and prediction."""
    import numpy as np

    sizes = abs(target_numbers(answers, targets)) + abs(target_numbers(predictions, targets))
    return mean_of(200 * abs(_errors(answers, predictions, targets)) / np.where(sizes > 0, sizes, 1))


def pinball(
    answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], quantile: float = 0.5
) -> RowStatistics:
    """Errors weighted by `quantile` where the prediction is too low, and by the rest where it is too high."""
    import numpy as np

    errors = _errors(answers, predictions, targets)
    return mean_of(np.maximum(quantile * errors, (quantile - 1) * errors))


def r2(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """Squared errors and the first two moments of the answers."""
    import numpy as np

    expected, width = target_numbers(answers, targets), len(targets)
    expected = expected - expected.mean(axis=0)  # only the variance matters, and a large mean would cost digits
    rows = np.column_stack([_errors(answers, predictions, targets) ** 2, expected, expected**2])

    def finish(sums: Any, count: Any) -> Any:
        error, first, second = (sums[:, n * width : (n + 1) * width] for n in range(3))
        return (1 - error / (second - first**2 / count[:, None])).mean(axis=1)

    return RowStatistics(rows, finish)


def mean_of(rows: Any) -> RowStatistics:
    """The mean over all cells."""
    return RowStatistics(rows, lambda sums, count: (sums / count[:, None]).mean(axis=1))


def _root_of_mean(rows: Any) -> RowStatistics:
    return RowStatistics(rows, lambda sums, count: (sums / count[:, None]).mean(axis=1) ** 0.5)


def _mean_of_roots(rows: Any) -> RowStatistics:
    return RowStatistics(rows, lambda sums, count: ((sums / count[:, None]) ** 0.5).mean(axis=1))


def _errors(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> Any:
    return target_numbers(answers, targets) - target_numbers(predictions, targets)


def _log_errors(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> Any:
    import numpy as np

    return np.log1p(target_numbers(predictions, targets)) - np.log1p(target_numbers(answers, targets))
