"""An evaluation: commit, run the solution from a clean checkout of the commit, judge the file it wrote.

Each step looks first whether it was done, so an evaluation that a crash interrupted goes on where it stood: the
commit and its job id are on record before the job starts, the job outlives the harness, and judging a file again
gives the same verdict.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from context.truncation.truncate import truncate_output
from harness.evaluation import folds, leak_checks, submission
from harness.evaluation.verdict import Verdict, claimed, reach
from runs.events.registry import EvaluationFinished, EvaluationStarted, Warned
from runs.state import Evaluation
from runs.versions.refs import refs_of
from sandboxes.base import JobStatus, Sandbox, read_log
from sandboxes.select import open_sandbox
from tasks.holdout.private_labels import files_with_canary
from tasks.holdout.recipe import Split
from tasks.judging.judge import Judgement, run_judge

if TYPE_CHECKING:
    from harness.loop import Run

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def describe(view: JobStatus) -> str:
    """How a job stands, in a few words."""
    if view.state == "running":
        return f"running for {view.seconds:.0f} s"
    if view.ended == "exited":
        return f"exit {view.exit_code} after {view.seconds:.1f} s"
    if view.ended == "timeout":
        return f"killed after {view.seconds:.0f} s: its time was over"
    if view.ended == "output":
        return f"killed after {view.seconds:.1f} s: it wrote {view.output_bytes} bytes"
    if view.ended == "disk":
        return f"killed after {view.seconds:.0f} s: it filled the disk (its log ends with how much is too much)"
    if view.state == "lost":
        return f"lost: {view.why}"
    return f"{view.ended or view.state} after {view.seconds:.1f} s"


def evaluate(run: Run, call: str, command: str) -> str:
    """Judge the workspace with `command` as entrypoint; returns what the model is told. Raises `StopRequested`."""
    opened = run.state.evaluation_of(call) or _open(run, call, command)
    if not opened.status:
        folder = run.folder / "evaluations" / opened.id
        sandbox = _sandbox(run, opened, folder)
        seconds = min(run.seconds_left(), _longest(run))
        view = folds.run_job(run, sandbox, opened.job, opened.command, seconds)
        _close(run, opened, folder, view)
        sandbox.close()
        shutil.rmtree(folder / "workspace", ignore_errors=True)
        opened = run.state.evaluations[opened.id]
    if opened.was_best:
        submission.choose(
            run, opened, "best score on held-out rows" if opened.score is not None else "latest valid one"
        )
    elif opened.status == "scored" and run.state.best is None:
        submission.choose(run, opened, "valid, though not trusted, until there is better")
    return _tell(run, opened)


def _open(run: Run, call: str, command: str) -> Evaluation:
    attempt = run.state.attempt
    assert attempt is not None
    number = len(run.state.evaluations_in(attempt.number)) + 1
    name = f"{attempt.number:03d}-{number}"
    unlock(run.sandbox.paths.workspace)
    parent = next((e.commit for e in reversed(run.state.evaluations_in(attempt.number))), attempt.parent)
    commit = run.versions.commit(run.sandbox.paths.workspace, f"evaluation {name}\n\n{command}", parent)
    if commit.left_out:
        run.record(Warned(message=f"left out of the commit of evaluation {name}: {', '.join(commit.left_out[:20])}"))
    run.record(
        EvaluationStarted(
            evaluation=name, call=call, command=command, commit=commit.hash, tree=commit.tree, job=f"e-{name}"
        )
    )
    run.versions.set_refs(refs_of(run.state))
    return run.state.evaluations[name]


def unlock(workspace: Path) -> None:
    """Undo what the model's code may have done to the rights of the workspace itself: the harness must get in."""
    with contextlib.suppress(OSError):
        workspace.chmod(workspace.stat().st_mode | 0o700)


def _sandbox(run: Run, opened: Evaluation, folder: Path) -> Sandbox:
    """A fresh sandbox over a clean checkout; an interrupted checkout is made again, a started job's is kept."""
    place = replace(run.sandbox.paths, workspace=folder / "workspace")
    if run.sandbox.status(opened.job).state == "unknown":
        run.versions.checkout(opened.commit, place.workspace)
    return open_sandbox(run.sandbox.kind, place)


def _longest(run: Run) -> float:
    """Seconds one evaluation may take: a command that hangs must not take the whole night with it."""
    share = run.settings.evaluation_share * 3600 * (run.created.hours or 24.0)
    return max(run.settings.evaluation_seconds, share)


