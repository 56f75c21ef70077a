"""Metrics as functions of sums over rows, so that resampling them costs a matrix product instead of a scoring.

The built-in metrics are such functions exactly, but for the area under the ROC curve: there a draw is scored by
DeLong's placement values, its linear part around the whole sample. A metric of a task's own is resampled by scoring
it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from tasks.metrics.registry import Metric

Finish = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class RowSums:
    """`rows` (rows x statistics) are added up over the rows drawn; `finish` makes scores of the sums.

    `finish` takes sums (draws x statistics) and the numbers of rows drawn (draws), and gives scores (draws).
    """

    rows: Any
    finish: Finish


def row_sums(metric: Metric, answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums | None:
    """The metric's statistics for these predictions; None for one that has no such form."""
    maker = None if metric.file is not None else _MAKERS.get(metric.name)
    return maker(answers, given, list(targets)) if maker else None


def _mean(rows: Any) -> RowSums:
    return RowSums(rows, lambda sums, count: (sums / count[:, None]).mean(axis=1))


def _accuracy(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    from tasks.metrics.registry import compared_labels

    pairs = [compared_labels(answers[name], given[name]) for name in targets]
    return _mean(np.column_stack([wanted == found for wanted, found in pairs]).astype(float))


def _absolute(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    return _mean(abs(_difference(answers, given, targets)))


def _log_loss(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    from tasks.metrics.registry import target_numbers, target_probabilities

    wanted, found = target_numbers(answers, targets), target_probabilities(given, targets)
    if len(targets) == 1:
        return _mean(-(wanted * np.log(found) + (1 - wanted) * np.log(1 - found)))
    found = np.clip(found / found.sum(axis=1, keepdims=True), 1e-15, 1 - 1e-15)
    return _mean(-(wanted * np.log(found)).sum(axis=1, keepdims=True))


def _columnwise_log_loss(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    return _mean(np.column_stack([_log_loss(answers, given, [name]).rows for name in targets]))


def _root_mean_square(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    rows = _difference(answers, given, targets) ** 2
    return RowSums(rows, lambda sums, count: (sums / count[:, None]).mean(axis=1) ** 0.5)


def _columnwise_root_mean_square(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    rows = _difference(answers, given, targets) ** 2
    return RowSums(rows, lambda sums, count: ((sums / count[:, None]) ** 0.5).mean(axis=1))


def _root_mean_square_log(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    rows = _log_difference(answers, given, targets) ** 2
    return RowSums(rows, lambda sums, count: (sums / count[:, None]).mean(axis=1) ** 0.5)


def _columnwise_root_mean_square_log(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    rows = _log_difference(answers, given, targets) ** 2
    return RowSums(rows, lambda sums, count: ((sums / count[:, None]) ** 0.5).mean(axis=1))


def _log_difference(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> Any:
    import numpy as np

    from tasks.metrics.registry import target_numbers

    return np.log1p(target_numbers(given, targets)) - np.log1p(target_numbers(answers, targets))


def _explained(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    from tasks.metrics.registry import target_numbers

    wanted, width = target_numbers(answers, targets), len(targets)
    wanted = wanted - wanted.mean(axis=0)  # only the spread matters, and large numbers would cost digits
    rows = np.column_stack([_difference(answers, given, targets) ** 2, wanted, wanted**2])

    def finish(sums: Any, count: Any) -> Any:
        error, first, second = (sums[:, at * width : (at + 1) * width] for at in range(3))
        return (1 - error / (second - first**2 / count[:, None])).mean(axis=1)

    return RowSums(rows, finish)


def _area(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    from tasks.metrics.registry import target_numbers

    wanted, found = target_numbers(answers, targets), target_numbers(given, targets)
    columns, areas = [], []
    for at in range(len(targets)):
        positive = wanted[:, at] == 1
        placed = _placements(found[:, at], positive)
        areas.append(placed[positive].mean() if positive.any() else np.nan)
        columns += [placed * positive, positive, placed * ~positive, ~positive]

    def finish(sums: Any, count: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            each = [
                sums[:, at] / sums[:, at + 1] + sums[:, at + 2] / sums[:, at + 3] - areas[at // 4]
                for at in range(0, 4 * len(targets), 4)
            ]
        return np.mean(each, axis=0)

    return RowSums(np.column_stack(columns).astype(float), finish)


def _placements(scores: Any, positive: Any) -> Any:
    """For each row, the share of rows of the other kind that it is ranked rightly against, ties by half."""
    import numpy as np

    order = np.argsort(scores, kind="stable")  # looked up in order, a million rows take no time
    ranked, kinds = scores[order], positive[order]
    ours, others = ranked[kinds], ranked[~kinds]
    placed, found = np.empty(len(scores)), np.empty(len(scores))
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.searchsorted(others, ours, "left") + np.searchsorted(others, ours, "right")
        above = 2 * len(ours) - np.searchsorted(ours, others, "left") - np.searchsorted(ours, others, "right")
        found[kinds] = below / (2 * len(others))
        found[~kinds] = above / (2 * len(ours))
    placed[order] = found
    return placed


def _f1(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    from tasks.metrics.registry import compared_labels

    columns, widths = [], []
    for name in targets:
        wanted, found = compared_labels(answers[name], given[name])
        known = np.unique(wanted)
        true, said = wanted[:, None] == known, found[:, None] == known
        columns += [true & said, true, said]
        widths.append(len(known))

    def finish(sums: Any, count: Any) -> Any:
        each, at = [], 0
        for width in widths:
            hit, true, said = (sums[:, at + part * width : at + (part + 1) * width] for part in range(3))
            each.append((2 * hit / np.maximum(true + said, 1)).mean(axis=1))
            at += 3 * width
        return np.mean(each, axis=0)

    return RowSums(np.column_stack(columns).astype(float), finish)


def _kappa(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> RowSums:
    import numpy as np

    from tasks.metrics.registry import target_numbers

    # 1 - sum (w - g)^2 / (n * expected), where the expected square of two independent grades needs moments only.
    wanted, found = target_numbers(answers, targets), target_numbers(given, targets).clip(-1e9, 1e9)
    rows = np.column_stack([(wanted - found) ** 2, wanted, found, wanted**2, found**2])
    width = len(targets)

    def finish(sums: Any, count: Any) -> Any:
        error, one, two, one2, two2 = (sums[:, at * width : (at + 1) * width] / count[:, None] for at in range(5))
        with np.errstate(divide="ignore", invalid="ignore"):
            return (1 - error / (one2 + two2 - 2 * one * two)).mean(axis=1)

    return RowSums(rows, finish)


def _difference(answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> Any:
    from tasks.metrics.registry import target_numbers

    return target_numbers(answers, targets) - target_numbers(given, targets)


_MAKERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame, Sequence[str]], RowSums]] = {
    "accuracy": _accuracy,
    "f1_macro": _f1,
    "quadratic_weighted_kappa": _kappa,
    "roc_auc": _area,
    "log_loss": _log_loss,
    "mean_columnwise_log_loss": _columnwise_log_loss,
    "rmse": _root_mean_square,
    "mae": _absolute,
    "rmsle": _root_mean_square_log,
    "mean_columnwise_rmsle": _columnwise_root_mean_square_log,
    "mcrmse": _columnwise_root_mean_square,
    "r2": _explained,
}
