"""The metrics a task may name, each with its traits, and metrics of a task's own in a Python file.

One more metric is one entry here: a function with the decorator `_built_in`. It takes the answers, the predictions
(rows in the same order) and the names of the target columns, and returns one float. pandas, numpy and scikit-learn
are imported only when something is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.metrics import row_statistics
from tasks.metrics.ranking import area_under_roc
from tasks.metrics.row_statistics import MakeStatistics
from tasks.metrics.target_columns import (
    ValueKind,
    clipped_probabilities,
    comparable_labels,
    normalized_probabilities,
    target_numbers,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

Needs = Literal["labels", "scores", "numbers"]
Scorer = Callable[["pd.DataFrame", "pd.DataFrame", Sequence[str]], float]

RECORDED = ("name", "lower_is_better", "needs", "doc", "file", "function")


@dataclass(frozen=True)
class Metric:
    """A metric and its traits. No other code compares names of metrics.

    `needs` says what a prediction is: a class label, a score that ranks (or a probability), or a number.
    `file` and `function` are set for a metric of the task's own, `scorer` for the others.
    `row_statistics`: how draws of the bootstrap are scored; None: by scoring resampled rows, in fewer draws.
    `answers` and `predictions`: the values that are accepted.
    `is_rank_based`: only the order of predictions counts. Ensembles then average ranks.
    `needs_both_classes`: there is no score on rows of one class. Each fold must have both, folds with few rows of one
    are pooled, and a score with few such rows has a least noise. Answers must be `binary`.
    `needs_varied_answers`: there is no score where all answers are equal.
    """

    name: str
    lower_is_better: bool
    needs: Needs
    doc: str = ""
    file: Path | None = None
    function: str | None = None
    scorer: Scorer | None = field(default=None, repr=False)
    row_statistics: MakeStatistics | None = field(default=None, repr=False)
    answers: ValueKind = "any"
    predictions: ValueKind = "any"
    is_rank_based: bool = False
    needs_both_classes: bool = False
    needs_varied_answers: bool = False

    @property
    def noise_method(self) -> str:
        """How the bootstrap scores its draws, in words."""
        return "row statistics" if self.row_statistics else "scoring resampled rows"

    def record(self) -> dict[str, Any]:
        """What a blend keeps of the metric, as JSON values; `metric_from_record` reads it."""
        return {name: getattr(self, name) for name in RECORDED} | {"file": str(self.file) if self.file else None}


METRICS: dict[str, Metric] = {}
"""Every metric that a task may call by name."""


def metric_from_record(record: dict[str, Any]) -> Metric:
    """The metric of a blend. Raises KeyError for a name that is not registered."""
    if record["file"] is None:
        return METRICS[record["name"]]
    return Metric(**{**record, "file": Path(record["file"])})


def _built_in(lower_is_better: bool, needs: Needs, **traits: Any) -> Callable[[Scorer], Scorer]:
    """Register a function under its name, with the first line of its docstring."""

    def register(scorer: Scorer) -> Scorer:
        name, doc = scorer.__name__, (scorer.__doc__ or "").strip().split("\n")[0]
        METRICS[name] = Metric(name, lower_is_better, needs, doc, scorer=scorer, **traits)
        return scorer

    return register


def _mean_over(targets: Sequence[str], score_column: Callable[[int], float]) -> float:
    return sum(score_column(index) for index in range(len(targets))) / len(targets)


# ----------------------------------------------------------------------------------------------------------- labels


@_built_in(False, "labels", row_statistics=row_statistics.accuracy)
def accuracy(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of rows with the right label; averaged over several columns."""

    def score_column(index: int) -> float:
        expected, predicted = comparable_labels(answers[targets[index]], predictions[targets[index]])
        return float((expected == predicted).mean())

    return _mean_over(targets, score_column)


