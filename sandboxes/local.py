"""Commands as plain processes of this machine: bounded in time, output and size of files, isolated in nothing."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from sandboxes.base import Isolation, JobRequest, SandboxPaths, SandboxUnavailable
from sandboxes.host import HostSandbox, check_place, common_environment, hub_variables, put_aside
from sandboxes.jobs.client import Command
from sandboxes.python_env import Environment, make_environment

ISOLATION = Isolation(
    network=False,
    files=False,
    processes=False,
    memory=False,
    protects_labels=False,
    notice="The local sandbox isolates nothing: commands of the model run with your own rights, can read your files, "
    "reach the network, and find the answers of the task (labels unprotected).",
)


def open_local(paths: SandboxPaths) -> HostSandbox:
    """A sandbox of plain processes. Raises `SandboxUnavailable` on other systems than Linux."""
    environment = check_local(paths.home)
    check_place(paths)
    name = hashlib.sha256(str(paths.workspace).encode()).hexdigest()[:12]
    own = paths.jobs.absolute() / ".home" / name
    own.mkdir(parents=True, exist_ok=True)
    variables = {
        **common_environment(),
        **(_moved(paths.models) if paths.models else {}),
        "PATH": f"{environment.folder}/bin:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(environment.folder),
        "HOME": str(own),
        "TMPDIR": str(own),
    }

    def prepare(request: JobRequest) -> Command:
        _link(paths.workspace / "data", paths.data.absolute())
        _link(paths.workspace / ".jobs", paths.jobs.absolute() / ".logs")
        command = request.command
        if request.limits.processes is not None:
            command = f"ulimit -u {request.limits.processes}; {command}"
        argv = ("/bin/bash", "-c", command)
        return Command(argv, paths.workspace.absolute(), {**variables, **request.environment})

    return HostSandbox("local", ISOLATION, paths, prepare)


def check_local(home: Path) -> Environment:
    """The interpreter environment of local jobs. Raises `SandboxUnavailable` with what to do."""
    if sys.platform != "linux":
        raise SandboxUnavailable(
            "sandboxes need Linux; on other systems run the harness in a Linux machine or container"
        )
    return make_environment(home)


def _moved(models: Path) -> dict[str, str]:
    """The variables that name `/models`, with its true place: nothing is mounted here."""
    named = hub_variables(True).items()
    return {name: value.replace("/models", str(models.absolute()), 1) for name, value in named}


def _link(path: Path, target: Path) -> None:
    if not (path.is_symlink() and path.readlink() == target):
        put_aside(path)
        path.symlink_to(target)
