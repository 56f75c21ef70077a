"""The verdict on an evaluation: over how many blends it is judged, whether it is the new best, what is told of it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.evaluating import folds, planning
from runs.choosing import informative_looks
from runs.events import Warned
from runs.state import Evaluation, State
from tasks.comparing import Weighed, run_weigh
from tasks.judging import Judgement
from tasks.leaks_in_code import may_be_score
from tasks.recipe import Deal
from tasks.resampling import REAL
from tasks.selection import run_combine

if TYPE_CHECKING:
    from harness.loop import Run

AGAIN = 0.75
"""The share of all draws an *unclear* gain needs, beside being one on two sets of rows, to count as repeated."""
APART = 4.0
"""Standard errors by which the other folds may outdo the first: beyond, the solution carries labels with it."""
SLOWER = 3.0
"""How much longer than on the first blend a job may take on another one."""
CLAIM = re.compile(
    r"(?:\bcv\b|\boof\b|valid\w*|hold-?out|score|accuracy|auc|rmse|mae|log_?loss|kappa|f1|r2)\D{0,24}?(-?\d+\.\d+)",
    re.IGNORECASE,
)
SETTINGS = re.compile(r"\{[^{}\n]*\}")
"""A printed dict between the word and the number is what was chosen, not what it scored."""


@dataclass(frozen=True)
class Verdict:
    """What an evaluation comes to. `kind`: first, real, unclear or worse; see `EvaluationFinished` for the rest."""

    kind: str
    score: float | None
    noise: float | None
    told: str
    against: str = ""
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None
    is_promoted: bool = False
    folds: int = 1
    alarm: str = ""
    submission: str = ""


def reach(run: Run, opened: Evaluation, judged: Judgement, seconds: float) -> Verdict:
    """The verdict on an evaluation that was judged on the first blend; runs it on the others where that is planned."""
    plan, best = planning.ensure(run, seconds), _best(run.state)
    first = _on_first(run.state, judged, best)
    others = [Deal(0, part) for part in range(1, plan.folds)]
    wanted = bool(others) and first.kind != "worse" and run.state.fold_seconds < plan.allowance
    weighed, alarm = _over_folds(run, opened, others, best, seconds) if wanted else (None, "")
    if alarm:
        run.record(Warned(message=f"evaluation {opened.id}, not trusted: {alarm}"))
    if weighed is not None and not alarm:
        first = _on_all(run.state, weighed, best, len(others) + 1)
    verdict = replace(first, alarm=alarm, is_promoted=first.is_promoted and (not alarm or best is None))
    submission = _keep(run, opened, others if verdict.folds > 1 else [])
    return replace(verdict, told=_told(run, verdict, best), submission=submission)


def claimed(log: bytes, score: float, lower_is_better: bool) -> float | None:
    """The last score that a solution printed of itself, as far as a pattern can find one beside the harness's."""
    text = SETTINGS.sub("", log[-20_000:].decode(errors="replace"))
    found = [float(number) for number in CLAIM.findall(text)]
    return next((one for one in reversed(found) if may_be_score(one, score, lower_is_better)), None)


def _best(state: State) -> Evaluation | None:
    return state.best if state.best is not None and state.best.score is not None else None


def _kind(share: float) -> str:
    return "real" if share >= REAL else "worse" if share <= 1 - REAL else "unclear"


def _on_first(state: State, judged: Judgement, best: Evaluation | None) -> Verdict:
    if best is None:
        return Verdict("first", judged.score, judged.noise, judged.told, is_promoted=True)
    share = 0.5 if judged.share is None else judged.share
    kind = _kind(share)
    found = Verdict(kind, judged.score, judged.noise, judged.told, best.id, judged.gain, judged.gain_noise, share)
    return replace(found, is_promoted=is_promoted(kind, share, judged.shares))


def _on_all(state: State, weighed: Weighed, best: Evaluation | None, count: int) -> Verdict:
    score, noise, told = weighed.score, weighed.noise, weighed.told
    if best is None:
        return Verdict("first", score, noise, told, is_promoted=True, folds=count)
    share = 0.5 if weighed.share is None else weighed.share
    kind = _kind(share)
    found = Verdict(kind, score, noise, told, best.id, weighed.gain, weighed.gain_noise, share)
    return replace(found, is_promoted=is_promoted(kind, share, weighed.shares), folds=count)


def is_promoted(kind: str, share: float, shares: list[float]) -> bool:
    """A real gain is. So is an unclear one that is repeated: on two sets of rows with none in common."""
    repeated = share >= AGAIN and len(shares) > 1 and all(side > 0.5 for side in shares)
    return kind == "real" or (kind == "unclear" and repeated)


def _over_folds(
    run: Run, opened: Evaluation, others: list[Deal], best: Evaluation | None, seconds: float
) -> tuple[Weighed | None, str]:
    """The evaluation weighed over all blends, and why that cannot be trusted, if so."""
    longest = min(max(60.0, SLOWER * seconds), max(1.0, run.seconds_left()))
    for deal in others:
        done = folds.run_fold(run, opened, deal, longest)
        if done.status != "scored":
            return None, f"on other training rows the command came to `{done.status}` ({done.message})"
    deals = [Deal(), *others]
    theirs = [folds.home_of(run, best.id, deal) / "held_out.csv" for deal in deals] if best else []
    if not all(path.exists() for path in theirs):
        deals, theirs = ([Deal()], theirs[:1]) if best and best.folds == 1 else (deals, [])
    blends = [folds.blend_of(run, deal).folder for deal in deals]
    ours = [folds.home_of(run, opened.id, deal) / "held_out.csv" for deal in deals]
    weighed = run_weigh(blends, ours, theirs, run.settings.judge_seconds)
    if weighed.apart > APART:
        return weighed, (
            f"it scores {weighed.apart:.1f} standard errors better on the other folds than on the first, "
            "so it seems to carry labels of the first fold's training rows with it; only the first fold counts"
        )
    return weighed, ""


def _keep(run: Run, opened: Evaluation, others: list[Deal]) -> str:
    """Put the evaluation's submission in its place: the first blend's, or the mean of all blends'; its sha256."""
    deals = [Deal(), *others]
    files = [folds.home_of(run, opened.id, deal) / "submission.csv" for deal in deals]
    out = run.folder / "evaluations" / opened.id / "submission.csv"
    if len(files) == 1:
        shutil.copyfile(files[0], out)
        return ""
    return run_combine(run.blend.folder, files, [1.0] * len(files), out, run.settings.judge_seconds)


def _told(run: Run, verdict: Verdict, best: Evaluation | None) -> str:
    """The score as the agent may hear it: a rung of the ladder moves only where the score really did."""
    if best is None or verdict.is_promoted or verdict.kind == "real":
        return verdict.told
    if verdict.kind == "unclear":
        return best.told
    return verdict.told if informative_looks(run.state) < run.settings.informative_looks else "below the best"
