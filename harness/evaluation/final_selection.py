"""The final selection: choose the submission of record within the time kept back for it.

1. Finalists: the best evaluation and a few others, one per tree, from all branches of the search.
2. Reproduce: each runs again on other training rows; one that does not score about the same is dropped.
3. Replicate: those that fit into the time run on fresh folds.
4. Choose with rows that were not used to choose the finalists; take an ensemble if these rows agree.
5. Refit the winner of a single split on all labelled rows.

Every decision is an event with its numbers; repeated after a crash, the selection continues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import budget
from harness.evaluation import folds, submission
from harness.evaluation.final_plan import SPARE_SECONDS, plan_final
from harness.evaluation.finalists import branches_of_evaluations, choose_finalists, eligible
from harness.evaluation.run_split import blend_of, fold_dir
from harness.evaluation.verdict import MAX_FOLD_Z, compare
from harness.run import Run
from runs.branches import branches_of
from runs.events.registry import Decided, Part, SubmissionChosen, Warned
from runs.files import replace_file
from runs.state import Evaluation
from tasks.holdout.split import Split
from tasks.judging.judge import run_check_test_rows
from tasks.judging.select_final import (
    HELD_OUT,
    SELECT,
    Choice,
    Judges,
    Rows,
    run_choose,
    run_combine,
    run_distance,
)
from tasks.subprocesses import ChildFailed
from tasks.task import TaskError

SLOWDOWN = 2.0
"""How many times longer than before a job may take in the final selection."""
MAX_REFIT_DISTANCE = 1.25
"""How far a refit may lie from what it replaces, relative to the distance between two splits."""
REFIT, FRESH = Split(0, -1), Split(1, 0)
BEST = "best score on held-out rows"
DECIDING_ROWS = {
    "select": "the select rows",
    "fresh": "the mean of search rows and fresh folds",
    "halves": "the search rows",
}
REPORTING_ROWS = {
    "select": "halves of the select rows, each with the choice of the other half",
    "fresh": "halves of the fresh folds, each with the choice of the other half",
    "halves": "rows that the search used: no time was left to run finalists again, and no rows were set aside",
}


def select(run: Run) -> None:
    """Choose the submission of record. Nothing is done without a scored submission, or if it was chosen before."""
    best = run.state.best
    if best is None or best.score is None or run.state.plan is None or "record" in run.state.decisions:
        return
    try:
        _select(run)
    except (ChildFailed, TaskError) as error:  # the end of a run must not fail for want of a better choice
        reproduced = run.state.decisions.get("reproduced")
        first = run.state.evaluations[reproduced.chosen.split()[0]] if reproduced is not None else best
        run.record(Warned(message=f"the final selection failed ({error}): evaluation {first.id} is submitted"))
        submission.choose(run, first, BEST)
        decide(run, "record", first.id, BEST)


def _select(run: Run) -> None:
    finalists, own = _reproduce(run, _finalists(run))
    fresh = _replicate(run, finalists, own)
    weights = _choose(run, finalists, fresh, own)
    members = {name: weight for name, weight in weights.items() if weight > 0}
    refit = _refit(run, members, own)
    _record(run, members, fresh, own, refit)


def decide(run: Run, step: str, chosen: str, why: str, **numbers: Any) -> Decided:
    """Record a decision once; returns the one on record where there is one."""
    if step not in run.state.decisions:
        run.record(Decided(step=step, chosen=chosen, why=why, numbers=numbers))
    return run.state.decisions[step]


def _finalists(run: Run) -> list[Evaluation]:
    """The best evaluation and the next few."""
    state = run.state
    able = eligible(state)
    finalists = choose_finalists(able, branches_of(state), run.settings.finalists)
    names, scores = " ".join(e.id for e in finalists), {e.id: e.score for e in finalists}
    branches = dict(zip(scores, branches_of_evaluations(state, finalists), strict=True))
    decision = decide(run, "finalists", names, f"of {len(able)}", scores=scores, branches=branches)
    return [state.evaluations[name] for name in decision.chosen.split()]


def _reproduce(run: Run, finalists: list[Evaluation]) -> tuple[list[Evaluation], list[Split]]:
    """The finalists whose code scores about the same on other training rows and samples, as far as there is time to
    try; and the splits on which all of them were judged.

    Predictions that were written by hand, brought along or copied from elsewhere fail here.
    """
    plan = run.state.plan
    own = [Split(0, fold) for fold in range(plan.folds if plan and plan.folds else 1)]
    tried = own[1:] or [FRESH]
    reserve = 0.0 if len(own) > 1 else SLOWDOWN * finalists[0].result.seconds  # for the refit
    outcomes = {e.id: _run_all(run, e, tried, reserve) for e in finalists}
    for e in finalists:
        if outcomes[e.id] == "done" and not _scores_alike(run, e, own):
            outcomes[e.id] = "failed"
    failed = [e.id for e in finalists if outcomes[e.id] == "failed"]
    done = [e for e in finalists if outcomes[e.id] == "done"]
    kept = [e for e in finalists if e.id not in failed]
    if len(own) > 1:  # only candidates judged on the same splits can be compared
        kept, own = (done, own) if done and done[0] is kept[0] else (kept, own[:1])
    why = f"run again on other rows: {len(done)} of {len(finalists)} scored about the same"
    why += f"; not reproduced: {' '.join(failed)}" if failed else ""
    decision = decide(run, "reproduced", " ".join(e.id for e in kept or finalists[:1]), why)
    return [run.state.evaluations[name] for name in decision.chosen.split()], own


def _run_all(
    run: Run, evaluation: Evaluation, splits: list[Split], reserve: float = 0.0, use_cache: bool = False
) -> folds.Outcome:
    """Run a finalist on splits; its steps all run again, but for a refit, where finalists may share them."""
    seconds = evaluation.result.seconds
    steps = evaluation.result.steps
    return folds.run_all(
        run, evaluation, splits, seconds, SLOWDOWN, lambda: _seconds_left(run) - reserve, use_cache, steps
    )


def _scores_alike(run: Run, evaluation: Evaluation, own: list[Split]) -> bool:
    """Whether a score is about the same on the other folds, or on a fresh split where there is one split only."""
    if evaluation.result.folds == len(own) > 1:
        return True  # checked when it was evaluated
    if len(own) > 1:
        best = run.state.best
        is_baseline = best is not None and best.id != evaluation.id and best.result.folds == len(own)
        return abs(compare(run, evaluation.id, own, best if is_baseline else None, own).fold_z) <= MAX_FOLD_Z
    fresh = run.state.folds[evaluation.id, FRESH.name]
    if fresh is None or fresh.score is None or evaluation.score is None:
        return False
    if fresh.noise is None or evaluation.noise is None:
        return True
    noise = math.hypot(evaluation.noise, fresh.noise)
    return abs(evaluation.score - fresh.score) <= MAX_FOLD_Z * noise + 1e-9


def _seconds_left(run: Run) -> float:
    left = budget.final_seconds_left(run.settings, run.active_seconds()) - SPARE_SECONDS
    if run.created.is_demo and run.state.plan:
        left = min(left, run.state.plan.allowance - run.state.fold_seconds)
    return left


def _fresh_splits(run: Run) -> list[Split]:
    """The fresh folds that were decided on."""
    decision = run.state.decisions.get("replicas")
    return [Split(1, fold) for fold in range(decision.numbers["folds"])] if decision else []


def _replicate(run: Run, finalists: list[Evaluation], own: list[Split]) -> list[Evaluation]:
    """The finalists that ran on fresh folds: as many, on as many folds, as fit into the time; at least two or none."""
    plan = run.state.plan
    folds_planned = max(1, plan.folds if plan else 1)
    durations = [e.result.seconds for e in finalists]
    fitting = plan_final(durations, folds_planned, _seconds_left(run) + SPARE_SECONDS)
    count, fresh = (fitting.finalists, fitting.fresh_folds) if len(own) == folds_planned else (0, 0)
    if folds_planned == 1 and sum(_is_scored(run, e, FRESH) for e in finalists) > 1:
        count, fresh = len(finalists), 1  # they ran there to be reproduced
    why = "the time does not suffice for two finalists on one fresh fold"
    if count:
        why = f"{count} of {len(finalists)} fit into the time on {fresh} of {folds_planned} fresh folds"
    decision = decide(run, "replicas", "", why, count=count, folds=fresh if count else 0)
    replicated = finalists[: decision.numbers["count"]]
    splits = _fresh_splits(run)
    for e in replicated:
        _run_all(run, e, splits)
    return [e for e in replicated if all(_is_scored(run, e, split) for split in splits)]


def _is_scored(run: Run, evaluation: Evaluation, split: Split) -> bool:
    result = run.state.folds.get((evaluation.id, split.name))
    return result is not None and result.status == "scored"


def _choose(run: Run, finalists: list[Evaluation], fresh: list[Evaluation], own: list[Split]) -> dict[str, float]:
    """The weight of each finalist in the submission."""
    decision = run.state.decisions.get("ensemble")
    if decision is not None:
        return {name: float(weight) for name, weight in decision.numbers["weights"].items()}
    has_select_rows = bool(run.blend.select_rows or _is_halved(run))
    judges: Judges = "fresh" if len(fresh) > 1 else "select" if has_select_rows else "halves"
    candidates = fresh if judges == "fresh" else finalists
    if judges != "halves":  # with halves the best so far, which is first, stays the pick
        sign = 1 if run.state.lower_is_better else -1
        candidates = sorted(candidates, key=lambda e: sign * (e.score or 0.0))
    select = _rows(run, candidates, [Split()], SELECT) if has_select_rows else None
    choice = run_choose(
        _rows(run, candidates, own, HELD_OUT),
        _rows(run, candidates, _fresh_splits(run), HELD_OUT) if judges == "fresh" else select,
        select if judges == "fresh" else None,
        judges,
        run.settings.judge_seconds,
        branches_of_evaluations(run.state, candidates),
    )
    _record_choice(run, judges, [e.id for e in candidates], choice, reports_select=judges == "fresh" and bool(select))
    return dict(zip([e.id for e in candidates], choice.weights, strict=True))


def _record_choice(run: Run, judges: Judges, names: list[str], choice: Choice, *, reports_select: bool) -> None:
    def by_name(values: Sequence[float | None]) -> dict[str, Any]:
        return dict(zip(names, values, strict=True))

    decide(
        run,
        judges,
        names[choice.pick],
        f"best of {len(names)} by {DECIDING_ROWS[judges]}",
        searched=by_name(choice.searched),
        judged=by_name(choice.judged),
        judged_noise=by_name(choice.judged_noise),
        estimates=by_name(choice.estimates),
        estimates_noise=by_name(choice.estimates_noise),
    )
    agreement = "agree" if choice.is_ensemble else "do not agree, or there is one candidate"
    members = " ".join(name for name, weight in by_name(choice.weights).items() if weight > 0)
    where = "the select rows, which were not used to choose" if reports_select else REPORTING_ROWS[judges]
    if choice.estimate is not None and judges == "halves":
        where = "halves of the search rows, each with the ensemble of the other half"
    decide(run, "reported", members, where, score=choice.estimate, noise=choice.estimate_noise)
    decide(
        run,
        "ensemble",
        members,
        f"rows that did not choose it {agreement}",
        weights=by_name(choice.weights),
        proposed=by_name(choice.proposed) if choice.proposed else {},
        accepted=choice.is_ensemble,
        score=choice.ensemble_score,
        noise=choice.ensemble_noise,
        gain=choice.gain,
        gain_noise=choice.gain_noise,
        share=choice.share,
    )


def _is_halved(run: Run) -> bool:
    """Whether half of the held-out rows were set aside as select rows."""
    return run.state.plan is not None and run.state.plan.select_half


def _rows(run: Run, candidates: list[Evaluation], splits: list[Split], role: str) -> Rows:
    """The predictions of candidates for the rows of a role; of halved rows, half 0 is for the search."""
    half = None
    if _is_halved(run) and splits == [Split()]:
        half, role = (1 if role == SELECT else 0), HELD_OUT
    name = "select.csv" if role == SELECT else "held_out.csv"
    blends = tuple(blend_of(run, split).folder for split in splits)
    files = tuple(tuple(fold_dir(run, e.id, split) / name for e in candidates) for split in splits)
    return Rows(blends, files, role, half)


def _refit(run: Run, members: dict[str, float], own: list[Split]) -> Path | None:
    """The members' predictions after training on all labelled rows, if they differ no more than two splits do."""
    out = run.folder / "evaluations" / "final"
    decision = run.state.decisions.get("refit")
    if decision is None and len(own) == 1:
        decision = _try_refit(run, members, out)
    return out / "refit.csv" if decision is not None and decision.chosen else None


