"""Whether each part that is held out has rows of every label, where a score needs them, and how many parts can have.

The area under the ROC curve is of no value on rows of one label: a fold without a positive row makes every evaluation
invalid, whatever the solution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from tasks.holdout.splitters import ADVICE, Parts, TooFewRows

if TYPE_CHECKING:
    from tasks.metrics.registry import Metric

REDRAWS = 20
"""How often rows are dealt anew until every part has all labels of several columns."""
FEWEST_FOLDS, ENOUGH = 2, 2
Strata = Sequence[str | None]


def refuse_one_label(metric: Metric, targets: Sequence[str], strata: Strata) -> None:
    """Raises `TooFewRows` where the labels are such that the metric could never tell one solution from another."""
    if metric.file or metric.needs == "numbers":
        return
    columns = _columns(Counter(strata).items())
    constant = [column for column in columns if len(column) < 2]
    if constant and (len(constant) == len(columns) or metric.needs_both_classes):
        name, label = targets[columns.index(constant[0])], next(iter(constant[0]), "")
        says = f"every labelled row has {name} = {label!r}, so {metric.name} cannot tell one solution from another"
        raise TooFewRows(f"{says}; {ADVICE}")
    if not metric.needs_both_classes or not columns:
        return
    for name, column in zip(targets, columns, strict=True):
        label, count = min(column.items(), key=lambda one: one[1])
        if count < FEWEST_FOLDS:
            says = f"only one labelled row has {name} = {label!r}, and {metric.name} needs it in train and held out"
            raise TooFewRows(f"{says}; {ADVICE}")


def max_fold_count(strata: Strata, parts: int, split: Callable[[int], Parts]) -> int:
    """Into how many parts, as many as are asked for at most, rows can be dealt so that each has every label: two rows
    of it, if there are so many."""
    columns = _columns(Counter(strata).items())
    rarest = min((count for column in columns for count in column.values()), default=parts * ENOUGH)
    asked = min(parts, max(FEWEST_FOLDS, rarest // ENOUGH))
    for fewer in range(asked, FEWEST_FOLDS - 1, -1):
        if smallest_class_count(strata, split(fewer)):
            return fewer
    return asked


def smallest_class_count(strata: Strata, dealt: Parts) -> int:
    """How many rows the part has that has fewest of any one label of any column."""
    every = _columns(Counter(strata).items())
    parts = {part for part in dealt if part is not None}
    of_part: dict[int, list[tuple[str | None, int]]] = {part: [] for part in parts}
    for (part, stratum), count in Counter(zip(dealt, strata, strict=True)).items():
        if part is not None:
            of_part[part].append((stratum, count))
    found = [
        column[label]
        for counts in of_part.values()
        for column, known in zip(_columns(counts, len(every)), every, strict=True)
        for label in known
    ]
    return min(found, default=1)


def _columns(counts: Iterable[tuple[str | None, int]], width: int = 0) -> list[Counter[str]]:
    """How often each label is in each target column, from how often each combination of them is there."""
    columns: list[Counter[str]] = [Counter() for _ in range(width)]
    for stratum, count in counts:
        if stratum:  # None has no label; an empty one belongs to rows whose labels are no cells
            cells = stratum.split("\x1f")
            columns = columns or [Counter() for _ in cells]
            for column, cell in zip(columns, cells, strict=True):
                column[cell.strip()] += count
    return columns
