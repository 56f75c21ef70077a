"""The plan of evaluations: on one split or on folds, decided once, from the time the first scored solution took."""

from __future__ import annotations

from harness.evaluation.final_plan import MAX_SHARE, MIN_FINALISTS, SLACK_SECONDS, plan_final
from harness.run import Run
from runs.events.registry import PlanMade

CHANGE = 1.5
"""The time kept back is planned again when the best solution takes this many times longer or shorter than planned."""
SINCE_THEN = "; since then "
"""Between why a run is scored on these folds and why its times were planned again."""
MIN_HALVED_ROWS = 200
"""Fewer held-out rows are not halved: what is left would be too few for a score."""
PROMISING_SHARE = 0.5
"""Share of evaluations that run on the other folds: those that are worse on the first fold do not. The allowance bounds
what folds take in any case."""


def ensure(run: Run, seconds: float) -> PlanMade:
    """The plan of this run; made now, where a job took `seconds`, if there is none yet."""
    with run.lock:
        if run.state.plan is None:
            run.record(make(run, seconds))
    assert run.state.plan is not None
    return run.state.plan


def update(run: Run) -> None:
    """Plan the time kept back again if the best solution takes much longer or shorter than planned."""
    plan, best = run.state.plan, run.state.best
    if plan is None or best is None:
        return
    seconds = best.result.seconds
    if max(seconds, 1.0) / max(plan.seconds, 1.0) > CHANGE or max(plan.seconds, 1.0) / max(seconds, 1.0) > CHANGE:
        kept_back = round(_kept_back(run, plan.folds, seconds), 1)
        first_why = plan.why.partition(SINCE_THEN)[0]
        why = f"{first_why}{SINCE_THEN}the best solution takes {seconds:.0f} s, {plan.seconds:.0f} s were planned"
        changes = {"seconds": round(seconds, 3), "kept_back": kept_back, "why": why, "attempt": 0}
        run.record(plan.model_copy(update=changes))


def plan_again(run: Run) -> None:
    """Plan the time kept back and the allowance again if the budget was extended."""
    with run.lock:
        plan = run.state.plan
        if plan is None:
            return
        kept_back = round(_kept_back(run, plan.folds, plan.seconds), 1)
        allowance = round(min(1e9, max(plan.allowance, run.state.fold_seconds + _allowance(run))), 1)
        if (kept_back, allowance) != (plan.kept_back, plan.allowance):
            changes = {"kept_back": kept_back, "allowance": allowance, "attempt": 0}
            why = f"{plan.why.partition(SINCE_THEN)[0]}{SINCE_THEN}the budget was extended"
            run.record(plan.model_copy(update={**changes, "why": why}))


def search_half(run: Run, is_sampled: bool = False) -> int | None:
    """Which half of the held-out rows of the first fold a score uses; None: all of them.

    A sampled evaluation may come before the plan: it leaves out the rows that the plan may set aside.
    """
    plan = run.state.plan
    is_halved = plan.select_half if plan is not None else is_sampled and _may_be_halved(run)
    return 0 if is_halved else None


def use_all_rows(run: Run) -> None:
    """Set no rows aside after all: the half that is left for the search has no score."""
    with run.lock:
        plan = run.state.plan
        if plan is not None and plan.select_half:
            why = f"{plan.why}; but half of the held-out rows have no score, so no rows are set aside"
            run.record(plan.model_copy(update={"select_half": False, "why": why, "attempt": 0}))


def make(run: Run, seconds: float) -> PlanMade:
    """A plan from the number of rows, the job's time and the budget left."""
    settings, allowance = run.settings, _allowance(run)
    expected = min(settings.attempts or settings.expected_evaluations, settings.expected_evaluations)
    rows = run.blend.labelled_rows
    folds, why = affordable(run.blend.folds, rows, seconds, allowance, expected)
    select_half = not folds and _needs_select_half(run, seconds)
    if select_half:
        why += "; two solutions cannot be run again at the end, so half of the held-out rows are select rows"
    return PlanMade(
        folds=folds,
        labelled_rows=rows,
        seconds=round(seconds, 3),
        allowance=round(min(allowance, 1e9), 1),
        kept_back=round(_kept_back(run, folds, seconds), 1),
        why=why,
        select_half=select_half,
    )


def _allowance(run: Run) -> float:
    """Seconds that the other folds may take in the time that is left."""
    allowance = run.settings.fold_share * max(0.0, run.seconds_left())
    return min(allowance, run.settings.demo_fold_seconds) if run.created.is_demo else allowance


def _needs_select_half(run: Run, seconds: float) -> bool:
    """Whether half of the held-out rows must be set aside, because finalists have no time to run on fresh rows."""
    if not _may_be_halved(run):
        return False
    most = MAX_SHARE * 3600 * (run.settings.hours or 0.0)
    return plan_final([seconds] * MIN_FINALISTS, 0, most - SLACK_SECONDS).finalists == 0


def _may_be_halved(run: Run) -> bool:
    blend = run.blend
    return run.settings.hours is not None and not blend.select_rows and blend.held_out_rows >= MIN_HALVED_ROWS


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
    """Seconds kept for a final selection of solutions that take as long as this one."""
    settings = run.settings
    if settings.hours is None:
        return 0.0
    durations = [seconds] * settings.finalists
    most = MAX_SHARE * 3600 * settings.hours
    return min(most, plan_final(durations, folds, most - SLACK_SECONDS).seconds + SLACK_SECONDS)
