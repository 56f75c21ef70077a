"""The part of the sandbox interface that all kinds share: jobs and file access on this machine's file system."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import IO

from sandboxes.base import Isolation, JobRequest, JobStatus, PathRefused, SandboxFailed, SandboxPaths
from sandboxes.environments.environment import Environment, read_prefix
from sandboxes.environments.small import make_environment
from sandboxes.jobs.client import Command, Container, Jobs
from sandboxes.leases.amounts import thread_variables
from sandboxes.safe_files import Owner, change_owner, open_file, read_file, split_path, write_file

ARGUMENT_BYTES = 100_000
"""A longer command is passed as a file; Linux accepts at most 128 kB in one argument."""


class HostSandbox:
    """A sandbox whose kind is defined by `prepare`.

    `prepare` turns a request into a command line and makes the mount points or links it needs in the workspace. `owner`
    is the user that owns the files of the workspace, if it is not the harness's own user.
    """

    def __init__(
        self,
        kind: str,
        isolation: Isolation,
        paths: SandboxPaths,
        prepare: Callable[[JobRequest], Command],
        owner: Owner = None,
        container: Container | None = None,
    ) -> None:
        self.kind = kind
        self.isolation = isolation
        self.paths = paths
        self.jobs = Jobs(paths.jobs, container=container)
        self._prepare = prepare
        self._owner = owner
        self._has_owner = False

    def start(self, request: JobRequest) -> None:
        """Start a job. An id that was started before is not started again."""
        command = self._prepare(self._shorten(request))
        if self._owner and not self._has_owner:  # once, since later writes set the owner themselves
            change_owner(self.paths.workspace, self._owner)
            self._has_owner = True
        self.jobs.start(request.id, command, request.limits)

    def _shorten(self, request: JobRequest) -> JobRequest:
        """The request; a command too long for one argument is written to a file beside the job's log."""
        if len(request.command.encode(errors="replace")) <= ARGUMENT_BYTES:
            return request
        folder = self.jobs.logs / request.id
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        (folder / "command").write_text(request.command, encoding="utf-8", errors="replace")
        (folder / "command").chmod(0o644)
        return replace(request, command=f". ./.jobs/{request.id}/command")

    def status(self, job: str) -> JobStatus:
        """The current status of the job."""
        return self.jobs.status(job)

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """Return when one of the jobs is not running, or after `seconds`: the status of each job."""
        return self.jobs.wait(jobs, seconds)

    def kill(self, job: str) -> JobStatus:
        """Kill the job and every process it started; returns when none is alive."""
        return self.jobs.kill(job)

    def paused(self, running: Sequence[str]) -> AbstractContextManager[list[str]]:
        """Pause all jobs that share this sandbox's folder of jobs; see the interface."""
        return self.jobs.paused(running)

    def output(self, job: str, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of the job's log from `offset`; negative offsets count from the end."""
        return self.jobs.output(job, offset, limit)

    def read(self, path: str, limit: int = 100_000_000) -> bytes:
        """Read a regular file of the workspace, `./data` or `./.jobs`. Raises `PathRefused`, FileNotFoundError."""
        return read_file(*self._locate(path), limit)

    def open(self, path: str, limit: int = 100_000_000) -> IO[bytes]:
        """Open a file under the same rules, to read it in chunks. Raises the same errors."""
        return open_file(*self._locate(path), limit)

    def write(self, path: str, content: bytes) -> None:
        """Replace a file of the workspace; missing folders are made. Raises `PathRefused`."""
        parts = self._split(path)
        if parts[0] in ("data", ".jobs"):
            raise PathRefused(f"{path}: `{parts[0]}` is read-only")
        write_file(self.paths.workspace, parts, content, self._owner)

    def python(self) -> str:
        """The version of the agent's Python."""
        return environment_of(self.paths).python

    def packages(self) -> tuple[str, ...]:
        """Names and versions of the packages installed for the agent."""
        return environment_of(self.paths).packages

    def environment_id(self) -> str:
        """What tells this environment from others: it changes with what is installed."""
        return environment_of(self.paths).id

    def close(self) -> None:
        """Stop the supervisor. Running jobs continue; the next job starts a new supervisor."""
        self.jobs.stop_supervisor()

    def _locate(self, path: str) -> tuple[Path, tuple[str, ...]]:
        """The host folder that a path is below, and the path's components there."""
        parts = self._split(path)
        mounted = {"data": self.paths.data, ".jobs": self.jobs.logs}
        if parts[0] in mounted and len(parts) > 1:
            return mounted[parts[0]], parts[1:]
        return self.paths.workspace, parts

    def _split(self, path: str) -> tuple[str, ...]:
        return split_path(path, ("/workspace", str(self.paths.workspace)))


def environment_of(paths: SandboxPaths) -> Environment:
    """The environment of a sandbox on this machine's file system. Raises `SandboxUnavailable`."""
    return read_prefix(paths.environment, paths.home) if paths.environment else make_environment(paths.home)


def make_workspace(paths: SandboxPaths) -> None:
    """Make the workspace. Raises `SandboxFailed` if the data folder is missing."""
    paths.workspace.mkdir(parents=True, exist_ok=True)
    if not paths.data.is_dir():
        raise SandboxFailed(f"{paths.data} is missing: the data of the task must be prepared again")


def common_environment(cores: int | None = None) -> dict[str, str]:
    """Variables of every job. None is copied from the harness, so that no key reaches a job."""
    return {
        "LANG": "C.UTF-8",
        "USER": "agent",
        "LOGNAME": "agent",
        "TERM": "dumb",
        "MPLBACKEND": "Agg",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # idle threads take no core from other jobs
        **thread_variables(cores or len(os.sched_getaffinity(0))),
    }


def model_hub_variables(has_models: bool) -> dict[str, str]:
    """Variables that make the usual model hubs read from `/models` and stay offline."""
    if not has_models:
        return {}
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "DIFFUSERS_OFFLINE", "WANDB_DISABLED")
    return {
        **dict.fromkeys(offline, "1"),
        "HF_HOME": "/models/huggingface",
        "HF_HUB_CACHE": "/models/huggingface/hub",
        "TORCH_HOME": "/models/torch",
        "KERAS_HOME": "/models/keras",
        "TFHUB_CACHE_DIR": "/models/tfhub",
        "SENTENCE_TRANSFORMERS_HOME": "/models/sentence-transformers",
        "NLTK_DATA": "/models/nltk_data",
        "MODELS_DIR": "/models",
    }


def make_mount_points(workspace: Path) -> None:
    """Make the folders `data` and `.jobs` of the workspace, on which the sandbox mounts."""
    for name in ("data", ".jobs"):
        path = workspace / name
        if path.is_symlink() or not path.is_dir():
            move_aside(path)
            path.mkdir()


def limit_processes(request: JobRequest) -> str:
    """The command of a request, preceded by its limit of processes."""
    if request.limits.processes is None:
        return request.command
    return f"ulimit -u {request.limits.processes}; {request.command}"


def move_aside(path: Path) -> None:
    """Free a path that the sandbox needs: remove a link or an empty folder, rename anything else."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        with contextlib.suppress(OSError):
            path.rmdir()
            return
        number = 1
        while (aside := path.with_name(f"{path.name}.aside-{number}")).exists():
            number += 1
        path.rename(aside)
