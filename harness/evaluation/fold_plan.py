"""The plan of judging: over one blend or over folds, decided once, from what the first scored solution took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import budget
from runs.events.registry import PlanMade

if TYPE_CHECKING:
    from harness.loop import Run

KEPT_BACK_MOST = 0.1
"""Of the run's hours, what its end may keep back at most."""
PROMISING = 0.5
"""The share of evaluations that is run on the other folds: those that are worse on the first one are not. What is spent
on folds ends with the allowance in any case."""
REPLICATED = 3
"""Finalists that the time kept back should be enough to run again."""


def ensure(run: Run, seconds: float) -> PlanMade:
    """The plan of this run; made now, where a job took `seconds`, if there is none yet."""
    if run.state.plan is None:
        run.record(make(run, seconds))
    assert run.state.plan is not None
    return run.state.plan


def make(run: Run, seconds: float) -> PlanMade:
    """A plan from row count, job time and the budget left."""
    settings = run.settings
    allowance = settings.fold_share * max(0.0, run.seconds_left())
    if run.created.is_demo:
        allowance = min(allowance, settings.demo_fold_seconds)
    expected = min(run.created.attempts or settings.expected_evaluations, settings.expected_evaluations)
    rows = run.blend.labelled_rows
    folds, why = affordable(run.blend.folds, rows, seconds, allowance, expected)
    return PlanMade(
        folds=folds,
        labelled_rows=rows,
        seconds=round(seconds, 3),
        allowance=round(min(allowance, 1e9), 1),
        kept_back=round(_kept_back(run, folds, seconds), 1),
        why=why,
    )


def affordable(folds: int, rows: int, seconds: float, allowance: float, expected: int) -> tuple[int, str]:
    """Over how many of the blends that the rows ask for solutions are judged (0: over one), and why, in words.

    A job takes `seconds`; further folds may take `allowance` seconds in all, over `expected` evaluations.
    """
    if not folds:
        return 0, f"{rows} labelled rows are enough for one blend" if rows else "there are no labels to hold out"
    more, each = (folds - 1) * seconds, allowance / max(1.0, PROMISING * expected)
    if more > each:
        return 0, f"{folds} folds would take {more:.0f} s more for each solution, and {each:.0f} s is what there is"
    return folds, f"{rows} labelled rows are few, and {folds} folds take {more:.0f} s more, of {each:.0f} s there are"


def _kept_back(run: Run, folds: int, seconds: float) -> float:
    usual = budget.kept_back_seconds(run.created, run.settings)
    needed = 1.3 * seconds * (REPLICATED * folds if folds else 2 * REPLICATED) + 60.0
    most = KEPT_BACK_MOST * 3600 * (run.created.hours or 0.0)
    return max(usual, min(most, needed))
