"""The verdict on an evaluation: whether it is the new best, whether it can be trusted, and what the model learns.

The model sees a score only where that tells little about the held-out rows: the first one, real gains, and a bounded
number of others. Of the other folds only a fixed sentence comes back.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace

from harness.evaluation import fold_plan, folds
from harness.evaluation.leak_checks import MEMORIZATION_FINDINGS
from harness.evaluation.run_split import SplitResult, blend_of, fold_dir, judge_again
from harness.run import Run
from runs.events.registry import Warned
from runs.state import Evaluation, State
from runs.views.final_choice import holdout_queries
from tasks.holdout.split import Split
from tasks.judging.compare import Comparison, run_compare
from tasks.judging.judge import Judgement, format_gain
from tasks.judging.select_final import run_combine
from tasks.leakage.solution import UNCHECKED
from tasks.leakage.statistics import Finding
from tasks.metrics.bootstrap import REAL_SHARE, REPEAT_SHARE
from tasks.subprocesses import ChildFailed

MAX_FOLD_Z = 4.0
"""Standard errors by which the score on the first fold and on the others may differ. The agent knows the labels that
the other folds hold out: a much better score there means the solution carries them. A much worse one is overfitted to
the rows of the first fold."""
FAILED_ELSEWHERE = "its command did not succeed with other training rows than these"
NOT_REPRODUCED = "its score is not the same on other training rows, so it may carry labels or predictions with it"
"""These two sentences, and the type of a usual exception (`failure.py`), are all that the model learns of other folds:
a number or a message would carry their labels."""
MEMORIZED = "it contains memorized labels or predictions (see what was noticed)"
UNCHECKED_FILES = "its files could not be checked for leaked labels: ship fewer and smaller files"
NOT_SHOWN = "not shown"
BELOW_BEST = "below the best"
SLOWDOWN = 3.0
"""How many times longer than on the first fold a job may take on another."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on an evaluation, and what it rests on. `kind`: first, real, unclear or worse; `judged` has the
    score, its noise, and the gain over the evaluation `against`; `over_folds` is the score over all folds, if it ran on
    them; see `EvaluationFinished` for the rest.
    """

    kind: str
    judged: Judgement | Comparison
    against: str = ""
    share: float | None = None
    is_promoted: bool = False
    folds: int = 1
    over_folds: Comparison | None = None
    gain_folds: int = 1
    distrust_reason: str = ""
    shown_score: str = ""
    shown_gain: str = ""
    submission: str = ""


def reach_verdict(
    run: Run, evaluation: Evaluation, result: SplitResult, findings: list[Finding], best: Evaluation | None
) -> Verdict:
    """The verdict on an evaluation that was scored on the first fold and compared there with `best`; runs it on the
    others where that is planned.

    A solution that is not trusted never becomes the best: later honest scores could not be compared with it.
    """
    seconds = result.seconds
    plan = fold_plan.ensure(run, seconds)
    verdict = _compared(Verdict("first", _on_search_rows(run, evaluation, result, best)), best)
    others = [Split(0, fold) for fold in range(1, plan.folds)]
    kinds = {finding.kind for finding in findings}
    if kinds & MEMORIZATION_FINDINGS:
        verdict = replace(verdict, distrust_reason=MEMORIZED)
    elif UNCHECKED in kinds:
        verdict = replace(verdict, distrust_reason=UNCHECKED_FILES)
    elif others and verdict.kind != "worse":
        verdict = _over_folds(run, evaluation, result, others, best, verdict)
    if verdict.distrust_reason:
        verdict = replace(verdict, is_promoted=False)
    submission = _keep_submission(run, evaluation, others if verdict.folds > 1 else [])
    shown = shown_score(run.state, run.settings.max_holdout_queries, verdict, best)
    return replace(verdict, shown_score=shown, shown_gain=shown_gain(verdict, shown), submission=submission)


def _on_search_rows(run: Run, evaluation: Evaluation, result: SplitResult, best: Evaluation | None) -> Judgement:
    """The judgement on the search rows alone, also of a solution that was judged before select rows were set aside."""
    if result.half == fold_plan.search_half(run):
        return result.judgement
    against = fold_dir(run, best.id, Split()) / "held_out.csv" if best else None
    again = judge_again(run, evaluation, result, run.settings.judge_seconds, against)
    if again.judgement.status != "scored" and again.half is not None:  # half of the rows may have one class
        fold_plan.use_all_rows(run)
        again = judge_again(run, evaluation, result, run.settings.judge_seconds, against)
    return again.judgement


def scored_best(state: State) -> Evaluation | None:
    """The best evaluation so far that has a score."""
    return state.best if state.best is not None and state.best.score is not None else None


def _compared(verdict: Verdict, best: Evaluation | None) -> Verdict:
    """The verdict with the comparison with the best so far."""
    if best is None:
        return replace(verdict, is_promoted=True)
    share = 0.5 if verdict.judged.share is None else verdict.judged.share
    kind = "real" if share >= REAL_SHARE else "worse" if share <= 1 - REAL_SHARE else "unclear"
    promoted = is_promoted(kind, share, verdict.judged.shares)
    return replace(verdict, kind=kind, against=best.id, share=share, is_promoted=promoted)


def is_promoted(kind: str, share: float, shares: list[float]) -> bool:
    """A real gain is promoted, and an unclear one that repeats on two disjoint sets of rows."""
    repeated = share >= REPEAT_SHARE and len(shares) > 1 and all(side > 0.5 for side in shares)
    return kind == "real" or (kind == "unclear" and repeated)


def _over_folds(
    run: Run, evaluation: Evaluation, result: SplitResult, others: list[Split], best: Evaluation | None, first: Verdict
) -> Verdict:
    """The verdict over all folds, where the time suffices for them; else `first`, that of the first fold.

    Returns at a round time: how long other folds take may depend on labels that they train on.
    """
    started = time.monotonic()
    try:
        verdict = _judge_folds(run, evaluation, result, others, best, first)
    except ChildFailed as error:  # most likely a metric of the task's own that is too slow for all folds
        run.record(Warned(message=f"evaluation {evaluation.id} is judged on the first fold alone: {error}"))
        verdict = first
    if run.created.protects_labels and not run.created.is_demo:
        folds.wait_until_round_time(run, started, result.seconds * len(others))
    return verdict


def _judge_folds(
    run: Run, evaluation: Evaluation, result: SplitResult, others: list[Split], best: Evaluation | None, first: Verdict
) -> Verdict:
    def allowed() -> float:
        return _seconds_for_folds(run)

    outcome = folds.run_all(run, evaluation, others, result.seconds, SLOWDOWN, allowed, steps=result.outcome.results)
    if outcome == "short":
        return first
    if outcome != "done":
        reason = failed_elsewhere(run.state, run.settings.max_holdout_queries, evaluation.id, others)
        run.record(Warned(message=f"evaluation {evaluation.id}, not trusted: {reason}"))
        return replace(first, distrust_reason=reason)
    best_outcome: folds.Outcome = "short"
    if best:
        seconds, steps = best.result.seconds, best.result.steps
        best_outcome = folds.run_all(run, best, others, seconds, SLOWDOWN, allowed, steps=steps)
    splits = [Split(), *others]
    comparison = compare(run, evaluation.id, splits, best, splits if best_outcome == "done" else splits[:1])
    if abs(comparison.fold_z) > MAX_FOLD_Z:
        how = f"{abs(comparison.fold_z):.1f} standard errors {'better' if comparison.fold_z > 0 else 'worse'}"
        run.record(Warned(message=f"evaluation {evaluation.id}, not trusted: {how} on the other folds than on fold 0"))
        return replace(first, distrust_reason=NOT_REPRODUCED)
    protected = comparison.protected()
    shared = len(splits) if best_outcome == "done" else 1
    found = Verdict("first", protected, folds=len(splits), over_folds=comparison, gain_folds=shared)
    verdict = _compared(found, best)
    if best is not None and protected.score != comparison.score:
        # The gain on the other folds may be memorized: only the first fold decides.
        verdict = replace(first, folds=len(splits), over_folds=comparison)
    # If the current best fails on the other folds, it is no longer the baseline.
    if best_outcome in ("failed", "slow") and first.kind != "worse":
        return replace(verdict, is_promoted=True)
    return verdict


def failed_elsewhere(state: State, max_queries: int, evaluation: str, others: list[Split]) -> str:
    """Why a solution that failed on other folds is not trusted. Names the type of its exception, while queries last."""
    ended = [state.folds.get((evaluation, split.name)) for split in others]
    exception = next((fold.exception for fold in ended if fold and fold.exception), "")
    named = f" ({exception})" if exception and holdout_queries(state) < max_queries else ""
    return FAILED_ELSEWHERE + named


def _seconds_for_folds(run: Run) -> float:
    """Seconds that evaluations on other folds may still take."""
    plan = run.state.plan
    return min(plan.allowance - run.state.fold_seconds if plan else 0.0, run.seconds_left())


def compare(run: Run, evaluation: str, splits: list[Split], best: Evaluation | None, shared: list[Split]) -> Comparison:
    """An evaluation over these splits, compared with the best so far on those both ran on. Raises `ChildFailed`."""
    blends = [blend_of(run, split).folder for split in splits]
    ours = [fold_dir(run, evaluation, split) / "held_out.csv" for split in splits]
    theirs = [fold_dir(run, best.id, split) / "held_out.csv" for split in shared] if best else []
    return run_compare(blends, ours, theirs, run.settings.judge_seconds)


def _keep_submission(run: Run, evaluation: Evaluation, others: list[Split]) -> str:
    """Write the evaluation's submission: the first fold's, or the mean over all folds; returns the mean's sha256."""
    splits = [Split(), *others]
    files = [fold_dir(run, evaluation.id, split) / "submission.csv" for split in splits]
    out = run.folder / "evaluations" / evaluation.id / "submission.csv"
    if len(files) == 1:
        shutil.copyfile(files[0], out)
        return ""
    try:
        return run_combine(run.blend.folder, files, [1.0] * len(files), out, run.settings.judge_seconds)
    except ChildFailed as error:
        run.record(Warned(message=f"evaluation {evaluation.id} submits what the first fold made: {error}"))
        shutil.copyfile(files[0], out)
        return ""


def shown_score(state: State, max_queries: int, verdict: Verdict, best: Evaluation | None) -> str:
    """The score as the model may see it; empty or words where no number is shown.

    A real gain shows its number, an unclear result never does. At most `max_queries` other results show one, because
    each is a query of the held-out rows.
    """
    score, distrusted = verdict.judged.shown_score, bool(verdict.distrust_reason)
    if verdict.distrust_reason in (NOT_REPRODUCED, MEMORIZED, UNCHECKED_FILES):
        return NOT_SHOWN
    if verdict.kind == "real" and not distrusted:
        return score
    if verdict.kind == "unclear":
        return ""
    if best is None and not distrusted:
        return score
    if holdout_queries(state) < max_queries:
        return score
    return NOT_SHOWN if best is None else BELOW_BEST


def shown_gain(verdict: Verdict, shown: str) -> str:
    """The paired gain as the model may see it: only beside a score that is shown, so that both are one query."""
    is_shown = verdict.kind in ("real", "worse") and shown not in ("", NOT_SHOWN, BELOW_BEST)
    return format_gain(verdict.judged.gain, verdict.judged.gain_noise) if is_shown else ""
