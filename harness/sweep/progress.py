"""How far a sweep is: counts, medals with their standard error, dollars, GPU hours, and the time that is left."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.sweep.queue import DEFAULT_HOURS
from harness.sweep.row_state import RowState


@dataclass(frozen=True)
class Progress:
    """The sums of a sweep. `medals` of `graded` runs won one; `estimated` medals are those of runs without a grade."""

    counts: Counter[str] = field(default_factory=Counter)
    graded: int = 0
    medals: int = 0
    estimated: int = 0
    dollars: float = 0.0
    unpriced: int = 0
    hours: float = 0.0
    gpu_hours: float = 0.0
    hours_left: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All runs."""
        return sum(self.counts.values())

    @property
    def medal_rate(self) -> tuple[float, float] | None:
        """Percent of the graded runs with a medal and its standard error; None before the first grade.

        Over runs, since seeds are not complete while a sweep runs; the report averages over seeds.
        """
        if not self.graded:
            return None
        rate = self.medals / self.graded
        return 100 * rate, 100 * math.sqrt(rate * (1 - rate) / max(1, self.graded - 1))


def progress_of(rows: Sequence[RowState], workers: int) -> Progress:
    """Sum up where the runs stand; `workers` play at once."""
    graded = [one for one in rows if one.medal]
    reasons = Counter(one.history.reason for one in rows if one.state in ("failed", "waiting") and one.history.reason)
    return Progress(
        counts=Counter(one.state for one in rows),
        graded=len(graded),
        medals=sum(one.medal != "none" for one in graded),
        estimated=sum(_is_estimated_medal(one) for one in rows if not one.medal),
        dollars=sum(one.cost for one in rows),
        unpriced=sum(not one.summary.get("is_cost_known", True) for one in rows if one.summary),
        hours=sum(one.hours for one in rows),
        gpu_hours=sum(one.hours * one.row.gpus for one in rows),
        hours_left=hours_left(rows, workers),
        reasons=reasons,
    )


def _is_estimated_medal(one: RowState) -> bool:
    words = str(one.summary.get("medal_estimate", ""))
    return bool(words) and "no medal" not in words


def hours_left(rows: Sequence[RowState], workers: int) -> float:
    """Hours until all runs have ended, if `workers` of them play at once and runs take what they took so far."""
    done = [one.hours for one in rows if one.state == "done" and one.hours]
    typical = sum(done) / len(done) if done else None
    lengths = sorted((_hours_to_go(one, typical) for one in rows if one.state in ("waiting", "running")), reverse=True)
    ends = [0.0] * max(1, workers)
    for length in lengths:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def _hours_to_go(one: RowState, typical: float | None) -> float:
    budget = one.row.hours if one.row.hours is not None else DEFAULT_HOURS
    expected = min(budget, typical) if typical is not None else budget
    return max(0.0, expected - one.hours)
