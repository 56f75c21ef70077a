"""Metrics whose cells are lists: ranked labels, relevances, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.metrics import list_statistics
from tasks.metrics.list_statistics import NO_CUT
from tasks.metrics.metric import built_in
from tasks.metrics.target_columns import target_numbers

if TYPE_CHECKING:
    import pandas as pd


@built_in(
    False,
    "labels",
    row_statistics=list_statistics.average_precision_at,
    answers="lists",
    predictions="lists",
    parameter="k",
)
def map(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], k: int = NO_CUT) -> float:
    """Mean average precision: cells are labels separated by spaces, best guess first; `map@5` counts the first 5."""
    return list_statistics.average_precision_at(answers, predictions, targets, k).whole()


@built_in(False, "scores", answers="non_negative", predictions="numbers", parameter="k")
def ndcg(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str], k: int = NO_CUT) -> float:
    """Discounted gain of relevances ranked by score: each row of several columns is a list, or one column is."""
    expected, predicted = target_numbers(answers, targets), target_numbers(predictions, targets)
    if len(targets) == 1:
        expected, predicted = expected.T, predicted.T
    return list_statistics.discounted_gain(expected, predicted, k)


@built_in(False, "labels", row_statistics=list_statistics.dice, answers="masks", predictions="masks")
def dice(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Dice of run-length encoded masks (`start length start length`), averaged over rows; two empty ones count as 1."""
    return list_statistics.dice(answers, predictions, targets).whole()


@built_in(False, "labels", row_statistics=list_statistics.iou, answers="masks", predictions="masks")
def iou(answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Intersection over union of run-length encoded masks, averaged over rows; two empty masks count as 1."""
    return list_statistics.iou(answers, predictions, targets).whole()
