"""A sandbox on this machine's own file system: jobs, files, and a command line that each kind makes in its way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from sandboxes.base import Isolation, JobRequest, JobStatus, PathRefused, SandboxFailed, SandboxPaths
from sandboxes.jobs.client import Box, Command, Jobs
from sandboxes.python_env import list_packages, make_environment
from sandboxes.safe_files import Owner, give, open_file, parts_of, read_file, write_file

ARGUMENT_BYTES = 100_000
"""Linux takes at most 128 kB in one argument."""


class HostSandbox:
    """What `local` and `bubblewrap` have in common, which is all but `prepare`.

    `prepare` makes the command of a request, and whatever has to be in the workspace for it; `owner` is the user
    to whom files in the workspace belong, where that is not the harness's own.
    """

    def __init__(
        self,
        kind: str,
        isolation: Isolation,
        paths: SandboxPaths,
        prepare: Callable[[JobRequest], Command],
        owner: Owner = None,
        box: Box | None = None,
    ) -> None:
        self.kind = kind
        self.isolation = isolation
        self.paths = paths
        self.jobs = Jobs(paths.jobs, box=box)
        self._prepare = prepare
        self._owner = owner
        self._is_given = False

    def start(self, request: JobRequest) -> None:
        """Start a job; starting an id that was started before does nothing."""
        command = self._prepare(self._fitted(request))
        if self._owner and not self._is_given:  # once: what the harness writes later it gives to the folder's owner
            give(self.paths.workspace, self._owner)
            self._is_given = True
        self.jobs.start(request.id, command, request.limits)

    def _fitted(self, request: JobRequest) -> JobRequest:
        """The request; a command too long for the kernel becomes a file beside the job's log, which it reads."""
        if len(request.command.encode(errors="replace")) <= ARGUMENT_BYTES:
            return request
        folder = self.jobs.logs / request.id
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        (folder / "command").write_text(request.command, encoding="utf-8", errors="replace")
        (folder / "command").chmod(0o644)
        return replace(request, command=f". ./.jobs/{request.id}/command")

    def status(self, job: str) -> JobStatus:
        """The job as it stands now."""
        return self.jobs.status(job)

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """Return as soon as one of the jobs is not running, or after `seconds`; the views of all of them."""
        return self.jobs.wait(jobs, seconds)

    def kill(self, job: str) -> JobStatus:
        """Kill the job and every process it left behind; returns when none is alive."""
        return self.jobs.kill(job)

    def output(self, job: str, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of the job's log from `offset`; negative offsets count from the end."""
        return self.jobs.output(job, offset, limit)

    def read(self, path: str, limit: int = 100_000_000) -> bytes:
        """A regular file of the workspace, of `./data` or `./.jobs`. Raises `PathRefused`, FileNotFoundError."""
        return read_file(*self._found(path), limit)

    def open(self, path: str, limit: int = 100_000_000) -> IO[bytes]:
        """The same file to be read piece by piece. Raises the same."""
        return open_file(*self._found(path), limit)

    def write(self, path: str, content: bytes) -> None:
        """Replace a file of the workspace whole, making its folders. Raises `PathRefused`."""
        parts = self._parts(path)
        if parts[0] in ("data", ".jobs"):
            raise PathRefused(f"{path}: `{parts[0]}` is read-only")
        write_file(self.paths.workspace, parts, content, self._owner)

    def packages(self) -> tuple[str, ...]:
        """Names and versions of the packages installed for the agent."""
        return tuple(f"{name} {version}" for name, version in list_packages(make_environment(self.paths.home)))

    def close(self) -> None:
        """Let go. Jobs that run go on; the supervisor leaves, and the next job starts another."""
        self.jobs.dismiss()

    def _found(self, path: str) -> tuple[Path, tuple[str, ...]]:
        """The folder a path lies below, and its parts there."""
        parts = self._parts(path)
        shown = {"data": self.paths.data, ".jobs": self.jobs.logs}
        if parts[0] in shown and len(parts) > 1:
            return shown[parts[0]], parts[1:]
        return self.paths.workspace, parts

    def _parts(self, path: str) -> tuple[str, ...]:
        return parts_of(path, ("/workspace", str(self.paths.workspace)))


def check_place(paths: SandboxPaths) -> None:
    """Make the workspace; raise `SandboxFailed` where there is no data to show."""
    paths.workspace.mkdir(parents=True, exist_ok=True)
    if not paths.data.is_dir():
        raise SandboxFailed(f"{paths.data} is gone: the data of the task has to be prepared again")


def common_environment(cores: int | None = None) -> dict[str, str]:
    """Variables of every job, made from nothing: none of the harness's own can slip through."""
    threads = str(cores or len(os.sched_getaffinity(0)))
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        "LANG": "C.UTF-8",
        "USER": "agent",
        "LOGNAME": "agent",
        "TERM": "dumb",
        "MPLBACKEND": "Agg",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        **dict.fromkeys(counts, threads),
    }


def hub_variables(has_models: bool) -> dict[str, str]:
    """What makes the usual hubs of weights look into `/models` and nowhere else: there is no network to try."""
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


def put_aside(path: Path) -> None:
    """Move away what stands where the sandbox shows something of its own; an empty folder or a link just goes."""
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
