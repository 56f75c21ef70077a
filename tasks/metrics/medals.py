"""Medals: MLE-bench's thresholds of a leaderboard, and which scores reach them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Medal = Literal["gold", "silver", "bronze"]

SCORE_DIGITS = 5
"""Scores are rounded to this many digits before they are compared with a threshold."""


@dataclass(frozen=True)
class Thresholds:
    """The scores that win a medal, in the metric's unit; `rows` is the size of the leaderboard."""

    gold: float
    silver: float
    bronze: float
    median: float
    rows: int | None = None


def medal_ranks(rows: int) -> tuple[int, int, int]:
    """The last ranks, counted from 1, that win gold, silver and bronze among `rows` teams."""
    if rows < 100:
        return max(1, int(0.1 * rows)), max(1, int(0.2 * rows)), max(1, int(0.4 * rows))
    if rows < 250:
        return 10, int(0.2 * rows), int(0.4 * rows)
    gold = 10 + int(0.002 * rows)
    if rows < 1000:
        return gold, 50, 100
    return gold, int(0.05 * rows), int(0.1 * rows)


def board_is_lower_better(scores: Sequence[float]) -> bool:
    """Whether lower scores win on a leaderboard sorted best first: its first score is below its last."""
    return scores[0] < scores[-1]


def thresholds_from_leaderboard(scores: Sequence[float], lower_is_better: bool | None = None) -> Thresholds:
    """The medal thresholds of a leaderboard given best first.

    Raises ValueError if the leaderboard is empty, or its order contradicts `lower_is_better`.
    """
    if not scores:
        raise ValueError("the leaderboard has no rows")
    flat = scores[0] == scores[-1]
    if lower_is_better is not None and not flat and board_is_lower_better(scores) != lower_is_better:
        raise ValueError("the leaderboard is not sorted best first for this metric")
    gold, silver, bronze = (scores[rank - 1] for rank in medal_ranks(len(scores)))
    return Thresholds(gold, silver, bronze, float(median(scores)), len(scores))


def read_board(text: str) -> list[float]:
    """The scores of a leaderboard, best first: the column `score`, or `Score` in the file that Kaggle offers.

    Raises ValueError, which names the line of a row without a score.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    column = next((name for name in reader.fieldnames or () if name.strip().lower() == "score"), None)
    if column is None:
        raise ValueError("it has no column 'score'")
    scores = []
    for row in reader:
        try:
            scores.append(float(row[column] or ""))
        except ValueError:
            raise ValueError(f"line {reader.line_num} has no score, but {(row[column] or '')!r}") from None
        if not math.isfinite(scores[-1]):
            raise ValueError(f"the score in line {reader.line_num} is not a finite number")
    return scores


def medal_of(score: float | None, thresholds: Thresholds, lower_is_better: bool) -> Medal | None:
    """The medal that `score` wins, or None. Reaching a threshold exactly is enough."""
    if score is None:
        return None
    sign = -1 if lower_is_better else 1
    value = sign * round(score, SCORE_DIGITS)
    if value >= sign * thresholds.gold:
        return "gold"
    if value >= sign * thresholds.silver:
        return "silver"
    if value >= sign * thresholds.bronze:
        return "bronze"
    return None


def is_above_median(score: float | None, thresholds: Thresholds, lower_is_better: bool) -> bool:
    """Whether `score` is strictly better than the leaderboard's median."""
    if score is None:
        return False
    value = round(score, SCORE_DIGITS)
    return value < thresholds.median if lower_is_better else value > thresholds.median
