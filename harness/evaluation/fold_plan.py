"""The plan of evaluations: on one split or on folds, decided once, from the time the first scored solution took."""

from __future__ import annotations

from harness import budget
from harness.run import Run
from runs.events.registry import PlanMade

MAX_KEPT_BACK_SHARE = 0.1
"""Largest share of the run that the final selection may keep back."""
PROMISING_SHARE = 0.5
"""Share of evaluations that run on the other folds: those that are worse on the first fold do not. The allowance bounds
what folds take in any case."""
REPLICATED_FINALISTS = 3
"""Finalists that the time kept back should suffice to run again."""


def ensure(run: Run, seconds: float) -> PlanMade:
    """The plan of this run; made now, where a job took `seconds`, if there is none yet."""
    if run.state.plan is None:
        run.record(make(run, seconds))
    assert run.state.plan is not None
    return run.state.plan


def make(run: Run, seconds: float) -> PlanMade:
    """A plan from the number of rows, the job's time and the budget left."""
    settings = run.settings
    allowance = settings.fold_share * max(0.0, run.seconds_left())
    if run.created.is_demo:
        allowance = min(allowance, settings.demo_fold_seconds)
    expected = min(settings.attempts or settings.expected_evaluations, settings.expected_evaluations)
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
    """The number of folds to evaluate on (0: one split), and why.

    A job takes `seconds`; the other folds may take `allowance` seconds in all, over `expected` evaluations.
    """
    if not folds:
        return 0, f"{rows} labelled rows suffice for one split" if rows else "there are no labels to hold out"
    extra, available = (folds - 1) * seconds, allowance / max(1.0, PROMISING_SHARE * expected)
    if extra > available:
        return 0, f"{folds} folds take {extra:.0f} s more for each solution, and only {available:.0f} s are available"
    return (
        folds,
        f"{rows} labelled rows are few; {folds} folds take {extra:.0f} s more, {available:.0f} s are available",
    )


def _kept_back(run: Run, folds: int, seconds: float) -> float:
    usual = budget.kept_back_seconds(run.settings)
    needed = 1.3 * seconds * (REPLICATED_FINALISTS * folds if folds else 2 * REPLICATED_FINALISTS) + 60.0
    most = MAX_KEPT_BACK_SHARE * 3600 * (run.settings.hours or 0.0)
    return max(usual, min(most, needed))
