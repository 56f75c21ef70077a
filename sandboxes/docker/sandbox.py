"""The Docker sandbox: own network, files and processes, and limits of memory, CPU and number of processes.

One container serves one workspace. Its supervisor is root of the container with three capabilities: it reads requests
from the jobs folder and drops each command to the agent's user. Starting a job and getting its status need no request
to the daemon.

    /workspace          the workspace, also at /home/submission; `data` and `.jobs` in it are read-only
    /home/data          the data, at the path of MLE-bench
    /models             pretrained weights, read-only, if there are any
    /harness            the supervisor's code and the jobs folder; only root of the container can enter
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandboxes.base import Isolation, JobRequest, JobStatus, SandboxFailed, SandboxPaths, SandboxUnavailable
from sandboxes.cache import short_hash
from sandboxes.docker.container_options import ContainerLimits, container_options, default_limits
from sandboxes.docker.daemon import (
    LABEL,
    Image,
    check_runtime,
    connect,
    find_container,
    find_image,
    inspect_image,
    remove_container,
    runtimes,
    set_cores,
    version,
    with_retries,
)
from sandboxes.environments.environment import read_prefix
from sandboxes.environments.small import SANDBOX_USER
from sandboxes.host import (
    HostSandbox,
    common_environment,
    limit_processes,
    make_mount_points,
    make_workspace,
    model_hub_variables,
)
from sandboxes.jobs.client import Command, Container

ISOLATION = Isolation(
    network=True,
    files=True,
    processes=True,
    memory=True,
    protects_labels=True,
    notice="Docker containers limit memory, CPU and processes and hide network, files and processes; disk use is "
    "checked while jobs run, not limited by the kernel.",
)
OVERDUE_SECONDS = 30.0
"""A job that runs this long past its time limit makes the harness check its container."""
REMOVE_SECONDS = 5.0
PAUSE_CHECK_SECONDS = 5.0
"""How often a wait looks whether somebody paused the container, which would stall every job in it."""


def check_docker(home: Path, image: str = "") -> str:
    """One line about the daemon and the image that work. Raises `SandboxUnavailable`."""
    _require_linux()
    inspected = inspect_image(find_image(image), home, ())
    return (
        f"{version()}, image {inspected.name}, Python {inspected.version}, {len(inspected.packages)} packages, "
        f"runtimes {', '.join(runtimes())}"
    )


def open_docker(paths: SandboxPaths, limits: ContainerLimits | None = None) -> DockerSandbox:
    """Open a Docker sandbox; its container starts with its first job. Raises `SandboxUnavailable`."""
    _require_linux()
    check_runtime(paths.runtime)
    image = inspect_image(find_image(paths.image), paths.home, paths.hidden)
    make_workspace(paths)
    return DockerSandbox(replace(paths, image=image.id), image, limits or default_limits(paths.memory))


class DockerSandbox(HostSandbox):
    """Jobs in one container. Its name depends on the paths only, so any process finds it."""

    def __init__(self, paths: SandboxPaths, image: Image, limits: ContainerLimits) -> None:
        self.image, self.limits = image, limits
        self._checked_at = time.monotonic()
        self._cores: int | None = None
        is_root = os.geteuid() == 0
        self.user = (SANDBOX_USER, SANDBOX_USER) if is_root else (os.geteuid(), os.getegid())
        suffix = short_hash(str(paths.workspace.absolute()), 8)
        self.name = f"{LABEL}-{short_hash(str(paths.jobs.absolute()), 12)}-{suffix}"
        super().__init__(
            "docker",
            ISOLATION,
            paths,
            self._command,
            self.user if is_root else None,
            Container(suffix, self.ensure_container, self._explain_loss, is_shared=not is_root),
        )

    def start(self, request: JobRequest) -> None:
        """Start a job. Its container is bounded to the cores that the request names."""
        if request.cores is not None and request.cores != self._cores:
            self._bound(request.cores)
        super().start(request)

    def _bound(self, cores: int) -> None:
        """Let the container use this many cores."""
        self._cores, self.limits = cores, replace(self.limits, cpus=float(cores))
        container = find_container(self.name)
        if container is not None and container.status in ("running", "created", "paused"):
            set_cores(container, cores)

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """As in the interface. Removes the container if a process in it cannot be killed or does not end in time."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            statuses = super().wait(jobs, max(0.0, min(left, PAUSE_CHECK_SECONDS)))
            if any(status.survivors for status in statuses):
                self._remove_and_wait()
            running = [status for status in statuses if status.state == "running"]
            self._check(running)
            if len(running) < len(statuses) or left <= PAUSE_CHECK_SECONDS:
                return statuses

    def _check(self, running: Sequence[JobStatus]) -> None:
        """Resume a container that was paused from outside, and end one that does not respond."""
        if running and time.monotonic() - self._checked_at >= PAUSE_CHECK_SECONDS:
            self._checked_at = time.monotonic()
            self._unpause()
        for status in running:
            self._check_overdue(status)

    def kill(self, job: str) -> JobStatus:
        """Kill the job and every process it started; if that fails, remove its container."""
        if self.status(job).state == "running":
            self._unpause()
        try:
            return super().kill(job)
        except SandboxFailed:
            self._remove_and_wait()
            return self.status(job)

    def close(self) -> None:
        """Remove the container unless a job runs in it."""
        if not any(self._is_running_here(path.name) for path in self.paths.jobs.glob("[!.]*")):
            self._remove()

    def python(self) -> str:
        """The version of the agent's Python."""
        return super().python() if self.paths.environment else self.image.version

    def packages(self) -> tuple[str, ...]:
        """Names and versions of the packages in the environment, else in the image."""
        return super().packages() if self.paths.environment else self.image.packages

    def environment_id(self) -> str:
        """What tells this environment from others: it changes with what is installed."""
        return super().environment_id() if self.paths.environment else self.image.id

    def ensure_container(self) -> None:
        """Make sure that the container runs; its supervisor finds the waiting requests."""
        container = find_container(self.name)
        if container is not None:
            if container.status in ("running", "restarting"):
                return
            if container.status == "created" and self._start_created(container):
                return
            if container.status == "paused":
                with_retries(container.unpause)
                return
            remove_container(container)
        with_retries(self._start_container)

    def _start_created(self, container: Any) -> bool:
        """Start a container whose creator may have been killed before it did; says whether it runs."""
        from docker.errors import APIError

        with contextlib.suppress(APIError):  # its creator may be starting it at the same time
            container.start()
        again = find_container(self.name)
        return again is not None and again.status in ("running", "restarting", "paused")

    def _command(self, request: JobRequest) -> Command:
        make_mount_points(self.paths.workspace)
        variables = {
            **self.image.environment,
            **common_environment(max(1, int(self.limits.cpus))),
            **model_hub_variables(self.paths.models is not None),
            "HOME": "/tmp",
            "TMPDIR": "/tmp",
            **request.environment,
        }
        variables.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        if self.paths.environment:
            environment = read_prefix(self.paths.environment, self.paths.home)
            own = environment.variables(environment.inside)
            variables |= own | {"PATH": f"{environment.inside}/bin:{variables['PATH']}"}
        argv = (self.image.shell, "-c", limit_processes(request))
        return Command(argv, Path("/workspace"), variables, user=self.user, locks=self.paths.locks)

    def _start_container(self) -> None:
        from docker.errors import APIError

        try:
            options = container_options(self.name, self.paths, self.jobs.logs, self.image, self.limits)
            container = connect().containers.create(**options)
        except APIError as error:
            if error.response is not None and error.response.status_code == 409:
                return  # another process created it first
            raise
        try:
            container.start()
        except APIError as error:
            remove_container(container)
            raise SandboxFailed(f"the container could not be started: {error.explanation}") from error

    def _explain_loss(self) -> str:
        """Why a job that was running in the container is gone."""
        container = find_container(self.name)
        if container is None:
            return "its container was removed while it ran"
        state = container.attrs["State"]
        if state.get("OOMKilled"):
            return "its container ran out of memory and ended"
        if state["Status"] == "running":
            return "its runner in the container was killed, or the container was restarted"
        return f"its container ended while it ran (code {state.get('ExitCode')})"

    def _check_overdue(self, status: JobStatus) -> None:
        """For a job past its time limit: resume a paused container, remove one that does not respond."""
        wall = self.jobs.limits(status.id).get("wall_seconds")
        if wall is None or status.seconds <= wall + OVERDUE_SECONDS:
            return
        if not self._unpause() and status.seconds > wall + 2 * OVERDUE_SECONDS:
            self._remove_and_wait()

    def _unpause(self) -> bool:
        container = find_container(self.name)
        if container is None or container.status != "paused":
            return False
        with_retries(container.unpause)
        return True

    def _is_running_here(self, job: str) -> bool:
        with contextlib.suppress(ValueError):
            return self.jobs.is_own(job) and self.status(job).state == "running"
        return False

    def _remove(self) -> None:
        if container := find_container(self.name):
            with_retries(lambda: remove_container(container))

    def _remove_and_wait(self) -> None:
        self._remove()
        deadline = time.monotonic() + REMOVE_SECONDS
        while find_container(self.name) and time.monotonic() < deadline:
            time.sleep(0.1)


def _require_linux() -> None:
    if sys.platform != "linux":
        raise SandboxUnavailable("the docker sandbox needs a daemon on this machine's own Linux kernel")
