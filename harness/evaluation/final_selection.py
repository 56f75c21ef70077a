"""What is handed in: the end of a run, inside the time kept back for it.

Finalists show that their code makes their submissions, and are run on fresh splits where the time suffices, the pick is
made on rows that chose none of them, an ensemble is taken where such rows agree, and the winner of a single blend is
refitted on all labelled rows. Each decision is an event with its numbers; done again after a crash, it goes on where it
stood.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import budget
from harness.evaluation import folds, submission
from harness.evaluation.verdict import MAX_FOLD_Z, weigh
from runs.events.registry import Decided, SubmissionChosen, Warned
from runs.state import Evaluation
from tasks.holdout.recipe import Split
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

if TYPE_CHECKING:
    from harness.loop import Run

SPARE_SECONDS = 30.0
SLOWER = 2.0
"""How much longer than before a job may take at the end."""
SEEDS = 1.25
"""How much further than two splits differ from each other a refit may lie from what it replaces."""
REFIT, FRESH = Split(0, -1), Split(1, 0)
BEST = "best score on held-out rows"


def select(run: Run) -> None:
    """Choose the submission of record. A run without a scored submission, or one that has chosen, is left alone."""
    best = run.state.best
    if best is None or best.score is None or run.state.plan is None or "record" in run.state.decisions:
        return
    try:
        _select(run)
    except (ChildFailed, TaskError) as error:  # the end of a run must not fail for want of a better choice
        proven = run.state.decisions.get("reproduced")
        first = run.state.evaluations[proven.chosen.split()[0]] if proven is not None else best
        run.record(Warned(message=f"the choice at the end could not be made ({error}): {first.id} is handed in"))
        submission.choose(run, first, BEST)
        decide(run, "record", first.id, BEST)


def _select(run: Run) -> None:
    finalists, own = _proven(run, _finalists(run))
    fresh = _replicate(run, finalists, own)
    weights = _choose(run, finalists, fresh, own)
    members = {name: weight for name, weight in weights.items() if weight > 0}
    refit = _refit(run, members, own)
    _record(run, members, fresh, own, refit)


def decide(run: Run, step: str, chosen: str, why: str, **numbers: Any) -> Decided:
    """Record a decision, once; the one on record where there is one."""
    if step not in run.state.decisions:
        run.record(Decided(step=step, chosen=chosen, why=why, numbers=numbers))
    return run.state.decisions[step]


def _finalists(run: Run) -> list[Evaluation]:
    """The best so far and the best few others, one for each tree; those judged over all blends come before others."""
    state, best = run.state, run.state.best
    assert best is not None and state.plan is not None
    scored = [e for e in state.evaluations.values() if e.score is not None]
    # What is worse on the agent's fold may shine on fresh ones, whose labels the agent knows. The best so far stays: a
    # run begun by an older harness may have one that is not trusted.
    able = [e for e in scored if e.id == best.id or not (e.alarm or e.verdict == "worse")]
    sign, most = 1 if state.lower_is_better else -1, max(1, state.plan.folds)
    ranked = sorted(able, key=lambda e: (e.id != best.id, e.folds < most, sign * (e.score or 0.0)))
    different = {(e.tree, e.command): e for e in reversed(ranked)}
    few = [e for e in ranked if different[e.tree, e.command] is e][: run.settings.finalists]
    chosen = decide(
        run, "finalists", " ".join(e.id for e in few), f"of {len(able)}", scores={e.id: e.score for e in few}
    )
    return [state.evaluations[name] for name in chosen.chosen.split()]


def _proven(run: Run, finalists: list[Evaluation]) -> tuple[list[Evaluation], list[Split]]:
    """The finalists whose code does again what it did, on training rows and samples it has not seen, as far as there is
    time to try; and the blends all of them were judged on.

    Predictions that were written by hand, brought along or copied from elsewhere do not survive it.
    """
    plan = run.state.plan
    own = [Split(0, part) for part in range(plan.folds if plan and plan.folds else 1)]
    tried = own[1:] or [FRESH]
    spared = 0.0 if len(own) > 1 else SLOWER * finalists[0].seconds  # for the refit
    came_to = {one.id: folds.run_all(run, one, tried, SLOWER, lambda: _seconds_left(run) - spared) for one in finalists}
    for one in finalists:
        if came_to[one.id] == "done" and not _holds(run, one, own):
            came_to[one.id] = "failed"
    failed = [one.id for one in finalists if came_to[one.id] == "failed"]
    done = [one for one in finalists if came_to[one.id] == "done"]
    kept = [one for one in finalists if one.id not in failed]
    if len(own) > 1:  # only candidates on the same blends can be compared
        kept, own = (done, own) if done and done[0] is kept[0] else (kept, own[:1])
    why = f"run again on other rows; {len(done)} of {len(finalists)} did the same there"
    why += f", not {' '.join(failed)}: made by more than its code" if failed else ""
    made = decide(run, "reproduced", " ".join(one.id for one in kept or finalists[:1]), why)
    return [run.state.evaluations[name] for name in made.chosen.split()], own


def _holds(run: Run, one: Evaluation, own: list[Split]) -> bool:
    """Whether a score is about the same on other folds, which was looked at before where it was judged over them, or
    on a fresh split."""
    if one.folds == len(own) > 1:
        return True
    if len(own) > 1:
        best = run.state.best
        other = best if best is not None and best.id != one.id and best.folds == len(own) else None
        return abs(weigh(run, one, own, other, own).fold_z) <= MAX_FOLD_Z
    done = run.state.folds[one.id, FRESH.name]
    if done is None or done.score is None or one.score is None:
        return False
    if done.noise is None or one.noise is None:
        return True
    return abs(one.score - done.score) <= MAX_FOLD_Z * math.hypot(one.noise, done.noise) + 1e-9


def _seconds_left(run: Run) -> float:
    left = budget.finale_seconds_left(run.created, run.active_seconds()) - SPARE_SECONDS
    if run.created.is_demo and run.state.plan:
        left = min(left, run.state.plan.allowance - run.state.fold_seconds)
    return left


def _fresh_splits(run: Run) -> list[Split]:
    plan = run.state.plan
    return [Split(1, part) for part in range(plan.folds if plan and plan.folds else 1)]


def _replicate(run: Run, finalists: list[Evaluation], own: list[Split]) -> list[Evaluation]:
    """The finalists that have been run on fresh splits: as many as fit into the time, at least two or none."""
    splits = _fresh_splits(run)
    left, fitting = _seconds_left(run), 0
    for one in finalists:
        ran = all(_is_scored(run, one, split) for split in splits)
        left -= 0.0 if ran else SLOWER * len(splits) * one.seconds
        fitting += left > 0 or ran
    count = fitting if fitting > 1 and len(own) == len(splits) else 0
    why = (
        f"{count} of {len(finalists)} fit into the time on {len(splits)} fresh blends"
        if count
        else "none are run again"
    )
    made = decide(run, "replicas", "", why, count=count)
    again = finalists[: made.numbers["count"]]
    for one in again:
        folds.run_all(run, one, splits, SLOWER, lambda: _seconds_left(run))
    return [one for one in again if all(_is_scored(run, one, split) for split in splits)]


def _is_scored(run: Run, one: Evaluation, split: Split) -> bool:
    done = run.state.folds.get((one.id, split.name))
    return done is not None and done.status == "scored"


def _choose(run: Run, finalists: list[Evaluation], fresh: list[Evaluation], own: list[Split]) -> dict[str, float]:
    """The weight of each finalist in what is handed in."""
    made = run.state.decisions.get("ensemble")
    if made is not None:
        return {name: float(weight) for name, weight in made.numbers["weights"].items()}
    judges: Judges = "select" if run.blend.select_rows else "fresh" if len(fresh) > 1 else "halves"
    candidates = fresh if judges == "fresh" else finalists
    if judges != "halves":  # there the best so far, which is first, stays the pick
        sign = 1 if run.state.lower_is_better else -1
        candidates = sorted(candidates, key=lambda one: sign * (one.score or 0.0))
    search = _rows(run, candidates, own, HELD_OUT)
    judging = None
    if judges == "select":
        judging = _rows(run, candidates, [Split()], SELECT)
    elif judges == "fresh":
        judging = _rows(run, candidates, _fresh_splits(run), HELD_OUT)
    choice = run_choose(search, judging, judges, run.settings.judge_seconds)
    names = [one.id for one in candidates]
    decide(run, judges, names[choice.pick], f"best of {len(names)} on {ROWS[judges]}", **_scores(names, choice))
    verdict = "agree" if choice.is_ensemble else "do not agree, or it is one candidate"
    decide(
        run,
        "ensemble",
        " ".join(name for name, weight in zip(names, choice.weights, strict=True) if weight > 0),
        f"rows that did not choose it {verdict}",
        weights=dict(zip(names, choice.weights, strict=True)),
        proposed=dict(zip(names, choice.proposed, strict=True)) if choice.proposed else {},
        accepted=choice.is_ensemble,
        score=choice.ensemble_score,
        gain=choice.gain,
        gain_noise=choice.gain_noise,
        share=choice.share,
    )
    return dict(zip(names, choice.weights, strict=True))


ROWS = {
    "select": "the select rows, which nothing had seen before",
    "fresh": "fresh folds",
    "halves": "the rows searched on",
}


def _scores(names: list[str], choice: Choice) -> dict[str, Any]:
    return {
        "searched": dict(zip(names, choice.searched, strict=True)),
        "judged": dict(zip(names, choice.judged, strict=True)),
    }


def _rows(run: Run, candidates: list[Evaluation], splits: list[Split], role: str) -> Rows:
    name = "select.csv" if role == SELECT else "held_out.csv"
    blends = tuple(folds.blend_of(run, split).folder for split in splits)
    files = tuple(tuple(folds.fold_dir(run, one.id, split) / name for one in candidates) for split in splits)
    return Rows(blends, files, role)


def _refit(run: Run, members: dict[str, float], own: list[Split]) -> Path | None:
    """The members' predictions after training on all labelled rows, where they differ no more than two splits do."""
    out = run.folder / "evaluations" / "final"
    made = run.state.decisions.get("refit")
    if made is None and len(own) == 1:
        made = _try_refit(run, members, out)
    return out / "refit.csv" if made is not None and made.chosen else None