def _close(run: Run, opened: Evaluation, folder: Path, view: JobStatus) -> None:
    for path in files_with_canary(
        run.blend.private_labels, [folder / "workspace" / "submission.csv", *([view.log] if view.log else [])]
    ):
        run.record(Warned(message=f"held-out labels leaked: {path.name} of evaluation {opened.id} holds a planted row"))
    judgement = _judge(run, opened, folder, view)
    scored = judgement.status == "scored"
    written = folder / "workspace" / "submission.csv"
    found = leak_checks.check_solution(run, folder / "workspace", written) if scored else []
    verdict = reach(run, opened, judgement, view.seconds, found) if scored else Verdict("", None, None, "")
    if judgement.status == "unscored":
        shutil.copyfile(folds.fold_dir(run, opened.id, Split()) / "submission.csv", folder / "submission.csv")
    log = run.sandbox.output(opened.job, -20_000, 20_000) if scored else b""
    claim: float | None = None
    if scored:
        claim = claimed(log, verdict.score or 0.0, run.created.lower_is_better)
        leak_checks.warn(run, opened.id, found, claim, verdict.score or 0.0, verdict.noise or 0.0)
    run.record(
        EvaluationFinished(
            evaluation=opened.id,
            status=judgement.status,
            commit=opened.commit,
            tree=opened.tree,
            score=verdict.score,
            noise=verdict.noise,
            shown_score=verdict.shown_score,
            message=judgement.message,
            seconds=round(view.seconds, 3),
            submission=verdict.submission or judgement.sha256,
            verdict=verdict.kind,
            against=verdict.against,
            gain=verdict.gain,
            gain_noise=verdict.gain_noise,
            share=verdict.share,
            promoted=verdict.is_promoted if scored else None,
            folds=verdict.folds if scored else 0,
            alarm=verdict.alarm,
            claimed=claim,
            notes=[f"{one.kind}: {one.message}" for one in found if one.agent_may_see],
        )
    )


def _judge(run: Run, opened: Evaluation, folder: Path, view: JobStatus) -> Judgement:
    if view.ended != "exited" or view.exit_code != 0:
        reason = f"the command did not succeed: {describe(view)}"
        return Judgement("timeout" if view.ended == "timeout" else "failed", reason)
    home, best = folds.fold_dir(run, opened.id, Split()), run.state.best
    home.mkdir(parents=True, exist_ok=True)
    against = folds.fold_dir(run, best.id, Split()) / "held_out.csv" if best and best.score is not None else None
    judgement = run_judge(
        run.blend.folder,
        folder / "workspace" / "submission.csv",
        home / "submission.csv",
        max(60.0, min(run.settings.judge_seconds, run.seconds_left())),
        keep=run.blend.has_labels,
        against=against if against and against.exists() else None,
    )
    if judgement.problem:
        run.record(Warned(message=f"evaluation {opened.id} could not be scored: {judgement.problem}"))
    return judgement


WORDS = {
    "first": "the first score",
    "real": "real: better than the best so far beyond the noise",
    "unclear": "unclear: within the noise of the best so far, so no score of its own is told",
    "worse": "worse than the best so far beyond the noise",
}


def _tell(run: Run, done: Evaluation) -> str:
    lines = [f"evaluation {done.id}: {done.status}"]
    if done.status == "scored":
        direction = "lower" if run.state.lower_is_better else "higher"
        lines.append(f"score {done.shown_score} ({run.created.metric}, {direction} is better) on held-out rows")
        if done.verdict:
            lines.append(f"verdict: {WORDS[done.verdict]}" + (", twice in its favour" if _twice(done) else ""))
        if done.alarm:
            lines.append(f"not trusted: {done.alarm}")
        lines += [f"noticed: {note}" for note in done.notes]
    elif done.status == "unscored":
        lines.append("the file is valid; this task has no labels to hold out, so there is no score")
    else:
        lines.append(done.message)
    best = run.state.best
    if best is not None:
        lines.append(f"best so far {best.shown_score or best.status} (evaluation {best.id})")
    lines.append(f"commit {done.commit[:10]}")
    lines += [f"note: {warning}" for warning in run.state.warnings if f"evaluation {done.id}:" in warning]
    if done.status != "scored":
        log, rest = read_log(run.sandbox, done.job), f"all of it: .jobs/{done.job}/log"
        lines.append(truncate_output(log, 0, run.settings.output_tokens, rest))
    return "\n".join(lines).rstrip("\n")


def _twice(done: Evaluation) -> bool:
    return done.verdict == "unclear" and done.was_best
