"""Metrics whose predictions are labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.metrics import class_counts, row_statistics
from tasks.metrics.metric import built_in, mean_over
from tasks.metrics.target_columns import comparable_labels

if TYPE_CHECKING:
    import pandas as pd


@built_in(False, "labels", row_statistics=row_statistics.accuracy)
def accuracy(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of rows with the right label; averaged over several columns."""

    def score_column(index: int) -> float:
        expected, predicted = comparable_labels(answers[targets[index]], predictions[targets[index]])
        return float((expected == predicted).mean())

    return mean_over(targets, score_column)


@built_in(False, "labels", row_statistics=row_statistics.f1_macro)
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

    return mean_over(targets, score_column)


@built_in(
    False,
    "labels",
    row_statistics=row_statistics.quadratic_weighted_kappa,
    answers="whole",
    predictions="whole",
    needs_varied_answers=True,
)
def quadratic_weighted_kappa(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Cohen's kappa of whole-number grades, with the square of the distance as weight."""
    return row_statistics.quadratic_weighted_kappa(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=class_counts.balanced_accuracy)
def balanced_accuracy(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Share of right rows of each label, averaged over the labels of the answers, then over the columns."""
    return class_counts.balanced_accuracy(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=class_counts.f1, answers="binary", predictions="binary")
def f1(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """F1 of the rows with 1 in a 0/1 column; averaged over several columns."""
    return class_counts.f1(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=class_counts.f1_micro, answers="binary", predictions="binary")
def f1_micro(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """F1 of the cells with 1 in all 0/1 columns together."""
    return class_counts.f1_micro(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=class_counts.f1_samples, answers="binary", predictions="binary")
def f1_samples(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """F1 of the 0/1 cells of each row, averaged over the rows; a row without any 1 that is right counts as 1."""
    return class_counts.f1_samples(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=class_counts.f1_weighted)
def f1_weighted(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """F1 of each label, weighted by its share of the answers; averaged over several columns."""
    return class_counts.f1_weighted(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=class_counts.mcc, needs_varied_answers=True)
def mcc(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Matthews correlation of labels, also of more than two; averaged over several columns."""
    return class_counts.mcc(answers, predictions, targets).whole()
