"""How predictions are scored: the metrics a task may name, and metrics of a task's own in a Python file.

A metric takes the answers, the predictions (rows in the same order) and the names of the target columns, and
returns one float. Predictions it cannot score raise ValueError with a fixed sentence that says nothing of the
answers. pandas, numpy and scikit-learn are imported only when something is scored.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Needs = Literal["labels", "scores", "numbers"]
Scorer = Callable[["pd.DataFrame", "pd.DataFrame", Sequence[str]], float]

NOT_A_NUMBER = "A prediction is missing or is not a finite number."
NOT_A_PROBABILITY = "A prediction is not a probability between 0 and 1."
NEGATIVE = "A prediction is negative; this metric takes numbers from 0 up."
NOT_A_WHOLE_NUMBER = "A prediction is not a whole number."
WRONG_ROWS = "The predictions do not have one row for each row that is asked for."
NO_SCORE = "The metric gave no finite number for these predictions."


@dataclass(frozen=True)
class Metric:
    """A metric as a task names it.

    `needs` says what a prediction is: a class label, a score that ranks (or a probability), or a number.
    `file` and `function` are set for a metric of the task's own.
    """

    name: str
    lower_is_better: bool
    needs: Needs
    doc: str = ""
    file: Path | None = None
    function: str | None = None


def score(metric: Metric, answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Score `predictions` against `answers` (same rows, same order) on the columns `targets`, unrounded.

    Raises ValueError, with a sentence fit for the model's eyes, where the predictions cannot be scored.
    """
    import math

    if len(answers) != len(predictions):
        raise ValueError(WRONG_ROWS)
    try:
        value = float(_scorer(metric)(answers, predictions, list(targets)))
    except Exception as error:
        # Only our own sentences pass: what a library or a task's own function says may quote the answers.
        if isinstance(error, ValueError) and str(error) in _SENTENCES:
            raise
        raise ValueError(NO_SCORE) from error
    if not math.isfinite(value):
        raise ValueError(NO_SCORE)
    return value


def _scorer(metric: Metric) -> Scorer:
    if metric.file is None or metric.function is None:
        return _FUNCTIONS[metric.name]
    found = runpy.run_path(str(metric.file)).get(metric.function)
    if not callable(found):
        raise ValueError(NO_SCORE)
    function: Scorer = found
    return function


# -------------------------------------------------------------------------------------------------- reading columns


def target_numbers(frame: pd.DataFrame, targets: Sequence[str]) -> Any:
    """The target columns as a float array (rows x targets); every cell must be a finite number."""
    import numpy as np
    import pandas as pd

    columns = [pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float) for name in targets]
    values = np.column_stack(columns)
    if not np.isfinite(values).all():
        raise ValueError(NOT_A_NUMBER)
    return values


def compared_labels(answers: pd.Series[Any], predictions: pd.Series[Any]) -> tuple[Any, Any]:
    """Both columns as comparable labels: numbers where all answers are numbers, otherwise trimmed text.

    A prediction that is no label at all is a wrong one, not an error.
    """
    import pandas as pd

    wanted = pd.to_numeric(answers, errors="coerce")
    if wanted.notna().all():
        given = pd.to_numeric(predictions, errors="coerce")
        unheard_of = wanted.min() - 1
        return wanted.to_numpy(float), given.fillna(unheard_of).to_numpy(float)
    return _text(answers), _text(predictions)


def _text(column: pd.Series[Any]) -> Any:
    return column.astype(object).where(column.notna(), "").astype(str).str.strip().to_numpy(dtype=object)


def target_probabilities(frame: pd.DataFrame, targets: Sequence[str]) -> Any:
    import numpy as np

    values = target_numbers(frame, targets)
    if (values < 0).any() or (values > 1).any():
        raise ValueError(NOT_A_PROBABILITY)
    return np.clip(values, 1e-15, 1 - 1e-15)


def _mean_over(targets: Sequence[str], one: Callable[[int], float]) -> float:
    return sum(one(column) for column in range(len(targets))) / len(targets)


# ------------------------------------------------------------------------------------------------------ the metrics


