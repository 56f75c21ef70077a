"""One step's job: in its own clean sandbox, on one split, within the run's limits."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness import leasing
from harness.run import LONGEST_JOB_SECONDS, Run
from sandboxes.base import JobRequest, JobStatus, Sandbox
from sandboxes.select import open_sandbox

LOOK_SECONDS = 1.0
"""How often a running job is looked at to see whether it is still needed."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Conditions:
    """What a solution's jobs may use: variables of their environment, GPUs, and cores (None: all).

    `is_cancelled` is asked before a job starts and every second while it runs; where it is true, the job is not
    started, or killed.
    """

    variables: Mapping[str, str]
    gpus: tuple[str, ...] = ()
    is_cancelled: Callable[[], bool] = _never
    cores: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a solution runs: the data its steps see as `./data`, the folder of its jobs, and a folder for its files.

    `is_other`: on another split than the agent's.
    """

    data: Path
    jobs: Path
    folder: Path
    conditions: Conditions
    is_other: bool = False


def environment_of(run: Run) -> str:
    """What a result depends on beside files and data: the sandbox, its environment and the pretrained weights."""
    created, environment = run.created, run.sandbox.environment_id()
    return "\n".join([created.sandbox, created.image, environment, created.settings.models, *created.hidden])


def run_job(
    run: Run, place: Place, workspace: Path, job: str, command: str, seconds: float, fill: Callable[[Path], None]
) -> JobStatus:
    """Run a command in a workspace that `fill` makes, or wait for the job that an earlier process started there.

    A job that a full disk ended on another split runs once more: another program may have filled it. Raises
    `StopRequested`, OSError where the disk stays full.
    """
    sandbox = _open(run, place, workspace, fill)
    status = _wait(run, sandbox, job, command, seconds, place.conditions)
    if check_disk(run, sandbox, status) and place.is_other:
        forget(sandbox, job)
        sandbox = _open(run, place, workspace, fill)
        status = _wait(run, sandbox, job, command, seconds, place.conditions)
    sandbox.close()
    return status


def _open(run: Run, place: Place, workspace: Path, fill: Callable[[Path], None]) -> Sandbox:
    paths = replace(
        run.sandbox.paths,
        workspace=workspace,
        data=place.data,
        jobs=place.jobs,
        locks=False,
        gpus=leasing.present_gpus(run, place.conditions.gpus),
    )
    paths.jobs.mkdir(parents=True, exist_ok=True)
    if not workspace.exists():  # a started job keeps its own
        fill(workspace)
    return open_sandbox(run.sandbox.kind, paths)


def _wait(run: Run, sandbox: Sandbox, job: str, command: str, seconds: float, conditions: Conditions) -> JobStatus:
    limits = replace(run.limits(), wall_seconds=max(1.0, min(seconds, LONGEST_JOB_SECONDS)))
    limits = replace(limits, idle_seconds=run.settings.evaluation_idle_seconds)
    if conditions.is_cancelled() and sandbox.status(job).state == "unknown":
        return JobStatus(job, "finished", "killed")
    sandbox.start(JobRequest(job, command, limits, conditions.variables, conditions.cores))
    while True:
        (status,) = run.await_jobs([job], LOOK_SECONDS, sandbox)
        if status.state == "running" and conditions.is_cancelled():
            status = sandbox.kill(job)
            run.note_ended(status)
        if status.state != "running":
            return status


def check_disk(run: Run, sandbox: Sandbox, status: JobStatus) -> bool:
    """Whether a job was ended by a full disk. Raises OSError, which stops the run, if the disk is full without its
    files too; a resumed run then starts the job again."""
    if status.ended != "disk":
        return False
    sandbox.close()  # a container would keep the old workspace mounted
    shutil.rmtree(sandbox.paths.workspace, ignore_errors=True)
    if shutil.disk_usage(run.folder).free < run.limits().free_bytes:
        forget(sandbox, status.id)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.folder))
    return True


def forget(sandbox: Sandbox, job: str) -> None:
    """Remove what is kept of an ended job, so that its id can be started again."""
    for folder in (sandbox.paths.jobs / ".logs" / job, sandbox.paths.jobs / job):
        shutil.rmtree(folder, ignore_errors=True)