def _try_refit(run: Run, members: dict[str, float], out: Path) -> Decided:
    for name in members:
        evaluation = run.state.evaluations[name]
        outcome = _run_all(run, evaluation, [REFIT, FRESH], use_cache=True)
        if outcome == "short":
            needed = 2 * evaluation.result.seconds
            return decide(run, "refit", "", f"{name} would take {needed:.0f} s, more than is left")
        if outcome != "done":
            return decide(run, "refit", "", f"evaluation {name} did not succeed when it was run again")
    seconds = run.settings.judge_seconds
    for name, split in (("before", Split()), ("refit", REFIT), ("other", FRESH)):
        files = [fold_dir(run, member, split) / "submission.csv" for member in members]
        run_combine(run.blend.folder, files, list(members.values()), out / f"{name}.csv", seconds)
    if problem := run_check_test_rows(run.blend.folder, out / "refit.csv", seconds):
        return decide(run, "refit", "", f"it could not be scored: {problem}")
    before = out / "before.csv"
    moved = run_distance(run.blend.folder, before, out / "refit.csv", seconds)
    usual = run_distance(run.blend.folder, before, out / "other.csv", seconds)
    accepted = moved <= MAX_REFIT_DISTANCE * usual + 1e-9
    why = f"it differs {'no more' if accepted else 'more'} than two splits do"
    return decide(run, "refit", "refit" if accepted else "", why, moved=moved, usual=usual)


