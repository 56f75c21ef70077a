"""Whether an order tells which things are of one kind."""

from __future__ import annotations

import math
from collections.abc import Sequence

TELLTALE = 0.1
"""How far from one half the area under the ROC curve may be before an order is said to tell."""


def rank_area(ranked: Sequence[bool]) -> tuple[float, float]:
    """The area under the ROC curve of an order (0.5: it tells nothing), and three standard errors of it by chance."""
    held = [rank for rank, positive in enumerate(ranked) if positive]
    pairs = len(held) * (len(ranked) - len(held))
    if not pairs:
        return 0.5, 1.0
    area = (sum(held) - len(held) * (len(held) - 1) / 2) / pairs
    return area, 3 * math.sqrt((len(ranked) + 1) / 12 / pairs)


def tells(ranked: Sequence[bool]) -> bool:
    """Whether an order tells more than chance would."""
    area, chance = rank_area(ranked)
    return abs(area - 0.5) > max(TELLTALE, chance)