@_built_in(False, "labels", row_statistics=row_statistics.f1_macro)
def f1_macro(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """F1 of each label, averaged over the labels of the answers, then over the columns."""
    import numpy as np
    from sklearn.metrics import f1_score

    def score_column(index: int) -> float:
        expected, predicted = comparable_labels(answers[targets[index]], predictions[targets[index]])
        labels, codes = np.unique(expected, return_inverse=True)
        predicted_codes = np.full(len(predicted), -1)
        for code, label in enumerate(labels):
            predicted_codes[predicted == label] = code
        return float(f1_score(codes, predicted_codes, labels=range(len(labels)), average="macro", zero_division=0))

    return _mean_over(targets, score_column)


@_built_in(
    False,
    "labels",
    row_statistics=row_statistics.quadratic_weighted_kappa,
    answers="whole",
    predictions="whole",
    needs_varied_answers=True,
)
def quadratic_weighted_kappa(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Cohen's kappa of whole-number grades, with the square of the distance as weight."""
    from sklearn.metrics import cohen_kappa_score

    expected = target_numbers(answers, targets).astype(int)
    predicted = whole_numbers(predictions, targets).astype(int)
    return _mean_over(targets, lambda c: float(cohen_kappa_score(expected[:, c], predicted[:, c], weights="quadratic")))


# ----------------------------------------------------------------------------------------- scores and probabilities


@_built_in(
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
    return _mean_over(targets, lambda c: area_under_roc(expected[:, c] == 1, predicted[:, c]))


@_built_in(True, "scores", row_statistics=row_statistics.log_loss, answers="binary", predictions="probabilities")
def log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Negative mean log likelihood; several columns are one class each, scaled to sum to 1 in every row."""
    import numpy as np

    expected = target_numbers(answers, targets)
    if len(targets) == 1:
        predicted = clipped_probabilities(predictions, targets)
        return float(-np.mean(expected * np.log(predicted) + (1 - expected) * np.log(1 - predicted)))
    predicted = normalized_probabilities(predictions, targets)
    return float(-np.mean((expected * np.log(predicted)).sum(axis=1)))


@_built_in(
    True,
    "scores",
    row_statistics=row_statistics.mean_columnwise_log_loss,
    answers="binary",
    predictions="probabilities",
)
def mean_columnwise_log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Log loss of every 0/1 column by itself, averaged over the columns."""
    return _mean_over(targets, lambda c: log_loss(answers, predictions, [targets[c]]))


# ---------------------------------------------------------------------------------------------------------- numbers


@_built_in(True, "numbers", row_statistics=row_statistics.rmse, answers="numbers", predictions="numbers")
def rmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Root of the mean squared error over all rows and columns."""
    return float(((target_numbers(answers, targets) - target_numbers(predictions, targets)) ** 2).mean() ** 0.5)


@_built_in(True, "numbers", row_statistics=row_statistics.mae, answers="numbers", predictions="numbers")
def mae(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean absolute error over all rows and columns."""
    return float(abs(target_numbers(answers, targets) - target_numbers(predictions, targets)).mean())


@_built_in(True, "numbers", row_statistics=row_statistics.rmsle, answers="non_negative", predictions="non_negative")
def rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSE of log(1 + value): relative errors of numbers from 0 up."""
    import numpy as np

    expected, predicted = target_numbers(answers, targets), target_numbers(predictions, targets)
    return float(((np.log1p(expected) - np.log1p(predicted)) ** 2).mean() ** 0.5)


@_built_in(
    True,
    "numbers",
    row_statistics=row_statistics.mean_columnwise_rmsle,
    answers="non_negative",
    predictions="non_negative",
)
def mean_columnwise_rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSLE of every column by itself, averaged over the columns."""
    return _mean_over(targets, lambda c: rmsle(answers, predictions, [targets[c]]))


@_built_in(True, "numbers", row_statistics=row_statistics.mcrmse, answers="numbers", predictions="numbers")
def mcrmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSE of every column by itself, averaged over the columns."""
    errors = target_numbers(answers, targets) - target_numbers(predictions, targets)
    return float(((errors**2).mean(axis=0) ** 0.5).mean())


@_built_in(
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
