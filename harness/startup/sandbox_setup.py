"""Where the commands of a run are: the kind of sandbox, what it is shown, and what others left behind."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import errors
from harness.settings import Settings
from runs.events.registry import RunCreated
from sandboxes.base import JobRequest, Sandbox, SandboxFailed, SandboxPaths, SandboxUnavailable
from sandboxes.select import open_sandbox
from tasks.holdout.blend import Blend
from tasks.task import Task

TRY_SECONDS = 60.0


def choose_sandbox(
    kind: str, models: Path | None, task: Task, settings: Settings, blend: Blend, is_demo: bool, runtime: str = ""
) -> Sandbox:
    """Open the sandbox once before the run exists. The demo's own code is known, so it may do without isolation.

    Raises `SandboxUnavailable`, and `UsageError` for a folder of weights that is not there.
    """
    if models is not None and not models.is_dir():
        errors.fail(f"--models {models}: there is no such folder of pretrained weights")
    nowhere = settings.home / "probe" / secrets.token_hex(4)
    place = SandboxPaths(nowhere / "workspace", blend.public, nowhere / "jobs", settings.home, hidden=task.hidden)
    place = replace(place, models=models.absolute() if models else None, image=settings.image, runtime=runtime)
    place.workspace.mkdir(parents=True)
    try:
        sandbox = open_sandbox(kind, place)
        if runtime:
            _try_out(sandbox)
    except SandboxUnavailable:
        if not (is_demo and kind == "auto"):
            raise
        sandbox = open_sandbox("local", place)
    finally:
        shutil.rmtree(nowhere, ignore_errors=True)
    _tidy(settings, sandbox)
    return sandbox


def options_of(sandbox: Sandbox) -> dict[str, Any]:
    """What a run must remember of its sandbox to open the same one again, and what its report discloses."""
    place = sandbox.paths
    return {
        "hidden": list(place.hidden),
        "models": str(place.models or ""),
        "image": place.image,
        "runtime": place.runtime,
        "packages": list(sandbox.packages()),
        "notice": sandbox.isolation.notice,
    }


def sandbox_paths(
    folder: Path, created: RunCreated, blend: Blend, settings: Settings, gpus: tuple[str, ...] = ()
) -> SandboxPaths:
    """The place of a run that exists, as it was when the run began."""
    options = created.options
    return SandboxPaths(
        workspace=folder / "workspace",
        data=blend.public,
        jobs=folder / "jobs",
        home=settings.home,
        models=Path(options["models"]) if options.get("models") else None,
        hidden=tuple(options.get("hidden", ())),
        image=options.get("image", ""),
        runtime=options.get("runtime", ""),
        gpus=gpus,
    )


def check_kind(runtime: str, kind: str) -> None:
    """Refuse a runtime of containers where there may be no container. Raises `UsageError`."""
    if runtime and kind != "docker":
        errors.fail("--runtime needs --sandbox docker: no other sandbox has containers")


def _try_out(sandbox: Sandbox) -> None:
    """Play one job with a runtime that somebody named: not every one lets the harness see what happens inside.

    Raises `SandboxUnavailable`.
    """
    name = sandbox.paths.runtime
    try:
        sandbox.start(JobRequest("probe", "sleep 1"))
        (view,) = sandbox.wait(["probe"], TRY_SECONDS)
    except SandboxFailed as error:
        raise SandboxUnavailable(f"no container starts with --runtime {name} ({error}): leave it out") from error
    finally:
        sandbox.kill("probe")
        sandbox.close()
    if (view.state, view.exit_code) != ("finished", 0):
        raise SandboxUnavailable(
            f"a first job with --runtime {name} was {view.state}{f' ({view.why})' if view.why else ''}: the harness "
            "cannot follow jobs in it, leave it out"
        )


def check_gpus(count: int, kind: str) -> None:
    """Refuse, before a run exists, GPUs that it could not have. Raises `SandboxUnavailable`, `UsageError`."""
    if not count:
        return
    if kind != "docker":
        errors.fail("--gpus needs --sandbox docker: no other sandbox lends single devices")
    from sandboxes.gpus import query_gpus

    there = len(query_gpus()[0])
    if count > there:
        raise SandboxUnavailable(f"--gpus {count}: nvidia-smi tells of {there} here")


@contextmanager
def gpus_of(created: RunCreated, settings: Settings) -> Iterator[tuple[str, ...]]:
    """The ids of the GPUs that this run alone has while it is played: as many as it was given, the nearest ones.

    Raises `SandboxUnavailable` where so many are not free.
    """
    from sandboxes.gpus import lease_gpus, query_gpus

    count = int(created.options.get("gpus", 0))
    if not count:
        yield ()
        return
    gpus, near, _ = query_gpus()
    with lease_gpus(settings.home, gpus, near, count) as mine:
        yield tuple(gpu.uuid for gpu in mine)


def gpu_complaints(place: SandboxPaths) -> list[str]:
    """What is wrong with the GPUs of a place at this moment, for the attempt that is about to use them."""
    from sandboxes.gpus import health_problems, query_gpus

    if not place.gpus:
        return []
    gpus, _, xids = query_gpus()
    gone = [f"GPU {uuid} is gone" for uuid in place.gpus if uuid not in {gpu.uuid for gpu in gpus}]
    return gone + [words for gpu in gpus if gpu.uuid in place.gpus for words in health_problems(gpu, xids)]


def _tidy(settings: Settings, sandbox: Sandbox) -> None:
    """Take away what runs that are gone left behind; a failure of it is nobody's."""
    from harness.commands.show import is_driven
    from sandboxes.cleanup import remove_stale_folders, remove_unused_containers

    remove_stale_folders(settings.home)
    if sandbox.kind == "docker":
        remove_unused_containers(settings.home, lambda jobs: is_driven(jobs.parent))
