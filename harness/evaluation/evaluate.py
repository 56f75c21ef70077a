"""An evaluation: commit the workspace, run the solution on fold 0, judge its submission, reach a verdict.

Each step first checks whether it was done, so an interrupted evaluation continues: the commit and the job id are on
record before the job starts, the job outlives the harness, and judging a file again gives the same result.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness import leasing
from harness.evaluation import fold_plan, leak_checks, result_text, submission
from harness.evaluation.run_split import SplitResult, fold_dir, job_of, run_on_split
from harness.evaluation.steps.commit import CommittedSolution, commit_solution
from harness.evaluation.steps.declare import StepArguments, one_step, read_steps
from harness.evaluation.steps.sandboxed import Conditions
from harness.evaluation.verdict import Verdict, reach_verdict
from harness.run import Lane, Run
from runs.events.registry import EvaluationFinished, EvaluationStarted, Warned
from runs.state import Evaluation, State
from runs.versions.refs import refs_of
from sandboxes.leases.amounts import Priority
from tasks.holdout.private_labels import files_with_canary
from tasks.holdout.split import Split

SLOWDOWN = 5.0
"""How many times longer than the longest successful evaluation one may take by default."""
ANSWERED = ("scored", "unscored", "invalid")
"""Statuses that the same files and command would get again; a failed or timed-out command may be run again."""


def evaluate(
    lane: Lane, call: str, command: str, seconds: float = 0.0, steps: Sequence[StepArguments] | None = None
) -> str:
    """Evaluate the workspace with `command` or `steps`, for at most `seconds` (0: the default limit) of work that no
    earlier evaluation did; returns the tool's result.

    Raises `StopRequested`, `StepsRefused`.
    """
    run = lane.run
    evaluation = run.state.evaluation_of(call, lane.state.turn)
    if evaluation is None:
        name, solution = _commit(lane, command, steps)
        if (earlier := _answered(run.state, solution)) is not None:
            return result_text.repeated_text(run, earlier)
        evaluation = _start(lane, name, call, solution)
    if not evaluation.finished:
        result = _run(lane, evaluation, seconds)
        run.record(_judge(run, evaluation, result))
        shutil.rmtree(result.workspace, ignore_errors=True)
        evaluation = run.state.evaluations[evaluation.id]
    if evaluation.became_best:
        submission.choose_best(run)
        fold_plan.update(run)
    elif evaluation.status == "scored":
        with run.publishing:
            if run.state.best is None:
                submission.choose(run, evaluation, "valid but not trusted; used until there is a better one")
    return result_text.result_text(run, evaluation)


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


def _answered(state: State, solution: CommittedSolution) -> Evaluation | None:
    """The earlier evaluation of the same files by the same steps, if its result would come again."""
    same = (e for e in state.evaluations.values() if e.started.solution == solution.solution)
    return next((e for e in same if e.status in ANSWERED), None)


def _start(lane: Lane, name: str, call: str, solution: CommittedSolution) -> Evaluation:
    run = lane.run
    lane.record(EvaluationStarted(evaluation=name, call=call, job=job_of(name, Split()), **asdict(solution)))
    with run.publishing:
        run.versions.set_refs(refs_of(run.state))
    return run.state.evaluations[name]


def make_accessible(workspace: Path) -> None:
    """Restore the harness's access to the workspace, which the model's code may have removed."""
    with contextlib.suppress(OSError):
        workspace.chmod(workspace.stat().st_mode | 0o700)


def _run(lane: Lane, evaluation: Evaluation, seconds: float) -> SplitResult:
    run, job = lane.run, evaluation.started.job
    settings, best = run.settings, run.state.best
    against = fold_dir(run, best.id, Split()) / "held_out.csv" if best and best.score is not None else None
    lease = leasing.join(lane, job, Priority.FIRST_FOLD)
    try:
        return run_on_split(
            run,
            evaluation,
            Split(),
            min(run.seconds_left(), _limit(run, seconds)),
            lambda: max(60.0, min(settings.judge_seconds, run.seconds_left())),
            against if against and against.exists() else None,
            conditions=Conditions(lease.variables() if lease else {}, leasing.gpus_of_job(lane)),
        )
    finally:
        lane.lease.leave(job)


def _limit(run: Run, asked: float) -> float:
    """Seconds an evaluation may take: a command that hangs must not take the whole run.

    By default `evaluation_seconds`, or SLOWDOWN times the longest one that succeeded; `asked` replaces that, up to
    `evaluation_share` of the run.
    """
    settings = run.settings
    succeeded = (e.result.seconds for e in run.state.evaluations.values() if e.status in ("scored", "unscored"))
    most = max(settings.evaluation_seconds, settings.evaluation_share * 3600 * (settings.hours or 24.0))
    return min(most, asked or max(settings.evaluation_seconds, SLOWDOWN * max(succeeded, default=0.0)))


def _judge(run: Run, evaluation: Evaluation, result: SplitResult) -> EvaluationFinished:
    """The finished event: the verdict on a scored submission, or why there is no score."""
    judgement = result.judgement
    if judgement.problem:
        run.record(Warned(message=f"evaluation {evaluation.id} could not be scored: {judgement.problem}"))
    for path in files_with_canary(run.blend.private_labels, [result.submission, *result.outcome.logs]):
        run.record(Warned(message=f"held-out labels leaked: {path.name} of evaluation {evaluation.id}"))
    if judgement.status == "scored":
        return _scored(run, evaluation, result)
    if judgement.status == "unscored":
        folder = fold_dir(run, evaluation.id, Split())
        shutil.copyfile(folder / "submission.csv", folder.with_name("submission.csv"))
    return _finished(evaluation, result)


def _scored(run: Run, evaluation: Evaluation, result: SplitResult) -> EvaluationFinished:
    checked = leak_checks.check(run, evaluation, result)
    verdict = reach_verdict(run, evaluation, result, checked.findings)
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
        distrust_reason=reached.distrust_reason,
        claimed=claimed,
        notes=list(notes),
    )
