"""What is handed in: the end of a run, inside the time kept back for it.

Finalists are run again on fresh splits where they fit into the time, the pick is made on rows that chose none of them,
an ensemble is taken where such rows agree, and the winner of a single blend is refitted on all labelled rows. Each
decision is an event with its numbers; done again after a crash, it goes on where it stood.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import budget
from harness.evaluating import finale, folds
from runs.events import Decided, SubmissionChosen
from runs.state import Evaluation
from tasks.recipe import Deal
from tasks.selection import HELD_OUT, SELECT, Choice, Judges, Rows, run_choose, run_combine, run_distance

if TYPE_CHECKING:
    from harness.loop import Run

SPARE_SECONDS = 30.0
SLOWER = 2.0
"""How much longer than before a job may take at the end."""
SEEDS = 1.25
"""How much further than two splits differ from each other a refit may lie from what it replaces."""
REFIT = Deal(0, -1)


def select(run: Run) -> None:
    """Choose the submission of record. A run without a scored submission, or one that has chosen, is left alone."""
    best = run.state.best
    if best is None or best.score is None or run.state.plan is None or "record" in run.state.decisions:
        return
    finalists = _finalists(run)
    fresh = _replicate(run, finalists)
    weights = _choose(run, finalists, fresh)
    members = {name: weight for name, weight in weights.items() if weight > 0}
    refit = _refit(run, members)
    _record(run, members, fresh, refit)


def decide(run: Run, step: str, chosen: str, why: str, **numbers: Any) -> Decided:
    """Record a decision, once; the one on record where there is one."""
    if step not in run.state.decisions:
        run.record(Decided(step=step, chosen=chosen, why=why, numbers=numbers))
    return run.state.decisions[step]


def _finalists(run: Run) -> list[Evaluation]:
    """The best few evaluations that were judged over as many blends as the best one, one for each tree."""
    state, best = run.state, run.state.best
    assert best is not None
    able = [e for e in state.evaluations.values() if e.score is not None and e.folds == best.folds and not e.alarm]
    sign = 1 if state.lower_is_better else -1
    ranked = sorted(able, key=lambda e: (e.id != best.id and e.score == best.score, sign * (e.score or 0.0)))
    different = {(e.tree, e.command): e for e in reversed(ranked)}
    few = [e for e in ranked if different[e.tree, e.command] is e][: run.settings.finalists]
    if best.id not in [e.id for e in few]:
        few = [best, *few[: run.settings.finalists - 1]]
    chosen = decide(
        run, "finalists", " ".join(e.id for e in few), f"of {len(able)}", scores={e.id: e.score for e in few}
    )
    return [state.evaluations[name] for name in chosen.chosen.split()]


def _seconds_left(run: Run) -> float:
    left = budget.finale_seconds_left(run.created, run.active_seconds()) - SPARE_SECONDS
    if run.created.is_demo and run.state.plan:
        left = min(left, run.state.plan.allowance - run.state.fold_seconds)
    return left


def _fresh_deals(run: Run) -> list[Deal]:
    plan = run.state.plan
    return [Deal(1, part) for part in range(plan.folds if plan and plan.folds else 1)]


def _replicate(run: Run, finalists: list[Evaluation]) -> list[Evaluation]:
    """The finalists that have been run on fresh splits: as many as fit into the time, at least two or none."""
    deals, best = _fresh_deals(run), run.state.best
    assert best is not None
    left, fitting = _seconds_left(run), 0
    if not (run.blend.select_rows and not run.blend.folds):
        for one in finalists:
            left -= SLOWER * len(deals) * one.seconds
            fitting += left > 0
    count = fitting if fitting > 1 and best.folds == len(deals) else 0
    why = (
        f"{count} of {len(finalists)} fit into the time on {len(deals)} fresh blends" if count else "none are run again"
    )
    made = decide(run, "replicas", "", why, count=count)
    again = finalists[: made.numbers["count"]]
    for one in again:
        for deal in deals:
            folds.run_fold(run, one, deal, max(60.0, SLOWER * one.seconds))
    return [one for one in again if all(_is_scored(run, one, deal) for deal in deals)]


def _is_scored(run: Run, one: Evaluation, deal: Deal) -> bool:
    done = run.state.folds.get((one.id, deal.name))
    return done is not None and done.status == "scored"


def _choose(run: Run, finalists: list[Evaluation], fresh: list[Evaluation]) -> dict[str, float]:
    """The weight of each finalist in what is handed in."""
    made = run.state.decisions.get("ensemble")
    if made is not None:
        return {name: float(weight) for name, weight in made.numbers["weights"].items()}
    judges: Judges = "select" if run.blend.select_rows else "fresh" if len(fresh) > 1 else "halves"
    candidates = fresh if judges == "fresh" else finalists
    best = run.state.best
    assert best is not None
    own = [Deal(0, part) for part in range(best.folds)]
    search = _rows(run, candidates, own, HELD_OUT)
    judging = None
    if judges == "select":
        judging = _rows(run, candidates, [Deal()], SELECT)
    elif judges == "fresh":
        judging = _rows(run, candidates, _fresh_deals(run), HELD_OUT)
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


ROWS = {"select": "the select rows, opened once", "fresh": "fresh folds", "halves": "the rows searched on"}


def _scores(names: list[str], choice: Choice) -> dict[str, Any]:
    return {
        "searched": dict(zip(names, choice.searched, strict=True)),
        "judged": dict(zip(names, choice.judged, strict=True)),
    }


def _rows(run: Run, candidates: list[Evaluation], deals: list[Deal], role: str) -> Rows:
    name = "select.csv" if role == SELECT else "held_out.csv"
    blends = tuple(folds.blend_of(run, deal).folder for deal in deals)
    files = tuple(tuple(folds.home_of(run, one.id, deal) / name for one in candidates) for deal in deals)
    return Rows(blends, files, role)


def _refit(run: Run, members: dict[str, float]) -> Path | None:
    """The members' predictions after training on all labelled rows, where they differ no more than two splits do."""
    plan, out = run.state.plan, run.folder / "evaluations" / "final"
    made = run.state.decisions.get("refit")
    if made is None and plan is not None and not plan.folds:
        again = [REFIT, Deal(1, 0)]
        cost = sum(SLOWER * len(again) * run.state.evaluations[name].seconds for name in members)
        if cost > _seconds_left(run):
            made = decide(run, "refit", "", f"{cost:.0f} s for it are more than there are")
        else:
            made = _try_refit(run, members, out)
    return out / "refit.csv" if made is not None and made.chosen else None


