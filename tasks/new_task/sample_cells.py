"""The cells of a sample submission, the first submission of every run: one constant for each column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tasks.io.columns import Columns, parse_numbers
from tasks.metrics.metric import Metric
from tasks.new_task.targets import Target


def sample_cells(target: Target, metric: Metric, train: Columns) -> list[str]:
    """The most common label, the median of numbers, or a probability that says nothing."""
    if target.answer == "onehot":
        return [f"{1 / len(target.predicted):.4f}"] * len(target.predicted)
    if target.answer == "map":
        return ["0.5"]
    return [sample_cell(metric, train.column(name)) for name in target.labels]


def sample_cell(metric: Metric, cells: Sequence[str]) -> str:
    """A cell that the metric accepts, from the labels of the training rows."""
    numbers = parse_numbers(cells)
    if metric.needs == "labels" or numbers is None:
        return Counter(cells).most_common(1)[0][0]
    if metric.needs == "scores" and metric.answers == "binary":
        return "0.5"
    return sorted(cells, key=float)[len(cells) // 2]
