"""Open the sandbox of a run: which kind, what it is shown, and what deleted runs left behind."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness import errors
from runs.events.registry import RunCreated
from runs.journal import is_driven
from runs.run_settings import RunSettings
from runs.versions.errors import VersionsError, find_git
from sandboxes.base import JobRequest, Sandbox, SandboxFailed, SandboxPaths, SandboxUnavailable
from sandboxes.leases.leases import Lease
from sandboxes.select import open_sandbox
from tasks.holdout.blend import Blend
from tasks.task import Task

PROBE_SECONDS = 60.0


def check_git() -> None:
    """Refuse to play without git. Raises `UsageError`."""
    try:
        find_git()
    except VersionsError as error:
        errors.fail(str(error))


def check_settings(settings: RunSettings) -> None:
    """Refuse GPUs, a runtime or weights that the run could not have. Raises `SandboxUnavailable`, `UsageError`."""
    if settings.models and not Path(settings.models).is_dir():
        errors.fail(f"models {settings.models}: there is no such folder of pretrained weights")
    if settings.runtime and settings.sandbox != "docker":
        errors.fail("--runtime needs --sandbox docker: no other sandbox has containers")
    if settings.job_gpus > settings.gpus:
        errors.fail(f"job_gpus {settings.job_gpus}: the run leases {settings.gpus}; add --gpus {settings.job_gpus}")
    if not settings.gpus:
        return
    if settings.sandbox != "docker":
        errors.fail("--gpus needs --sandbox docker: no other sandbox leases single devices")
    check_gpus(settings.gpus)


def check_gpus(count: int) -> None:
    """Refuse more GPUs than this machine has. Raises `SandboxUnavailable`."""
    from sandboxes.gpus import query_gpus

    if count and count > (available := len(query_gpus()[0])):
        raise SandboxUnavailable(f"--gpus {count}: nvidia-smi lists {available} here")


def choose_sandbox(settings: RunSettings, task: Task, home: Path, blend: Blend, is_demo: bool) -> Sandbox:
    """Open the sandbox once before the run exists. The demo's own code is known, so it may run without isolation.

    Raises `SandboxUnavailable`.
    """
    folder = home / "probe" / secrets.token_hex(4)
    paths = SandboxPaths(
        folder / "workspace",
        blend.public,
        folder / "jobs",
        home,
        hidden=task.hidden,
        models=_models(settings),
        image=settings.image,
        runtime=settings.runtime,
    )
    paths.workspace.mkdir(parents=True)
    try:
        sandbox = open_sandbox(settings.sandbox, paths)
        if settings.runtime:
            _try_runtime(sandbox)
    except SandboxUnavailable:
        if not (is_demo and settings.sandbox == "auto"):
            raise
        sandbox = open_sandbox("local", paths)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _clean_up(home, sandbox)
    return sandbox


def sandbox_paths(
    folder: Path, created: RunCreated, blend: Blend, home: Path, gpus: tuple[str, ...] = ()
) -> SandboxPaths:
    """The paths of a run's sandbox, as they were when the run began."""
    return SandboxPaths(
        workspace=folder / "workspace",
        data=blend.public,
        jobs=folder / "jobs",
        home=home,
        models=_models(created.settings),
        hidden=tuple(created.hidden),
        image=created.image,
        runtime=created.settings.runtime,
        gpus=gpus,
    )


def for_lane(
    paths: SandboxPaths, number: int, place: int, lanes: int, gpus: Sequence[str], memory: int
) -> SandboxPaths:
    """The paths of one of several lanes, the `place`th of them: a workspace of its own, its part of the GPUs, and its
    part of `memory` bytes, where a container can bound that.

    With fewer GPUs than lanes, each lane sees all of them, and evaluations take turns.
    """
    workspace = paths.workspace if number == 0 else paths.workspace.parent / "lanes" / str(number) / "workspace"
    each = len(gpus) // lanes
    own = tuple(gpus[place * each : (place + 1) * each] if each else gpus)
    return replace(paths, workspace=workspace, gpus=own, memory=memory // lanes if lanes > 1 else 0)


@contextmanager
def leased_gpus(count: int, home: Path) -> Iterator[Lease | None]:
    """The GPUs that this run alone has while it is played: `count` of them, the nearest to each other.

    Raises `SandboxUnavailable` where so many are not free.
    """
    from sandboxes.gpus import lease_gpus, query_gpus

    if not count:
        yield None
        return
    gpus, near, _ = query_gpus()
    with lease_gpus(home, gpus, near, count) as lease:
        yield lease


def _clean_up(home: Path, sandbox: Sandbox) -> None:
    """Remove what deleted runs left behind."""
    from sandboxes.cleanup import remove_stale_folders, remove_unused_containers

    remove_stale_folders(home)
    if sandbox.kind == "docker":
        # Jobs of other folds are three folders further down.
        remove_unused_containers(home, lambda jobs: is_driven(jobs.parent) or is_driven(jobs.parents[2]))


def _models(settings: RunSettings) -> Path | None:
    return Path(settings.models).absolute() if settings.models else None


def _try_runtime(sandbox: Sandbox) -> None:
    """Run one job with the chosen runtime: not every runtime lets the harness see what happens inside.

    Raises `SandboxUnavailable`.
    """
    name = sandbox.paths.runtime
    try:
        sandbox.start(JobRequest("probe", "sleep 1"))
        (status,) = sandbox.wait(["probe"], PROBE_SECONDS)
    except SandboxFailed as error:
        raise SandboxUnavailable(f"no container starts with --runtime {name} ({error}): leave it out") from error
    finally:
        sandbox.kill("probe")
        sandbox.close()
    if (status.state, status.exit_code) != ("finished", 0):
        raise SandboxUnavailable(
            f"a first job with --runtime {name} was {status.summary()}: the harness cannot follow jobs in it, leave "
            "it out"
        )
