"""The held-out rows that a score is computed on: one fold for each split, halves of a fold, folds pooled into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasks.metrics.registry import Metric

if TYPE_CHECKING:
    import pandas as pd

POOLED_BELOW = 10
"""A fold with fewer rows of a class than this is not scored by itself, where the metric needs both classes."""
UNLIMITED = 1_000_000_000


@dataclass(frozen=True)
class Fold:
    """The held-out rows of one split: answers, and each candidate's predictions, all in the same row order.

    Rows with the same non-empty name in `units` are resampled together.
    """

    metric: Metric
    targets: tuple[str, ...]
    answers: pd.DataFrame
    predictions: tuple[pd.DataFrame, ...]
    units: tuple[str, ...]


def rarest_class_rows(folds: Sequence[Fold]) -> int:
    """How many rows the rarer class has over these folds; UNLIMITED where the metric does not need both classes."""
    if not folds[0].metric.needs_both_classes:
        return UNLIMITED
    rows = sum(len(fold.answers) for fold in folds)
    positives = [sum(int((fold.answers[name] == 1).sum()) for fold in folds) for name in folds[0].targets]
    return min(min(count, rows - count) for count in positives)


def pool_rare_classes(folds: Sequence[Fold]) -> Sequence[Fold]:
    """The folds; combined into one where some fold has too few rows of a class for its own score.

    Such a fold's score depends on a row or two, or does not exist. Predictions of a rank-based metric are replaced by
    their ranks within the fold, because models of different folds differ in scale.
    """
    import pandas as pd

    if len(folds) < 2 or min(rarest_class_rows([fold]) for fold in folds) >= POOLED_BELOW:
        return folds
    is_ranked = folds[0].metric.is_rank_based
    candidates = [
        [
            (fold.predictions[index].rank() - 0.5) / len(fold.answers) if is_ranked else fold.predictions[index]
            for fold in folds
        ]
        for index in range(len(folds[0].predictions))
    ]
    tables = [pd.concat(each, ignore_index=True) for each in ([fold.answers for fold in folds], *candidates)]
    units = tuple(unit for fold in folds for unit in fold.units)
    return [Fold(folds[0].metric, folds[0].targets, tables[0], tuple(tables[1:]), units)]


def take_half(fold: Fold, side: int) -> Fold:
    """Every other unit of a fold, from unit `side` (0 or 1) on."""
    if not any(fold.units):
        rows: Any = slice(side, None, 2)
        units = fold.units[side::2]
    else:
        numbers: dict[Any, int] = {}
        unit_of_row = [numbers.setdefault(unit or row, len(numbers)) for row, unit in enumerate(fold.units)]
        rows = [row for row, unit in enumerate(unit_of_row) if unit % 2 == side]
        units = tuple(fold.units[row] for row in rows)
    tables = [table.iloc[rows].reset_index(drop=True) for table in (fold.answers, *fold.predictions)]
    return replace(fold, answers=tables[0], predictions=tuple(tables[1:]), units=units)


def count_units(fold: Fold) -> int:
    """The number of units that are resampled."""
    return len({unit or row for row, unit in enumerate(fold.units)})
