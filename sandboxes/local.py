"""The local sandbox: plain processes with limits of time, output and file size, and no isolation."""

from __future__ import annotations

import sys
from pathlib import Path

from sandboxes.base import Isolation, JobRequest, SandboxPaths, SandboxUnavailable
from sandboxes.cache import short_hash
from sandboxes.environments.environment import Environment
from sandboxes.environments.small import make_environment
from sandboxes.gpu_devices import gpu_variables
from sandboxes.host import (
    HostSandbox,
    common_environment,
    environment_of,
    limit_processes,
    make_workspace,
    model_hub_variables,
    move_aside,
)
from sandboxes.jobs.client import Command

ISOLATION = Isolation(
    network=False,
    files=False,
    processes=False,
    memory=False,
    protects_labels=False,
    notice="The local sandbox isolates nothing: the model's commands run as your user, can read your files, use the "
    "network, and find the answers of the task (labels unprotected).",
)


def open_local(paths: SandboxPaths) -> HostSandbox:
    """Open a local sandbox. Raises `SandboxUnavailable` on systems other than Linux."""
    check_local(paths.home)
    environment = environment_of(paths)
    make_workspace(paths)
    job_home = paths.jobs.absolute() / ".home" / short_hash(str(paths.workspace), 12)
    job_home.mkdir(parents=True, exist_ok=True)
    variables = {
        **common_environment(),
        **(_local_hub_variables(paths.models) if paths.models else {}),
        **environment.variables(environment.folder),
        **gpu_variables(paths.gpus),
        "HOME": str(job_home),
        "TMPDIR": str(job_home),
    }

    def prepare(request: JobRequest) -> Command:
        _link(paths.workspace / "data", paths.data.absolute())
        _link(paths.workspace / ".jobs", paths.jobs.absolute() / ".logs")
        argv = ("/bin/bash", "-c", limit_processes(request))
        return Command(argv, paths.workspace.absolute(), {**variables, **request.environment})

    return HostSandbox("local", ISOLATION, paths, prepare)


def check_local(home: Path) -> Environment:
    """The Python environment of local jobs. Raises `SandboxUnavailable`."""
    if sys.platform != "linux":
        raise SandboxUnavailable("sandboxes need Linux: run the harness in a Linux machine or container")
    return make_environment(home)


def _local_hub_variables(models: Path) -> dict[str, str]:
    """The hub variables with the host path of the models, since nothing is mounted at `/models`."""
    variables = model_hub_variables(True).items()
    return {name: value.replace("/models", str(models.absolute()), 1) for name, value in variables}


def _link(path: Path, target: Path) -> None:
    if not (path.is_symlink() and path.readlink() == target):
        move_aside(path)
        path.symlink_to(target)
