"""Several submissions made one: labels by vote, ranks or numbers by mean, all weighted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tasks.io.columns import Columns
from tasks.io.csv_text import Number, as_number
from tasks.judging.validate_submission import number

if TYPE_CHECKING:
    from tasks.metrics.registry import Metric


CLASSES = 100
"""More different whole numbers than these are amounts."""


def combine(metric: Metric, targets: Sequence[str], tables: Sequence[Columns], weights: Sequence[float]) -> Columns:
    """One table of several with the same rows in the same order; other columns are the first's.

    A metric that ranks gets the mean of ranks, so that no candidate counts for more because its scores spread wider.
    """
    made = tables[0]
    for target in targets:
        made = made.with_column(target, _combined(metric, [table.column(target) for table in tables], weights))
    return made


def _combined(metric: Metric, columns: Sequence[Sequence[str]], weights: Sequence[float]) -> list[str]:
    try:
        numbers = [[number(cell) for cell in column] for column in columns] if metric.needs != "labels" else []
    except ValueError:
        numbers = []
    if numbers and not looks_like_labels(metric, numbers):
        if metric.name == "roc_auc" and metric.file is None and len(columns) > 1:
            numbers = [_ranks(column) for column in numbers]
        total = sum(weights)
        means = [
            sum(w * v for w, v in zip(weights, values, strict=True)) / total for values in zip(*numbers, strict=True)
        ]
        return ["" if math.isnan(value) else repr(value) for value in means]
    return _votes(columns, weights)


def looks_like_labels(metric: Metric, columns: Iterable[Iterable[float]]) -> bool:
    """Whether numbers are classes: a metric of the task's own may count hits, and no class lies between two others.

    Said of few whole numbers where task.yaml does not say what the metric needs.
    """
    if metric.file is None or metric.needs != "numbers":
        return False
    known: set[float] = set()
    for column in columns:
        known.update(column)
        if len(known) > CLASSES or not all(value.is_integer() for value in known):
            return False
    return True


def _votes(columns: Sequence[Sequence[str]], weights: Sequence[float]) -> list[str]:
    """The label with most weight in each row, as its first voter writes it: 1 and 1.0 are one label."""
    won = []
    for cells in zip(*columns, strict=True):
        labels = [cell if (number := as_number(cell)) is None else number for cell in cells]
        votes: dict[str | Number, float] = defaultdict(float)
        for label, weight in zip(labels, weights, strict=True):
            votes[label] += weight
        best = max(votes, key=lambda label: (round(votes[label], 9), -labels.index(label)))  # a tie: who came first
        won.append(cells[labels.index(best)])
    return won


def _ranks(values: Sequence[float]) -> list[float]:
    """Mean ranks from 0 to 1; equal values get equal ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for at in order[start:end]:
            ranks[at] = (start + end - 1) / 2 / max(1, len(values) - 1)
        start = end
    return ranks
