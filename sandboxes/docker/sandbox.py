"""Commands in a Docker container: own network, files and processes, bounded memory, CPU and number of processes.

One container serves one workspace for as long as it is needed. Its supervisor, root of the container with three rights
only, reads requests from the jobs folder and drops each command to the agent's user; it starts nothing else. Neither
starting nor looking at a job asks the daemon for anything.

    /workspace          the workspace, also at /home/submission; below it `data` and `.jobs`, read-only
    /home/data          the data again, where agents of MLE-bench look for it
    /models             pretrained weights, read-only, where there are any
    /harness            only root of the container may pass: its code and the jobs folder
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandboxes.base import Isolation, JobRequest, JobStatus, SandboxFailed, SandboxPaths, SandboxUnavailable
from sandboxes.docker.daemon import (
    LABEL,
    Image,
    check_runtime,
    choose_image,
    connect,
    container_named,
    look_into,
    patiently,
    remove,
    runtimes,
)
from sandboxes.host import HostSandbox, check_place, common_environment, hub_variables, put_aside
from sandboxes.jobs.client import Box, Command
from sandboxes.python_env import SANDBOX_USER

ISOLATION = Isolation(
    network=True,
    files=True,
    processes=True,
    memory=True,
    protects_labels=True,
    notice="Docker containers bound memory, CPU and processes and hide network, files and processes; the disk is "
    "watched, not bounded.",
)
IDLE_SECONDS = 3600.0
"""A container leaves by itself when nobody has asked for a job for so long."""
OVERDUE_SECONDS = 30.0
"""How long after its time a job may still run before its container is looked at."""
CODE = (
    "__init__.py",
    "seccomp.py",
    "jobs/__init__.py",
    "jobs/supervisor.py",
    "jobs/runner.py",
    "jobs/records.py",
    "jobs/resource_limits.py",
    "jobs/processes.py",
)
BOOT = (
    "import sys; sys.path.append('/harness/code'); from sandboxes.jobs.supervisor import main_of_container as m; "
    "m('/harness/jobs', sys.argv[1], float(sys.argv[2]))"
)


@dataclass(frozen=True)
class Share:
    """What of this machine one container may have. Bytes; `cpus` in cores."""

    memory: int
    cpus: float
    processes: int = 4096
    temporary: int = 2 << 30

    @property
    def shared_memory(self) -> int:
        """Size of /dev/shm, which counts as memory: data loaders need it."""
        return self.memory // 4


def share_of_machine() -> Share:
    """All cores, and the memory but for a tenth, at least 1 GB, which the machine and the harness keep."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Share(max(memory // 2, memory - max(memory // 10, 1 << 30)), float(len(os.sched_getaffinity(0))))


def check_docker(home: Path, image: str = "") -> str:
    """The daemon and the image that work, in words. Raises `SandboxUnavailable` with what to do."""
    if sys.platform != "linux":
        raise SandboxUnavailable("the docker sandbox needs a daemon on this machine's own Linux kernel")
    version = connect().version()["Version"]
    found = look_into(choose_image(image), home, ())
    told = f"Docker {version}, image {found.name}, Python {found.version}, {len(found.packages)} packages"
    return f"{told}, runtimes {', '.join(runtimes())}"


def open_docker(paths: SandboxPaths, share: Share | None = None) -> DockerSandbox:
    """The sandbox of a container, which starts with its first job. Raises `SandboxUnavailable`."""
    if sys.platform != "linux":
        raise SandboxUnavailable("the docker sandbox needs a daemon on this machine's own Linux kernel")
    check_runtime(paths.runtime)
    image = look_into(choose_image(paths.image), paths.home, paths.hidden)
    check_place(paths)
    return DockerSandbox(replace(paths, image=image.id), image, share or share_of_machine())


