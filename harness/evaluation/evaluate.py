"""An evaluation: commit the workspace, run the solution on fold 0, judge its submission, reach a verdict.

Each step first checks whether it was done, so an interrupted evaluation continues: the commit and the job id are on
record before the job starts, the job outlives the harness, and judging a file again gives the same result.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from harness import leasing
from harness.evaluation import fold_plan, leak_checks, result_text, submission
from harness.evaluation.run_split import SplitResult, fold_dir, job_of, judge_again, run_on_split, sampled_data
from harness.evaluation.steps.commit import CommittedSolution, commit_solution
from harness.evaluation.steps.declare import StepArguments, one_step, read_steps
from harness.evaluation.steps.sandboxed import Conditions
from harness.evaluation.verdict import Verdict, reach_verdict, scored_best
from harness.run import Lane, Run
from harness.timing.limits import evaluation_limit
from runs.events.registry import EvaluationFinished, EvaluationStarted, Warned
from runs.state import Evaluation
from runs.versions.changes import fingerprint
from runs.versions.refs import refs_of
from sandboxes.leases.amounts import Priority
from tasks.holdout.private_labels import files_with_canary
from tasks.holdout.split import Split
from tasks.judging.judge import Judgement

ANSWERED = ("scored", "unscored", "sampled", "invalid")
"""Statuses that the same files and command would get again; a failed or timed-out command may be run again."""
OVERTIME_SECONDS = 5.0
"""A job that did not end by its own limit is killed this long after the end of the time for attempts."""


def start(
    lane: Lane,
    call: str,
    command: str,
    seconds: float = 0.0,
    steps: Sequence[StepArguments] | None = None,
    sample: float = 1.0,
) -> Evaluation | str:
    """Start to evaluate the workspace with `command` or `steps`, for at most `seconds` (0: the default limit) of work
    that no earlier evaluation did, on a share `sample` of the training rows. The answer instead, if the same was
    evaluated before.

    Raises `StepsRefused`, and ValueError where no training rows can be left out.
    """
    run = lane.run
    evaluation = run.state.evaluation_of(call, lane.state.turn)
    if evaluation is not None:
        return evaluation
    name, solution = _commit(lane, command, steps)
    if sample < 1:
        sampled_data(run, sample)
    same = [e for e in run.state.evaluations.values() if e.started.solution == solution.solution]
    same = [e for e in same if e.started.sample == sample]
    if answered := next((e for e in same if e.status in ANSWERED), None):
        return result_text.repeated_text(run, answered)
    if still_open := next((e for e in same if not e.finished and e.lane == lane.number), None):
        return still_open
    lane.record(
        EvaluationStarted(
            evaluation=name,
            call=call,
            job=job_of(name, Split()),
            limit_seconds=seconds,
            sample=sample,
            change=_change(lane, solution.commit),
            **asdict(solution),
        )
    )
    with run.publishing:
        run.versions.set_refs(refs_of(run.state))
    return run.state.evaluations[name]


def complete(run: Run, evaluation: Evaluation) -> None:
    """Run and judge an evaluation, record its result, and do what follows from it. A repeated call continues.

    Raises `StopRequested`.
    """
    best = scored_best(run.state)
    result = _run(run, evaluation, best)
    while not _record(run, _judge(run, evaluation, result, best), best):
        best = scored_best(run.state)  # another evaluation became the best meanwhile
        result = judge_again(run, evaluation, result, _judge_seconds(run), _predictions(run, best))
    shutil.rmtree(result.workspace, ignore_errors=True)
    follow(run, run.state.evaluations[evaluation.id])


def follow(run: Run, evaluation: Evaluation) -> None:
    """Do what follows from a result that is on record. Doing it twice changes nothing."""
    if evaluation.became_best:
        submission.choose_best(run)
        fold_plan.update(run)
    elif evaluation.status == "scored":
        with run.publishing:
            if run.state.best is None:
                submission.choose(run, evaluation, "valid but not trusted; used until there is a better one")


def fail(run: Run, evaluation: Evaluation, why: str) -> None:
    """Record that an evaluation has no result."""
    run.record(
        EvaluationFinished(
            evaluation=evaluation.id,
            status="failed",
            commit=evaluation.commit,
            tree=evaluation.started.tree,
            message=why,
        )
    )


def _record(run: Run, finished: EvaluationFinished, best: Evaluation | None) -> bool:
    """Record a result, unless the evaluation that it was compared with is not the best any more."""
    with run.lock:
        now = scored_best(run.state)
        if finished.promoted is not None and (now.id if now else "") != (best.id if best else ""):
            return False
        run.record(finished)
    return True


def _commit(lane: Lane, command: str, steps: Sequence[StepArguments] | None) -> tuple[str, CommittedSolution]:
    """The name of the next evaluation, and the workspace as it is now, in a commit that no ref points at yet."""
    run, attempt = lane.run, lane.state.attempt
    assert attempt is not None
    declared, faults = (one_step(command), []) if steps is None else read_steps(steps)
    name = f"{attempt.number:03d}-{len(run.state.evaluations_in(attempt.number)) + 1}"
    workspace = lane.sandbox.paths.workspace
    make_accessible(workspace)
    parent = next((e.commit for e in reversed(run.state.evaluations_in(attempt.number))), attempt.parent)
    return name, commit_solution(run.versions, workspace, name, parent, declared, faults)


def _change(lane: Lane, commit: str) -> str:
    """A hash of what the attempt changed of its parent; empty for a draft, or where nothing changed."""
    attempt = lane.state.attempt
    if attempt is None or attempt.parent is None:
        return ""
    return fingerprint(lane.run.versions.diff(attempt.parent, commit))


def make_accessible(workspace: Path) -> None:
    """Restore the harness's access to the workspace, which the model's code may have removed."""
    with contextlib.suppress(OSError):
        workspace.chmod(workspace.stat().st_mode | 0o700)


def _run(run: Run, evaluation: Evaluation, best: Evaluation | None) -> SplitResult:
    lane, job = leasing.lane_of(run, evaluation), evaluation.started.job
    is_unwanted = partial(_is_unwanted, run, evaluation)
    with leasing.gpu_turn(run, job, is_unwanted):
        lease = leasing.join(lane, job, Priority.FIRST_FOLD, is_unwanted)
        variables, cores = (lease.variables(), lease.threads) if lease else ({}, None)
        try:
            return run_on_split(
                run,
                evaluation,
                Split(),
                min(run.seconds_left(), evaluation_limit(run, evaluation.started.limit_seconds)),
                lambda: _judge_seconds(run),
                _predictions(run, best),
                conditions=Conditions(variables, leasing.gpus_of_job(lane), is_unwanted, cores),
            )
        finally:
            lane.lease.leave(job)


def _is_unwanted(run: Run, evaluation: Evaluation) -> bool:
    """Whether its job must end: it was killed, a person ends the run, or the time is over, which a job that was paused
    does not notice."""
    return evaluation.id in run.killed or not run.may_wait or run.seconds_left() < -OVERTIME_SECONDS


def _judge_seconds(run: Run) -> float:
    return max(60.0, min(run.settings.judge_seconds, run.seconds_left()))


def _predictions(run: Run, best: Evaluation | None) -> Path | None:
    """The predictions to compare with, if there are any."""
    path = fold_dir(run, best.id, Split()) / "held_out.csv" if best else None
    return path if path and path.exists() else None


def _judge(run: Run, evaluation: Evaluation, result: SplitResult, best: Evaluation | None) -> EvaluationFinished:
    """The finished event: the verdict on a scored submission, compared with `best`, or why there is no score."""
    judgement = result.judgement
    if judgement.problem:
        run.record(Warned(message=f"evaluation {evaluation.id} could not be scored: {judgement.problem}"))
    for path in files_with_canary(run.blend.private_labels, [result.submission, *result.outcome.logs]):
        run.record(Warned(message=f"held-out labels leaked: {path.name} of evaluation {evaluation.id}"))
    if evaluation.started.sample < 1 and judgement.status in ("scored", "unscored"):
        return _sampled(run, evaluation, result)
    if judgement.status == "scored":
        finished = _scored(run, evaluation, result, best)
        if evaluation.id not in run.killed:
            return finished
        result = replace(result, judgement=Judgement("failed", "it was killed before its score was confirmed"))
    if judgement.status == "unscored":
        folder = fold_dir(run, evaluation.id, Split())
        shutil.copyfile(folder / "submission.csv", folder.with_name("submission.csv"))
    return _finished(evaluation, result)


def _sampled(run: Run, evaluation: Evaluation, result: SplitResult) -> EvaluationFinished:
    """The result of a first look: no verdict, no other folds, never the best. Its score is shown a limited number of
    times, since it too tells about the held-out rows."""
    judged = result.judgement
    looks = sum(e.status == "sampled" for e in run.state.evaluations.values())
    shown = judged.shown_score if looks < run.settings.max_holdout_queries else ""
    what = f"made from {evaluation.started.sample:.0%} of the training rows, so it competes with nothing"
    changes = {
        "status": "sampled",
        "score": None,
        "noise": None,
        "sampled_score": judged.score,
        "shown_score": shown,
        "message": f"score {shown} on held-out rows, {what}" if shown else f"a valid file, {what}",
    }
    return _finished(evaluation, result).model_copy(update=changes)


def _scored(run: Run, evaluation: Evaluation, result: SplitResult, best: Evaluation | None) -> EvaluationFinished:
    checked = leak_checks.check(run, evaluation, result)
    verdict = reach_verdict(run, evaluation, result, checked.findings, best)
    score, noise = verdict.judged.score or 0.0, verdict.judged.noise or 0.0
    claimed = checked.self_reported_score(score, run.created.lower_is_better)
    leak_checks.warn(run, evaluation.id, checked, claimed, score, noise)
    notes = leak_checks.notes_for_model(run.state, checked)
    return _finished(evaluation, result, verdict, claimed, notes)


def _finished(
    evaluation: Evaluation,
    result: SplitResult,
    verdict: Verdict | None = None,
    claimed: float | None = None,
    notes: Sequence[str] = (),
) -> EvaluationFinished:
    judgement = result.judgement
    reached = verdict or Verdict("", judgement, folds=0)
    judged, compared = reached.judged, reached.over_folds
    return EvaluationFinished(
        evaluation=evaluation.id,
        status=judgement.status,
        commit=evaluation.commit,
        tree=evaluation.started.tree,
        score=judged.score,
        noise=judged.noise,
        shown_score=reached.shown_score,
        message=judgement.message,
        seconds=result.seconds,
        spent_seconds=result.spent_seconds,
        steps=result.outcome.results,
        submission=reached.submission or judgement.sha256,
        verdict=reached.kind,
        against=reached.against,
        gain=judged.gain,
        gain_noise=judged.gain_noise,
        gain_folds=reached.gain_folds if reached.against else 0,
        shown_gain=reached.shown_gain,
        share=reached.share,
        promoted=reached.is_promoted if verdict else None,
        folds=reached.folds,
        first_score=compared.first_score if compared else None,
        first_noise=compared.first_noise if compared else None,
        mean_score=compared.score if compared and compared.score != judged.score else None,
        mean_noise=compared.noise if compared and compared.score != judged.score else None,
        distrust_reason=reached.distrust_reason,
        claimed=claimed,
        notes=list(notes),
    )