def _try_refit(run: Run, members: dict[str, float], out: Path) -> Decided:
    for name in members:
        one = run.state.evaluations[name]
        came_to = folds.run_all(run, one, [REFIT, FRESH], SLOWER, lambda: _seconds_left(run))
        if came_to == "short":
            return decide(run, "refit", "", f"{2 * one.seconds:.0f} s for {name} are more than there are")
        if came_to != "done":
            return decide(run, "refit", "", f"evaluation {name} did not succeed when it was run again")
    seconds = run.settings.judge_seconds
    for name, split in (("before", Split()), ("refit", REFIT), ("other", FRESH)):
        files = [folds.fold_dir(run, member, split) / "submission.csv" for member in members]
        run_combine(run.blend.folder, files, list(members.values()), out / f"{name}.csv", seconds)
    if problem := run_check_test_rows(run.blend.folder, out / "refit.csv", seconds):
        return decide(run, "refit", "", f"it could not be scored: {problem}")
    moved, usual = (
        run_distance(run.blend.folder, out / "before.csv", out / f"{name}.csv", seconds) for name in ("refit", "other")
    )
    accepted = moved <= SEEDS * usual + 1e-9
    why = "no further from it than two splits are from each other" if accepted else "further than two splits are"
    return decide(run, "refit", "refit" if accepted else "", why, moved=moved, usual=usual)


