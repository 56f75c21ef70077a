"""Open the sandbox of a run: which kind, what it is shown, and what deleted runs left behind."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from harness import errors
from harness.startup import environment
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
    if isinstance(settings.gpus, int) and settings.job_gpus > settings.gpus:
        errors.fail(f"job_gpus {settings.job_gpus}: the run leases {settings.gpus}; add --gpus {settings.job_gpus}")
    check_gpus(settings.gpus if isinstance(settings.gpus, int) else 0)


def check_gpus(count: int) -> None:
    """Refuse more GPUs than this machine has. Raises `SandboxUnavailable`."""
    from sandboxes.gpus import query_gpus

    if count and count > (available := len(query_gpus()[0])):
        raise SandboxUnavailable(f"--gpus {count}: nvidia-smi lists {available} here")


def with_usable_gpus(settings: RunSettings, sandbox: Sandbox) -> RunSettings:
    """The settings, without GPUs where `all` were asked for and the sandbox cannot give them.

    Raises `SandboxUnavailable` if a number of them was asked for.
    """
    from sandboxes.gpus import query_gpus

    wanted = settings.gpus not in (0, "none")
    uuids = tuple(gpu.uuid for gpu in query_gpus()[0]) if wanted else ()
    why = why_no_gpus(sandbox, uuids) if uuids else ""
    if not why:
        return settings
    if settings.gpus != "all":
        raise SandboxUnavailable(why)
    errors.say(f"the run has no GPU: {why}")
    return settings.model_copy(update={"gpus": "none"})


def why_no_gpus(sandbox: Sandbox, uuids: tuple[str, ...]) -> str:
    """Why jobs of this sandbox cannot use these GPUs; empty if they can."""
    from sandboxes.gpu_devices import without_node

    if sandbox.kind != "docker":
        if missing := without_node(uuids):
            return f"{', '.join(missing)}: no device node in /dev: run `nvidia-modprobe -c 0 -u` as root"
        return ""
    probe = sandbox.paths.workspace.parent
    probe.mkdir(parents=True, exist_ok=True)
    try:
        sandbox.paths.workspace.mkdir(exist_ok=True)
        _try_job(open_sandbox("docker", replace(sandbox.paths, gpus=uuids)))
    except SandboxUnavailable as error:
        return f"{error}. Docker needs NVIDIA's container toolkit for GPUs; with Podman, use `--sandbox bubblewrap`"
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return ""


def choose_sandbox(settings: RunSettings, task: Task, home: Path, blend: Blend, is_demo: bool) -> Sandbox:
    """Open the sandbox once before the run exists, with the environment that was asked for; it is built if need be.

    The demo's own code is known, so it may run without isolation. Raises `SandboxUnavailable`, `UsageError`.
    """
    folder, asked = home / "probe" / secrets.token_hex(4), environment.named(settings)
    paths = SandboxPaths(
        folder / "workspace",
        blend.public,
        folder / "jobs",
        home,
        hidden=task.hidden,
        models=_models(settings),
        environment=asked.prefix,
        image=asked.image or settings.image,
        runtime=settings.runtime,
    )
    paths.workspace.mkdir(parents=True)
    try:
        sandbox = _open_with(asked, settings, paths)
    except SandboxUnavailable:
        if not (is_demo and settings.sandbox == "auto" and not settings.environment):
            raise
        sandbox = open_sandbox("local", paths)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _clean_up(home, sandbox)
    return sandbox


def _open_with(asked: environment.Named, settings: RunSettings, paths: SandboxPaths) -> Sandbox:
    """The sandbox with the environment, tried with a job where it is not the usual one. Raises
    `SandboxUnavailable`."""
    if asked.prefix and settings.sandbox == "auto":
        return _first_that_works(settings, paths)
    sandbox = open_sandbox("docker" if asked.image else settings.sandbox, paths)
    if asked.requirements:
        place = environment.Place(sandbox.kind, sandbox.paths.image, paths.home)
        prefix = environment.build(asked.requirements, settings, place)
        sandbox = open_sandbox(sandbox.kind, replace(sandbox.paths, environment=prefix))
    if settings.runtime or sandbox.paths.environment:
        _try_job(sandbox)
    return sandbox


def _first_that_works(settings: RunSettings, paths: SandboxPaths) -> Sandbox:
    """The first isolating sandbox in which an environment of this machine starts: a container may lack its Python."""
    reasons = []
    for kind in ("docker", "bubblewrap"):
        try:
            sandbox = open_sandbox(kind, paths)
            _try_job(sandbox)
        except SandboxUnavailable as error:
            reasons.append(f"{kind}: {error}")
        else:
            return sandbox
    raise SandboxUnavailable(
        f"no isolating sandbox works with environment {settings.environment}: {'; '.join(reasons)}"
    )


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
        environment=home / created.environment if created.environment else None,
        image=created.image,
        runtime=created.settings.runtime,
        gpus=gpus,
    )


def for_lane(
    paths: SandboxPaths, number: int, place: int, lanes: int, gpus: Sequence[str], memory: int
) -> SandboxPaths:
    """The paths of one of several lanes, the `place`th of them: its own workspace, its part of the GPUs, and its part
    of `memory` bytes, where a container can bound that.

    With fewer GPUs than lanes, each lane sees all of them, and evaluations take turns.
    """
    workspace = paths.workspace if number == 0 else paths.workspace.parent / "lanes" / str(number) / "workspace"
    each = len(gpus) // lanes
    own = tuple(gpus[place * each : (place + 1) * each] if each else gpus)
    return replace(paths, workspace=workspace, gpus=own, memory=memory // lanes if lanes > 1 else 0)


@contextmanager
def leased_gpus(wanted: int | str, home: Path) -> Iterator[Lease | None]:
    """The GPUs leased to this run alone while it is played: the wanted number, nearest to each other, or all that are
    free. Raises `SandboxUnavailable` if fewer are free.
    """
    from sandboxes.gpus import lease_free_gpus, lease_gpus, query_gpus

    gpus, near, _ = ([], {}, {}) if wanted in (0, "none") else query_gpus()
    lease = lease_free_gpus(home, gpus) if isinstance(wanted, str) else None
    if isinstance(wanted, int) and wanted:
        lease = lease_gpus(home, gpus, near, wanted)
    with lease or nullcontext():
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


def _try_job(sandbox: Sandbox) -> None:
    """Run the environment's Python in one job: not every image has what an environment of this machine needs, and not
    every runtime lets the harness see what happens inside. Raises `SandboxUnavailable`."""
    paths = sandbox.paths
    sees_gpu = "test -e /dev/nvidiactl || test -e /dev/dxg && " if paths.gpus else ""  # not every daemon gives them
    named = f"environment {paths.environment}" if paths.environment else f"image {paths.image}"
    named = f"--runtime {paths.runtime}" if paths.runtime else f"{len(paths.gpus)} GPUs" if paths.gpus else named
    try:
        sandbox.start(JobRequest("probe", f"{sees_gpu}python -c 'import time; time.sleep(0.2)'"))
        (status,) = sandbox.wait(["probe"], PROBE_SECONDS)
        output = " ".join(sandbox.output("probe", -300).decode(errors="replace").split())
    except SandboxFailed as error:
        raise SandboxUnavailable(f"no {sandbox.kind} sandbox starts with {named} ({error}): leave it out") from error
    finally:
        with suppress(SandboxFailed):  # no container, so no job to kill
            sandbox.kill("probe")
            sandbox.close()
    if (status.state, status.exit_code) == ("finished", 0):
        return
    if paths.gpus:
        advice = "check the driver"
    elif paths.runtime:
        advice = "the harness cannot follow jobs in it, leave it out"
    else:
        advice = "use a conda environment, which has its own Python, or a requirements file"
    raise SandboxUnavailable(f"a first job with {named} was {status.summary()} ({output or 'no output'}): {advice}")