def accuracy(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of rows with the right label; averaged over several columns."""

    def one(name: str) -> float:
        wanted, given = compared_labels(answers[name], predictions[name])
        return float((wanted == given).mean())

    return _mean_over(targets, lambda column: one(targets[column]))


def f1_macro(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """F1 of each label, averaged over the labels of the answers, then over the columns."""
    import numpy as np
    from sklearn.metrics import f1_score

    def one(name: str) -> float:
        wanted, given = compared_labels(answers[name], predictions[name])
        known, codes = np.unique(wanted, return_inverse=True)
        guesses = np.full(len(given), -1)
        for code, label in enumerate(known):
            guesses[given == label] = code
        return float(f1_score(codes, guesses, labels=range(len(known)), average="macro", zero_division=0))

    return _mean_over(targets, lambda column: one(targets[column]))


def quadratic_weighted_kappa(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Cohen's kappa of whole-number grades, with the square of the distance as weight."""
    from sklearn.metrics import cohen_kappa_score

    wanted, given = target_numbers(answers, targets), target_numbers(predictions, targets).clip(-1e9, 1e9)
    if (given != given.round()).any():
        raise ValueError(NOT_A_WHOLE_NUMBER)
    return _mean_over(
        targets,
        lambda c: float(cohen_kappa_score(wanted[:, c].astype(int), given[:, c].astype(int), weights="quadratic")),
    )


def _area(wanted: Any, given: Any) -> float:
    """Area under the ROC curve from ranks, ties shared (Mann-Whitney). Importing scikit-learn for it costs 1.3 s."""
    import numpy as np

    positive = wanted == 1
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return float("nan")
    _, where, counts = np.unique(given, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def roc_auc(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Area under the ROC curve of a 0/1 column; averaged over several columns."""
    wanted, given = target_numbers(answers, targets), target_numbers(predictions, targets)
    return _mean_over(targets, lambda column: _area(wanted[:, column], given[:, column]))


def log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Negative mean log likelihood; several columns are one class each, scaled to sum to 1 in every row."""
    import numpy as np

    wanted, given = target_numbers(answers, targets), target_probabilities(predictions, targets)
    if len(targets) == 1:
        return float(-np.mean(wanted * np.log(given) + (1 - wanted) * np.log(1 - given)))
    given = np.clip(given / given.sum(axis=1, keepdims=True), 1e-15, 1 - 1e-15)
    return float(-np.mean((wanted * np.log(given)).sum(axis=1)))


def mean_columnwise_log_loss(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Log loss of every 0/1 column by itself, averaged over the columns."""
    return _mean_over(targets, lambda column: log_loss(answers, predictions, [targets[column]]))


def mae(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Mean absolute error over all rows and columns."""
    return float(abs(target_numbers(answers, targets) - target_numbers(predictions, targets)).mean())


def rmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Root of the mean squared error over all rows and columns."""
    return float(((target_numbers(answers, targets) - target_numbers(predictions, targets)) ** 2).mean() ** 0.5)


def mcrmse(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSE of every column by itself, averaged over the columns."""
    return float(
        (((target_numbers(answers, targets) - target_numbers(predictions, targets)) ** 2).mean(axis=0) ** 0.5).mean()
    )


def rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSE of log(1 + value): relative errors of numbers from 0 up."""
    import numpy as np

    given = target_numbers(predictions, targets)
    if (given < 0).any():
        raise ValueError(NEGATIVE)
    return float(((np.log1p(target_numbers(answers, targets)) - np.log1p(given)) ** 2).mean() ** 0.5)


def mean_columnwise_rmsle(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """RMSLE of every column by itself, averaged over the columns."""
    return _mean_over(targets, lambda column: rmsle(answers, predictions, [targets[column]]))


def r2(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of the variance explained; averaged over several columns."""
    from sklearn.metrics import r2_score

    return float(r2_score(target_numbers(answers, targets), target_numbers(predictions, targets)))


_SENTENCES = {NOT_A_NUMBER, NOT_A_PROBABILITY, NEGATIVE, NOT_A_WHOLE_NUMBER}

_FUNCTIONS: dict[str, Scorer] = {
    function.__name__: function
    for function in (
        accuracy,
        f1_macro,
        quadratic_weighted_kappa,
        roc_auc,
        log_loss,
        mean_columnwise_log_loss,
        rmse,
        mae,
        rmsle,
        mean_columnwise_rmsle,
        mcrmse,
        r2,
    )
}  # fmt: skip

_LOWER = {"log_loss", "mean_columnwise_log_loss", "rmse", "mae", "rmsle", "mean_columnwise_rmsle", "mcrmse"}
_NEEDS: dict[str, Needs] = {
    "accuracy": "labels",
    "f1_macro": "labels",
    "quadratic_weighted_kappa": "labels",
    "roc_auc": "scores",
    "log_loss": "scores",
    "mean_columnwise_log_loss": "scores",
}

METRICS: dict[str, Metric] = {
    name: Metric(name, name in _LOWER, _NEEDS.get(name, "numbers"), (function.__doc__ or "").strip().split("\n")[0])
    for name, function in _FUNCTIONS.items()
}
"""Every metric that a task may call by name."""