def _record(run: Run, members: dict[str, float], fresh: list[Evaluation], own: list[Split], refit: Path | None) -> None:
    """Make the choice the submission of record."""
    replicated = {e.id for e in fresh} if "fresh" in run.state.decisions else set()
    (first, *others) = (run.state.evaluations[name] for name in members)
    is_as_evaluated = not others and not replicated & set(members) and refit is None
    if is_as_evaluated and first.result.folds == len(own):
        submission.choose(run, first, f"{BEST}, confirmed by the final selection")
    else:
        _submit_combined(run, members, replicated, own, refit)
    decide(run, "record", " ".join(members), run.state.chosen.why if run.state.chosen else "", weights=members)


def _submit_combined(
    run: Run, members: dict[str, float], replicated: set[str], own: list[Split], refit: Path | None
) -> None:
    """Submit the refit, or the weighted mean over the members and all splits they ran on."""
    parts: list[tuple[str, Split, float]] = []
    for name, weight in members.items():
        splits = [REFIT] if refit else own + (_fresh_splits(run) if name in replicated else [])
        parts += [(name, split, weight / len(splits)) for split in splits]
    files = [fold_dir(run, name, split) / "submission.csv" for name, split, _ in parts]
    weights = [weight for _, _, weight in parts]
    if refit is not None:
        files, weights = [refit], [1.0]
    out = run.folder / "evaluations" / "final" / "submission.csv"
    sha256 = run_combine(run.blend.folder, files, weights, out, run.settings.judge_seconds)
    replace_file(run.folder / "submission.csv", out.read_bytes(), is_durable=True)
    why = "refitted on all labelled rows" if refit else f"the mean over {len(files)} runs of {', '.join(members)}"
    chosen = run.state.chosen
    if chosen is None or (chosen.evaluation, chosen.sha256) != ("final", sha256):
        made = [Part(evaluation=name, split=split.name or "fold0", weight=weight) for name, split, weight in parts]
        run.record(SubmissionChosen(evaluation="final", sha256=sha256, why=why, parts=made))