class DockerSandbox(HostSandbox):
    """Jobs in one container. The container of a workspace is found by its name, whoever started it."""

    def __init__(self, paths: SandboxPaths, image: Image, share: Share) -> None:
        self.image, self.share = image, share
        root = os.geteuid() == 0
        self.user = (SANDBOX_USER, SANDBOX_USER) if root else (os.geteuid(), os.getegid())
        run = hashlib.sha256(str(paths.jobs.absolute()).encode()).hexdigest()[:12]
        box = hashlib.sha256(str(paths.workspace.absolute()).encode()).hexdigest()[:8]
        self.name = f"{LABEL}-{run}-{box}"
        super().__init__(
            "docker",
            ISOLATION,
            paths,
            self._command,
            self.user if root else None,
            Box(box, self._launch, self._explain, shared=not root),
        )

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """As the interface says; a job that is long past its time brings its container to light."""
        views = super().wait(jobs, seconds)
        if any(view.survivors for view in views):
            self._end("a process in it could not be killed")
        for view in views:
            if view.state == "running" and self._is_overdue(view):
                self._wake_up(view)
        return views

    def kill(self, job: str) -> JobStatus:
        """Kill the job and every process it left behind; where that does not work, its container."""
        if self.status(job).state == "running":
            self._unpause()
        try:
            return super().kill(job)
        except SandboxFailed:
            self._end("a job in it could not be killed")
            return self.status(job)

    def close(self) -> None:
        """Remove the container unless a job runs in it."""
        if not any(self._runs_here(path.name) for path in self.paths.jobs.glob("[!.]*")):
            self._end("")

    def packages(self) -> tuple[str, ...]:
        """Names and versions of what is installed for the agent."""
        return self.image.packages

    # -------------------------------------------------------------------------------------------------------- inside

    def _command(self, request: JobRequest) -> Command:
        for name in ("data", ".jobs"):
            mount_point = self.paths.workspace / name
            if mount_point.is_symlink() or not mount_point.is_dir():
                put_aside(mount_point)
                mount_point.mkdir()
        command = request.command
        if request.limits.processes is not None:
            command = f"ulimit -u {request.limits.processes}; {command}"
        variables = {
            **self.image.environment,
            **common_environment(max(1, int(self.share.cpus))),
            **hub_variables(self.paths.models is not None),
            "HOME": "/tmp",
            "TMPDIR": "/tmp",
            **request.environment,
        }
        variables.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        return Command((self.image.shell, "-c", command), Path("/workspace"), variables, user=self.user)

    def _launch(self) -> None:
        """Make sure that the container runs; a request that waits is found by its supervisor."""
        found = container_named(self.name)
        if found is not None:
            if found.status in ("running", "restarting", "created"):
                return
            if found.status == "paused":
                patiently(found.unpause)
                return
            remove(found)
        patiently(self._start_container)

    def _start_container(self) -> None:
        from docker.errors import APIError

        try:
            made = connect().containers.create(**self._options())
        except APIError as error:
            if error.response is not None and error.response.status_code == 409:
                return  # another process was quicker
            raise
        try:
            made.start()
        except APIError as error:
            remove(made)
            raise SandboxFailed(f"the container could not be started: {error.explanation}") from error

    def _options(self) -> dict[str, Any]:
        from docker.types import DeviceRequest, LogConfig

        share, paths = self.share, self.paths
        gpus = [DeviceRequest(driver="nvidia", device_ids=list(paths.gpus), capabilities=[["gpu"]])]
        return {
            "image": self.image.id,
            "name": self.name,
            "entrypoint": [self.image.python, "-I", "-S", "-c", BOOT],
            "command": [self.name.rpartition("-")[2], str(IDLE_SECONDS)],
            "labels": {
                LABEL: "1",
                f"{LABEL}.home": str(paths.home.absolute()),
                f"{LABEL}.jobs": str(paths.jobs.absolute()),
                f"{LABEL}.user": str(os.geteuid()),
            },
            "user": "0:0",
            "group_add": [os.getegid()],
            "environment": {},
            "working_dir": "/",
            "hostname": "sandbox",
            "network_mode": "none",
            "init": True,
            "read_only": True,
            "cap_drop": ["ALL"],
            "cap_add": ["KILL", "SETUID", "SETGID"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": share.memory,
            "memswap_limit": share.memory,
            "nano_cpus": int(share.cpus * 1e9),
            "pids_limit": share.processes,
            "shm_size": share.shared_memory,
            "ipc_mode": "private",
            "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={share.temporary}", **self._masks()},
            "mounts": list(self._mounts()),
            "log_config": LogConfig(type="none"),
            **({"device_requests": gpus} if paths.gpus else {}),
            **({"runtime": paths.runtime} if paths.runtime else {}),
        }

    def _masks(self) -> dict[str, str]:
        """Empty folders over what nobody inside may see."""
        closed = "ro,nosuid,nodev,mode=0755,size=4k"
        hidden = {path: closed for path, is_folder in self.image.hidden.items() if is_folder}
        return {"/harness": "rw,nosuid,nodev,noexec,mode=0700,size=64k", **hidden}

    def _mounts(self) -> list[Any]:
        from docker.types import Mount

        paths = self.paths
        shown: dict[str, tuple[Path, bool]] = {
            "/harness/code": (_code(paths.home), False),
            "/harness/jobs": (paths.jobs, True),
            "/workspace": (paths.workspace, True),
            "/workspace/data": (paths.data, False),
            "/workspace/.jobs": (self.jobs.logs, False),
            "/home/submission": (paths.workspace, True),
            "/home/data": (paths.data, False),
        }
        if paths.models:
            shown["/models"] = (paths.models, False)
        empty = _empty(paths.home)
        shown |= {path: (empty, False) for path, is_folder in self.image.hidden.items() if not is_folder}
        return [
            Mount(inside, str(outside.absolute()), type="bind", read_only=not writable, propagation="rprivate")
            for inside, (outside, writable) in shown.items()
        ]

    def _explain(self) -> str:
        found = container_named(self.name)
        if found is None:
            return "its container was removed while it ran"
        state = found.attrs["State"]
        if state.get("OOMKilled"):
            return "its container ran out of memory and ended"
        if state["Status"] == "running":
            return "its keeper in the container was killed, or the container was restarted"
        return f"its container ended while it ran (code {state.get('ExitCode')})"

    def _is_overdue(self, view: JobStatus) -> bool:
        wall = self.jobs.limits(view.id).get("wall_seconds")
        return wall is not None and view.seconds > wall + OVERDUE_SECONDS

    def _wake_up(self, view: JobStatus) -> None:
        """A job past its time: let a paused container go on, end one that does not answer."""
        if not self._unpause() and view.seconds > self.jobs.limits(view.id)["wall_seconds"] + 2 * OVERDUE_SECONDS:
            self._end("a job in it did not end in its time")

    def _unpause(self) -> bool:
        found = container_named(self.name)
        if found is None or found.status != "paused":
            return False
        patiently(found.unpause)
        return True

    def _runs_here(self, job: str) -> bool:
        with contextlib.suppress(ValueError):
            return self.jobs.is_ours(job) and self.status(job).state == "running"
        return False

    def _end(self, why: str) -> None:
        if found := container_named(self.name):
            patiently(lambda: remove(found))
        if why:
            deadline = time.monotonic() + 5
            while container_named(self.name) and time.monotonic() < deadline:
                time.sleep(0.1)


def _code(home: Path) -> Path:
    """A copy of what runs inside, named by its content: an upgrade does not touch a container that goes on."""
    sources = {name: Path(__file__).parents[1] / name for name in CODE}
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources.values())).hexdigest()[:12]
    folder = home.absolute() / "images" / f"code-{key}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        (making / "sandboxes" / "jobs").mkdir(parents=True)
        for name, path in sources.items():
            shutil.copyfile(path, making / "sandboxes" / name)
        making.chmod(0o755)
        try:
            making.rename(folder)
        except OSError:  # another run made the same one meanwhile
            shutil.rmtree(making)
    return folder


def _empty(home: Path) -> Path:
    path = home.absolute() / "images" / "empty"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o644)
    return path
