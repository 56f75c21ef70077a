"""The verdict on an evaluation: over how many blends it is judged, whether it is the new best, what is told of it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.evaluation import fold_plan, folds
from runs.events.registry import Warned
from runs.state import Evaluation, State
from runs.views.final_choice import holdout_queries
from tasks.holdout.recipe import Split
from tasks.judging.compare import Comparison, run_compare
from tasks.judging.judge import Judgement
from tasks.judging.select_final import run_combine
from tasks.leakage.code import may_be_score
from tasks.leakage.statistics import Finding
from tasks.metrics.bootstrap import REAL_SHARE, REPEAT_SHARE
from tasks.subprocesses import ChildFailed

if TYPE_CHECKING:
    from harness.loop import Run

MAX_FOLD_Z = 4.0
"""Standard errors by which the first fold and the others may differ. The agent knows the labels that the others hold
out: what is much better there carries them with it. What is much worse there fits the first fold's rows alone."""
FAILED_ELSEWHERE = (
    "its command did not succeed with other training rows than these; of its files it may use those of code, and .json "
    "and .txt up to 10 kB"
)
NOT_REPRODUCED = "its score is not the same on other training rows, so it may carry labels or predictions with it"
"""These two sentences are all that comes back of other folds: a number or a message would carry their labels."""
MEMORIZED = "it holds labels or predictions by heart (see what was noticed)"
MEMORIZATION_FINDINGS = frozenset(("labels in the code", "answers in the code", "predictions brought along"))
"""What the leak sentinel finds in a solution that is then not trusted, by the kind of the finding."""
NOT_SHOWN = "not told"
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
    shown_score: str
    against: str = ""
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None
    is_promoted: bool = False
    folds: int = 1
    alarm: str = ""
    submission: str = ""


def reach(run: Run, opened: Evaluation, judged: Judgement, seconds: float, found: list[Finding]) -> Verdict:
    """The verdict on an evaluation that was judged on the first blend; runs it on the others where that is planned.

    `found` is what the leak sentinel says of the solution. What is not to be trusted is never the best so far: nothing
    would be compared with an honest score any more.
    """
    plan, best = fold_plan.ensure(run, seconds), _best(run.state)
    verdict = _on_first(judged, best)
    others = [Split(0, part) for part in range(1, plan.folds)]
    if any(one.kind in MEMORIZATION_FINDINGS for one in found):
        verdict = replace(verdict, alarm=MEMORIZED)
    elif others and verdict.kind != "worse":
        verdict = _over_folds(run, replace(opened, seconds=seconds), others, best, verdict)
    if verdict.alarm:
        verdict = replace(verdict, is_promoted=False)
    submission = _keep(run, opened, others if verdict.folds > 1 else [])
    return replace(
        verdict, shown_score=_told(run.state, run.settings.max_holdout_queries, verdict, best), submission=submission
    )


def claimed(log: bytes, score: float, lower_is_better: bool) -> float | None:
    """The last score that a solution printed of itself, as far as a pattern can find one beside the harness's."""
    text = SETTINGS.sub("", log[-20_000:].decode(errors="replace"))
    found = [float(number) for number in CLAIM.findall(text)]
    return next((one for one in reversed(found) if may_be_score(one, score, lower_is_better)), None)


def _best(state: State) -> Evaluation | None:
    return state.best if state.best is not None and state.best.score is not None else None


def _kind(share: float) -> str:
    return "real" if share >= REAL_SHARE else "worse" if share <= 1 - REAL_SHARE else "unclear"


def _on_first(judged: Judgement, best: Evaluation | None) -> Verdict:
    return _against(Verdict("first", judged.score, judged.noise, judged.shown_score), judged, best)


def _against(verdict: Verdict, found: Judgement | Comparison, best: Evaluation | None) -> Verdict:
    """The verdict with what the comparison with the best so far came to."""
    if best is None:
        return replace(verdict, is_promoted=True)
    share = 0.5 if found.share is None else found.share
    kind = _kind(share)
    promoted = is_promoted(kind, share, found.shares)
    gain, noise = found.gain, found.gain_noise
    return replace(verdict, kind=kind, against=best.id, gain=gain, gain_noise=noise, share=share, is_promoted=promoted)


