"""How far two submissions differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.io.columns import Columns
from tasks.judging.frames import frames

if TYPE_CHECKING:
    from tasks.metrics.registry import Metric


def distance(metric: Metric, targets: Sequence[str], first: Columns, second: Columns) -> float:
    """How far two submissions differ: the share of different labels, or the root mean square of the difference in
    standard deviations of the first."""
    import numpy as np

    has_labels = metric.needs == "labels"
    ours, others = frames(first, second, targets, not has_labels)
    if has_labels:
        return float((ours != others).to_numpy().mean())
    values, compared = ours.to_numpy(float), others.to_numpy(float)
    scale = np.nan_to_num(np.nanstd(values, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    difference = (values - compared) / scale
    # Missing in both: no difference. Missing in one: one standard deviation.
    both_missing = np.isnan(values) & np.isnan(compared)
    difference = np.where(both_missing, 0.0, np.where(np.isnan(difference), 1.0, difference))
    return float(np.mean(np.sqrt((difference**2).mean(axis=0))))