def _record(run: Run, members: dict[str, float], fresh: list[Evaluation], own: list[Split], refit: Path | None) -> None:
    """Make the submission of record of what was chosen."""
    out = run.folder / "evaluations" / "final" / "submission.csv"
    again = {one.id for one in fresh} if "fresh" in run.state.decisions else set()
    (first, *others) = (run.state.evaluations[name] for name in members)
    if not others and not again & set(members) and refit is None and first.folds == len(own):
        submission.choose(run, first, f"{BEST}, and at the end")
    else:
        files, weights = [], []
        for name, weight in members.items():
            splits = own + (_fresh_splits(run) if name in again else [])
            files += [folds.fold_dir(run, name, split) / "submission.csv" for split in splits]
            weights += [weight / len(splits)] * len(splits)
        if refit is not None:
            files, weights = [refit], [1.0]
        sha256 = run_combine(run.blend.folder, files, weights, out, run.settings.judge_seconds)
        submission.write_atomically(run.folder / "submission.csv", out.read_bytes())
        why = "refitted on all labelled rows" if refit else f"the mean over {len(files)} runs of {', '.join(members)}"
        chosen = run.state.chosen
        if chosen is None or (chosen.evaluation, chosen.sha256) != ("final", sha256):
            run.record(SubmissionChosen(evaluation="final", sha256=sha256, why=why))
    decide(run, "record", " ".join(members), run.state.chosen.why if run.state.chosen else "", weights=members)