def _try_refit(run: Run, members: dict[str, float], out: Path) -> Decided:
    for name in members:
        one = run.state.evaluations[name]
        for deal in (REFIT, Deal(1, 0)):
            done = folds.run_fold(run, one, deal, max(60.0, SLOWER * one.seconds))
            if done.status not in ("scored", "unscored"):
                return decide(run, "refit", "", f"evaluation {name} came to `{done.status}` on {deal.name}")
    seconds = run.settings.judge_seconds
    for name, deal in (("before", Deal()), ("refit", REFIT), ("other", Deal(1, 0))):
        files = [folds.home_of(run, member, deal) / "submission.csv" for member in members]
        run_combine(run.blend.folder, files, list(members.values()), out / f"{name}.csv", seconds)
    moved, usual = (
        run_distance(run.blend.folder, out / "before.csv", out / f"{name}.csv", seconds) for name in ("refit", "other")
    )
    accepted = moved <= SEEDS * usual + 1e-9
    why = "no further from it than two splits are from each other" if accepted else "further than two splits are"
    return decide(run, "refit", "refit" if accepted else "", why, moved=moved, usual=usual)


def _record(run: Run, members: dict[str, float], fresh: list[Evaluation], refit: Path | None) -> None:
    """Make the submission of record of what was chosen."""
    best, out = run.state.best, run.folder / "evaluations" / "final" / "submission.csv"
    assert best is not None
    again = {one.id for one in fresh}
    if list(members) == [best.id] and not again & set(members) and refit is None:
        finale.choose(run, best, "best score on held-out rows, and at the end")
    else:
        files, weights = [], []
        for name, weight in members.items():
            deals = [Deal(0, part) for part in range(best.folds)] + (_fresh_deals(run) if name in again else [])
            files += [folds.home_of(run, name, deal) / "submission.csv" for deal in deals]
            weights += [weight / len(deals)] * len(deals)
        if refit is not None:
            files, weights = [refit], [1.0]
        sha256 = run_combine(run.blend.folder, files, weights, out, run.settings.judge_seconds)
        finale.write_atomically(run.folder / "submission.csv", out.read_bytes())
        if run.state.chosen is None or run.state.chosen.sha256 != sha256:
            why = (
                "refitted on all labelled rows" if refit else f"the mean over {len(files)} runs of {', '.join(members)}"
            )
            run.record(SubmissionChosen(evaluation="final", sha256=sha256, why=why))
    decide(run, "record", " ".join(members), run.state.chosen.why if run.state.chosen else "", weights=members)
