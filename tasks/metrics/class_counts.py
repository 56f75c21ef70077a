"""Row statistics of labels: for each class its hits, its rows among the answers, and its rows among the predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tasks.metrics.row_statistics import RowStatistics, mean_of
from tasks.metrics.target_columns import comparable_labels, target_numbers

if TYPE_CHECKING:
    import pandas as pd

FromCounts = Callable[[Any, Any, Any, Any], Any]
"""From hits, expected and predicted rows of each class (draws x classes) and rows drawn (draws) to scores (draws)."""


def balanced_accuracy(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """The mean recall of the classes that are among the answers of a draw."""
    import numpy as np

    def score(hits: Any, expected: Any, predicted: Any, count: Any) -> Any:
        known = (expected > 0).sum(axis=1)
        return (hits / np.maximum(expected, 1)).sum(axis=1) / np.maximum(known, 1)

    return _of_classes(answers, predictions, targets, score)


def f1_weighted(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """F1 of each class, weighted by its rows among the answers."""
    import numpy as np

    def score(hits: Any, expected: Any, predicted: Any, count: Any) -> Any:
        each = 2 * hits / np.maximum(expected + predicted, 1)
        return (each * expected).sum(axis=1) / count

    return _of_classes(answers, predictions, targets, score)


def mcc(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """The correlation of expected and predicted classes, from their counts (Gorodkin 2004)."""
    import numpy as np

    def score(hits: Any, expected: Any, predicted: Any, count: Any) -> Any:
        # Predictions that are no class of the answers are a class of their own, which has no hits.
        other = count - predicted.sum(axis=1)
        both = hits.sum(axis=1) * count - (expected * predicted).sum(axis=1)
        spread_predicted = count**2 - (predicted**2).sum(axis=1) - other**2
        spread_expected = count**2 - (expected**2).sum(axis=1)
        product = np.sqrt(spread_predicted * spread_expected)
        return np.where(product > 0, both / np.where(product > 0, product, 1), 0.0)

    return _of_classes(answers, predictions, targets, score)


def f1(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """F1 of the ones of each column."""
    import numpy as np

    def finish(sums: Any, count: Any) -> Any:
        hits, expected, predicted = np.split(sums, 3, axis=1)
        return (2 * hits / np.maximum(expected + predicted, 1)).mean(axis=1)

    return RowStatistics(np.column_stack(_ones(answers, predictions, targets)), finish)


def f1_micro(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """F1 of the ones of all columns together."""
    import numpy as np

    def finish(sums: Any, count: Any) -> Any:
        return 2 * sums[:, 0] / np.maximum(sums[:, 1] + sums[:, 2], 1)

    return RowStatistics(np.column_stack([one.sum(axis=1) for one in _ones(answers, predictions, targets)]), finish)


def f1_samples(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> RowStatistics:
    """F1 of the ones of each row."""
    import numpy as np

    hits, expected, predicted = (one.sum(axis=1, keepdims=True) for one in _ones(answers, predictions, targets))
    total = expected + predicted
    return mean_of(np.where(total > 0, 2 * hits / np.maximum(total, 1), 1.0))


def _ones(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> tuple[Any, Any, Any]:
    """Hits, expected and predicted ones, each rows x columns."""
    expected, predicted = target_numbers(answers, targets) == 1, target_numbers(predictions, targets) == 1
    return (expected & predicted).astype(float), expected.astype(float), predicted.astype(float)


def _of_classes(
    answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], score: FromCounts
) -> RowStatistics:
    """Statistics of each column by itself; the score is averaged over the columns."""
    import numpy as np

    columns, widths = [], []
    for name in targets:
        expected, predicted = comparable_labels(answers[name], predictions[name])
        classes = np.unique(expected)
        is_expected, is_predicted = expected[:, None] == classes, predicted[:, None] == classes
        columns += [is_expected & is_predicted, is_expected, is_predicted]
        widths.append(len(classes))

    def finish(sums: Any, count: Any) -> Any:
        scores, start = [], 0
        for width in widths:
            hits, expected, predicted = (sums[:, start + n * width : start + (n + 1) * width] for n in range(3))
            scores.append(score(hits, expected, predicted, count))
            start += 3 * width
        return np.mean(scores, axis=0)

    return RowStatistics(np.column_stack(columns).astype(float), finish)
