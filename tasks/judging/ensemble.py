"""Combine submissions into one: a weighted vote of labels, a weighted mean of ranks or numbers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tasks.io.columns import Columns
from tasks.io.csv_text import Number, as_boolean, as_number, is_boolean_word, number
from tasks.metrics.ranking import mean_ranks

if TYPE_CHECKING:
    from tasks.metrics.registry import Metric


MOST_CLASSES = 100
"""A column with more distinct whole numbers than this holds amounts, not classes."""


def combine(metric: Metric, targets: Sequence[str], tables: Sequence[Columns], weights: Sequence[float]) -> Columns:
    """Combine tables with the same rows in the same order; columns that are not targets come from the first table.

    For a rank-based metric ranks are averaged, so that no candidate counts for more because its scores spread wider.
    """
    combined = tables[0]
    for target in targets:
        columns = [table.column(target) for table in tables]
        combined = combined.with_column(target, _combine_cells(metric, columns, weights))
    return combined


def _combine_cells(metric: Metric, columns: Sequence[Sequence[str]], weights: Sequence[float]) -> list[str]:
    try:
        numbers = [[number(cell) for cell in column] for column in columns] if metric.needs != "labels" else []
    except ValueError:
        numbers = []
    if not numbers or looks_like_labels(metric, numbers):
        return _vote(columns, weights)
    if metric.is_rank_based and len(columns) > 1:
        numbers = [(mean_ranks(column) / max(1, len(column) - 1)).tolist() for column in numbers]
    total = sum(weights)
    means = [sum(w * v for w, v in zip(weights, values, strict=True)) / total for values in zip(*numbers, strict=True)]
    return ["" if math.isnan(value) else repr(value) for value in means]


def looks_like_labels(metric: Metric, columns: Iterable[Iterable[float]]) -> bool:
    """Whether numbers may be classes, which have no mean: a few whole numbers, scored by a metric of the task's own
    whose `needs` task.yaml leaves at the default."""
    if metric.file is None or metric.needs != "numbers":
        return False
    distinct: set[float] = set()
    for column in columns:
        distinct.update(column)
        if len(distinct) > MOST_CLASSES or not all(value.is_integer() for value in distinct):
            return False
    return True


def _vote(columns: Sequence[Sequence[str]], weights: Sequence[float]) -> list[str]:
    """The label with most weight in each row, as its first voter writes it: 1 and 1.0 are one label."""
    columns = _unify_booleans(columns)
    winners = []
    for cells in zip(*columns, strict=True):
        labels = [cell if (number := as_number(cell)) is None else number for cell in cells]
        votes: dict[str | Number, float] = defaultdict(float)
        for label, weight in zip(labels, weights, strict=True):
            votes[label] += weight
        best = max(votes, key=lambda label: (round(votes[label], 9), -labels.index(label)))  # a tie: the first voter
        winners.append(cells[labels.index(best)])
    return winners


def _unify_booleans(columns: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """The columns with True and False in place of every boolean, if they write booleans in several ways.

    Official graders refuse a column that has both words and numbers.
    """
    distinct: set[str] = set().union(*columns)
    booleans = {cell: as_boolean(cell) for cell in distinct}
    is_one_writing = len(set(booleans.values())) == len(distinct)
    if is_one_writing or None in booleans.values() or not any(map(is_boolean_word, distinct)):
        return columns
    return [[str(booleans[cell]) for cell in column] for column in columns]
