"""How much time the final selection needs, and what fits into the time that is left: one function for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_SHARE = 0.15
"""Largest share of the run that is kept back for the final selection."""
MARGIN = 1.3
"""How many times its earlier duration a job is planned to take."""
JOB_SECONDS = 5.0
"""Checkout and judging of one job, beside its own time."""
SPARE_SECONDS = 30.0
"""Left at the end for combining, writing and reporting."""
SLACK_SECONDS = 120.0
"""Kept in addition, since the last step of the search may end late."""
MIN_FINALISTS = 2


@dataclass(frozen=True)
class FinalPlan:
    """`finalists` run again on `fresh_folds` fresh folds each (0: none), which takes `seconds` in all."""

    finalists: int
    fresh_folds: int
    seconds: float


def plan_final(durations: Sequence[float], folds: int, available: float) -> FinalPlan:
    """The largest final selection that fits into `available` seconds.

    `durations` are those of the finalists, best first, `folds` the number of folds (at most 1: one split, whose winner
    is also refitted). Finalists and folds shrink, at least to two finalists on one fold; otherwise none runs again.
    """
    options = [
        FinalPlan(finalists, fresh, _seconds(durations[:finalists], fresh, folds))
        for finalists in range(MIN_FINALISTS, len(durations) + 1)
        for fresh in range(1, max(1, folds) + 1)
    ]
    fitting = [plan for plan in options if plan.seconds <= available + 1e-6]
    nothing = FinalPlan(0, 0, SPARE_SECONDS)
    return max(fitting, key=lambda plan: (plan.finalists * plan.fresh_folds, plan.finalists), default=nothing)


def _seconds(durations: Sequence[float], fresh_folds: int, folds: int) -> float:
    jobs = [MARGIN * seconds + JOB_SECONDS for seconds in durations]
    refit = max(jobs) if folds <= 1 else 0.0
    return SPARE_SECONDS + fresh_folds * sum(jobs) + refit
