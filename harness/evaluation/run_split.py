"""Run a solution on one split: from its commit, in a clean sandbox, and score the submission it makes.

Fold 0 is the split the agent works on. On the other folds a solution sees only its code and short settings, since files
made elsewhere may hold labels that these folds hold out, and its output is never shown to the model.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.evaluation.fold_plan import search_half
from harness.run import LONGEST_JOB_SECONDS, Run
from runs.state import Evaluation
from sandboxes.base import JobRequest, JobStatus, Sandbox
from sandboxes.select import open_sandbox
from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import opaque_name
from tasks.holdout.split import Split
from tasks.judging.judge import Judgement, run_judge
from tasks.leakage.solution import reaches_other_folds
from tasks.task import load_task


@dataclass(frozen=True)
class SplitResult:
    """How a solution's job ended on one split, and the judgement of its submission. `workspace` is still there."""

    job: JobStatus
    judgement: Judgement
    workspace: Path

    @property
    def submission(self) -> Path:
        """The file that the solution wrote."""
        return self.workspace / "submission.csv"


def blend_of(run: Run, split: Split) -> Blend:
    """The data folder of a split of this run; made if it does not exist."""
    if not split.name:
        return run.blend
    folder = run.blend.folder
    task = load_task(Path(run.created.task_path))
    return make_blend(task, run.settings.seed, folder.with_name(opaque_name(f"{folder.name}\n{split.name}")), split)


def fold_dir(run: Run, evaluation: str, split: Split) -> Path:
    """Where the files of an evaluation on a split are: submission.csv (its test rows), held_out.csv, select.csv."""
    return run.folder / "evaluations" / evaluation / (split.name or "fold0")


def job_of(evaluation: str, split: Split) -> str:
    """The id of the job that runs an evaluation on a split."""
    return f"e-{evaluation}-{split.name}" if split.name else f"e-{evaluation}"


def run_on_split(
    run: Run,
    evaluation: Evaluation,
    split: Split,
    seconds: float,
    judge_seconds: Callable[[], float],
    against: Path | None = None,
) -> SplitResult:
    """Run an evaluation's command on a split for at most `seconds`, and judge what it wrote.

    `judge_seconds` is asked when the job has ended. `against` holds the predictions of another solution to compare
    with. After a crash the same call continues: a job that was started is picked up again. The caller removes the
    workspace. Raises `StopRequested`.
    """
    folder, blend = fold_dir(run, evaluation.id, split), blend_of(run, split)
    sandbox = _sandbox(run, evaluation, split, blend, folder)
    job = job_of(evaluation.id, split)
    status = _run_job(run, sandbox, job, evaluation.command, seconds)
    if _check_disk(run, sandbox, status) and split.name:  # once more: another program may have filled the disk
        _forget(sandbox, job)
        sandbox = _sandbox(run, evaluation, split, blend, folder)
        status = _run_job(run, sandbox, job, evaluation.command, seconds)
    result = SplitResult(status, Judgement("failed"), folder / "workspace")
    if status.ended != "exited" or status.exit_code != 0:
        why = f"the command did not succeed: {status.summary()}"
        judgement = Judgement("timeout" if status.ended == "timeout" else "failed", why)
    else:
        out = folder / "submission.csv"
        half = None if split.name else search_half(run)
        judgement = run_judge(blend.folder, result.submission, out, judge_seconds(), True, against, half)
    sandbox.close()
    return replace(result, judgement=judgement)


def _sandbox(run: Run, evaluation: Evaluation, split: Split, blend: Blend, folder: Path) -> Sandbox:
    """A clean sandbox over a checkout of the commit, which appears all at once; a started job keeps its own."""
    is_other = bool(split.name)
    paths = replace(
        run.sandbox.paths,
        workspace=folder / "workspace",
        data=blend.public,
        # The output of other folds would show their held-out labels, and earlier output the labels they hold out.
        jobs=run.folder / "fold_jobs" / split.name / evaluation.id if is_other else run.sandbox.paths.jobs,
        locks=False,
    )
    paths.jobs.mkdir(parents=True, exist_ok=True)
    if not paths.workspace.exists():
        run.versions.checkout(evaluation.commit, paths.workspace)
    sandbox = open_sandbox(run.sandbox.kind, paths)
    if is_other and split.fold >= 0 and sandbox.status(job_of(evaluation.id, split)).state == "unknown":
        keep_only_code(paths.workspace)
    return sandbox


def keep_only_code(workspace: Path) -> None:
    """Remove everything but code and short settings: a model or table made elsewhere may hold labels."""
    for path in sorted(workspace.rglob("*")):
        if not path.is_symlink() and path.is_file() and not reaches_other_folds(path):
            path.unlink()


def _run_job(run: Run, sandbox: Sandbox, job: str, command: str, seconds: float) -> JobStatus:
    limits = replace(run.limits(), wall_seconds=max(1.0, min(seconds, LONGEST_JOB_SECONDS)))
    sandbox.start(JobRequest(job, command, limits))
    while True:
        (status,) = run.await_jobs([job], run.settings.longest_wait_seconds, sandbox)
        if status.state != "running":
            return status


def _check_disk(run: Run, sandbox: Sandbox, status: JobStatus) -> bool:
    """Whether a job was ended by a full disk. Raises OSError, which stops the run, if the disk is full without its
    files too; a resumed run then starts the job again."""
    if status.ended != "disk":
        return False
    sandbox.close()  # a container would keep the old workspace mounted
    shutil.rmtree(sandbox.paths.workspace, ignore_errors=True)
    if shutil.disk_usage(run.folder).free < run.limits().free_bytes:
        _forget(sandbox, status.id)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.folder))
    return True


def _forget(sandbox: Sandbox, job: str) -> None:
    """Remove what is kept of an ended job, so that its id can be started again."""
    for folder in (sandbox.paths.jobs / ".logs" / job, sandbox.paths.jobs / job):
        shutil.rmtree(folder, ignore_errors=True)