def is_promoted(kind: str, share: float, shares: list[float]) -> bool:
    """A real gain is. So is an unclear one that is repeated: on two sets of rows with none in common."""
    repeated = share >= REPEAT_SHARE and len(shares) > 1 and all(side > 0.5 for side in shares)
    return kind == "real" or (kind == "unclear" and repeated)


def _over_folds(run: Run, opened: Evaluation, others: list[Split], best: Evaluation | None, first: Verdict) -> Verdict:
    """The verdict over all blends, where the time suffices for them; `first` is that of the first blend."""
    try:
        return _weighed(run, opened, others, best, first)
    except ChildFailed as error:  # a metric of the task's own that is too slow for folds, most likely
        run.record(Warned(message=f"evaluation {opened.id} is judged on the first fold alone: {error}"))
        return first


def _weighed(run: Run, opened: Evaluation, others: list[Split], best: Evaluation | None, first: Verdict) -> Verdict:
    came_to = folds.run_all(run, opened, others, SLOWER, lambda: _allowed(run))
    if came_to == "short":
        return first
    if came_to != "done":
        run.record(Warned(message=f"evaluation {opened.id}, not trusted: {FAILED_ELSEWHERE}"))
        return replace(first, alarm=FAILED_ELSEWHERE)
    theirs = folds.run_all(run, best, others, SLOWER, lambda: _allowed(run)) if best else "short"
    splits = [Split(), *others]
    weighed = weigh(run, opened, splits, best, splits if theirs == "done" else splits[:1])
    if abs(weighed.fold_z) > MAX_FOLD_Z:
        says = f"{abs(weighed.fold_z):.1f} standard errors {'better' if weighed.fold_z > 0 else 'worse'}"
        run.record(Warned(message=f"evaluation {opened.id}, not trusted: {says} on the other folds than on the first"))
        return replace(first, alarm=NOT_REPRODUCED)
    verdict = Verdict("first", weighed.score, weighed.noise, weighed.shown_score, folds=len(splits))
    # A best so far that does not do it again on other training rows stands for nothing any more.
    if theirs in ("failed", "slow") and first.kind != "worse":
        return replace(_against(verdict, weighed, best), is_promoted=True)
    return _against(verdict, weighed, best)


def _allowed(run: Run) -> float:
    """Seconds that runs on other blends may still take."""
    plan = run.state.plan
    return min(plan.allowance - run.state.fold_seconds if plan else 0.0, run.seconds_left())


def weigh(
    run: Run, opened: Evaluation, splits: list[Split], best: Evaluation | None, shared: list[Split]
) -> Comparison:
    """An evaluation over these blends, compared with the best so far on those both ran on. Raises `ChildFailed`."""
    blends = [folds.blend_of(run, split).folder for split in splits]
    ours = [folds.fold_dir(run, opened.id, split) / "held_out.csv" for split in splits]
    theirs = [folds.fold_dir(run, best.id, split) / "held_out.csv" for split in shared] if best else []
    return run_compare(blends, ours, theirs, run.settings.judge_seconds)


def _keep(run: Run, opened: Evaluation, others: list[Split]) -> str:
    """Put the evaluation's submission in its place: the first blend's, or the mean of all blends'; its sha256."""
    splits = [Split(), *others]
    files = [folds.fold_dir(run, opened.id, split) / "submission.csv" for split in splits]
    out = run.folder / "evaluations" / opened.id / "submission.csv"
    if len(files) == 1:
        shutil.copyfile(files[0], out)
        return ""
    try:
        return run_combine(run.blend.folder, files, [1.0] * len(files), out, run.settings.judge_seconds)
    except ChildFailed as error:
        run.record(Warned(message=f"evaluation {opened.id} hands in what the first fold made: {error}"))
        shutil.copyfile(files[0], out)
        return ""


def _told(state: State, most: int, verdict: Verdict, best: Evaluation | None) -> str:
    """The score as the agent may hear it: a rung of the ladder moves only where the score really did.

    At most `most` scores are told that are no real gain: each is a look at the held-out rows.
    """
    if verdict.alarm in (NOT_REPRODUCED, MEMORIZED):
        return NOT_SHOWN
    if verdict.kind == "real" and not verdict.alarm:
        return verdict.shown_score
    if verdict.kind == "unclear" and best is not None:
        return best.shown_score
    if best is None and not verdict.alarm:
        return verdict.shown_score
    return verdict.shown_score if holdout_queries(state) < most else NOT_SHOWN if best is None else "below the best"
