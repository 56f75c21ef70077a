"""Whether the order of some items reveals their class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.metrics.ranking import area_under_roc

REVEALING = 0.1
"""Distance of the AUC from 0.5 from which on an order reveals the class."""


def order_auc(is_positive: Sequence[bool]) -> tuple[float, float]:
    """The AUC of an order (0.5: it reveals nothing) and three of its standard errors under chance."""
    pairs = sum(is_positive) * (len(is_positive) - sum(is_positive))
    if not pairs:
        return 0.5, 1.0
    return area_under_roc(is_positive, range(len(is_positive))), 3 * math.sqrt((len(is_positive) + 1) / 12 / pairs)


def reveals_class(is_positive: Sequence[bool]) -> bool:
    """Whether an order reveals the class by more than chance."""
    auc, chance = order_auc(is_positive)
    return abs(auc - 0.5) > max(REVEALING, chance)
