"""Make sure each fold has rows of every class that the metric needs, and find how many folds can have them.

ROC AUC is undefined on rows of one class: a fold without a positive row makes every evaluation invalid, whatever the
solution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from tasks.holdout.splitters import ADVICE, Folds, TooFewRows

if TYPE_CHECKING:
    from tasks.metrics.registry import Metric

REDRAWS = 20
"""How often folds are assigned again until each has every class of several target columns."""
MIN_FOLDS, CLASS_ROWS = 2, 2
Strata = Sequence[str | None]
"""The label cells of each row, joined by U+001F; None for a row without a label."""


def refuse_one_label(metric: Metric, targets: Sequence[str], strata: Strata) -> None:
    """Raise `TooFewRows` if the labels are so uniform that the metric cannot distinguish solutions."""
    if metric.file or metric.needs == "numbers":
        return
    columns = _count_classes(Counter(strata).items())
    constant = [column for column in columns if len(column) < 2]
    if constant and (len(constant) == len(columns) or metric.needs_both_classes):
        name, label = targets[columns.index(constant[0])], next(iter(constant[0]), "")
        problem = f"every labelled row has {name} = {label!r}, so {metric.name} cannot distinguish solutions"
        raise TooFewRows(f"{problem}; {ADVICE}")
    if not metric.needs_both_classes or not columns:
        return
    for name, column in zip(targets, columns, strict=True):
        label, count = min(column.items(), key=lambda item: item[1])
        if count < MIN_FOLDS:
            problem = f"only one labelled row has {name} = {label!r}, and {metric.name} needs it in train and held out"
            raise TooFewRows(f"{problem}; {ADVICE}")


def max_fold_count(strata: Strata, wanted: int, assign: Callable[[int], Folds]) -> int:
    """The largest number of folds, at most `wanted`, in which every fold has every class: two rows of it, if possible.

    `assign` gives the folds of all rows for a number of folds.
    """
    columns = _count_classes(Counter(strata).items())
    rarest = min((count for column in columns for count in column.values()), default=wanted * CLASS_ROWS)
    limit = min(wanted, max(MIN_FOLDS, rarest // CLASS_ROWS))
    for fold_count in range(limit, MIN_FOLDS - 1, -1):
        if smallest_class_count(strata, assign(fold_count)):
            return fold_count
    return limit


def smallest_class_count(strata: Strata, folds: Folds) -> int:
    """The number of rows of the rarest class in any fold, over all target columns."""
    all_classes = _count_classes(Counter(strata).items())
    counts_of: dict[int, list[tuple[str | None, int]]] = {fold: [] for fold in folds if fold is not None}
    for (fold, stratum), count in Counter(zip(folds, strata, strict=True)).items():
        if fold is not None:
            counts_of[fold].append((stratum, count))
    smallest = [
        in_fold[label]
        for counts in counts_of.values()
        for in_fold, classes in zip(_count_classes(counts, len(all_classes)), all_classes, strict=True)
        for label in classes
    ]
    return min(smallest, default=1)


def _count_classes(counts: Iterable[tuple[str | None, int]], width: int = 0) -> list[Counter[str]]:
    """How often each class is in each target column, from the counts of each combination of labels."""
    columns: list[Counter[str]] = [Counter() for _ in range(width)]
    for stratum, count in counts:
        if stratum:  # None is a row without a label; empty is one whose labels are not cells
            cells = stratum.split("\x1f")
            columns = columns or [Counter() for _ in cells]
            for column, cell in zip(columns, cells, strict=True):
                column[cell.strip()] += count
    return columns
