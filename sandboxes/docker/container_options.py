"""The options with which a sandbox container is created: limits, mounts, masks and the supervisor's code."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandboxes.base import SandboxPaths
from sandboxes.cache import make_folder_once, short_hash
from sandboxes.docker.daemon import CPU_PERIOD, LABEL, Image
from sandboxes.environments.environment import SITE_PACKAGES, read_prefix

IDLE_SECONDS = 3600.0
"""A container ends by itself after this time without requests."""
CODE = (
    "__init__.py",
    "atomic.py",
    "seccomp.py",
    "jobs/__init__.py",
    "jobs/activity.py",
    "jobs/gpu_use.py",
    "jobs/output_log.py",
    "jobs/pause.py",
    "jobs/processes.py",
    "jobs/records.py",
    "jobs/resource_limits.py",
    "jobs/runner.py",
    "jobs/start_command.py",
    "jobs/supervisor.py",
)
"""The modules that the supervisor and the runners import, relative to `sandboxes/`."""
START_SUPERVISOR = (
    "import sys; sys.path.append('/harness/code'); from sandboxes.jobs.supervisor import container_main as m; "
    "m('/harness/jobs', sys.argv[1], float(sys.argv[2]))"
)


@dataclass(frozen=True)
class ContainerLimits:
    """The part of this machine that one container may use. Bytes; `cpus` in cores."""

    memory: int
    cpus: float
    processes: int = 4096
    temporary: int = 2 << 30

    @property
    def shared_memory(self) -> int:
        """Size of /dev/shm, which data loaders need. It counts as memory."""
        return self.memory // 4


def default_limits(share: int = 0) -> ContainerLimits:
    """All cores, and the memory except for a tenth (at least 1 GB), which the machine and the harness keep; at most
    `share` bytes, where that is not 0."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = max(memory // 2, memory - max(memory // 10, 1 << 30))
    return ContainerLimits(min(available, share or available), float(len(os.sched_getaffinity(0))))


def container_options(name: str, paths: SandboxPaths, logs: Path, image: Image, limits: ContainerLimits) -> Any:
    """Arguments for `containers.create` of the Docker client."""
    return {
        "image": image.id,
        "name": name,
        "entrypoint": [image.python, "-I", "-S", "-c", START_SUPERVISOR],
        "command": [name.rpartition("-")[2], str(IDLE_SECONDS)],
        "labels": {
            LABEL: "1",
            f"{LABEL}.home": str(paths.home.absolute()),
            f"{LABEL}.jobs": str(paths.jobs.absolute()),
            f"{LABEL}.user": str(os.geteuid()),
        },
        "environment": {},
        "working_dir": "/",
        "hostname": "sandbox",
        "init": True,
        "mounts": _mounts(paths, logs, image),
        **_isolation(),
        **_limits(limits),
        "tmpfs": {
            "/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={limits.temporary}",
            "/harness": "rw,nosuid,nodev,noexec,mode=0700,size=64k",  # only root can enter
        },
        **_devices(paths),
    }


def _isolation() -> dict[str, Any]:
    from docker.types import LogConfig

    return {
        "user": "0:0",
        "group_add": [os.getegid()],
        "network_mode": "none",
        "ipc_mode": "private",
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["KILL", "SETUID", "SETGID"],
        "security_opt": ["no-new-privileges"],
        "log_config": LogConfig(type="none"),
    }


def _limits(limits: ContainerLimits) -> dict[str, Any]:
    return {
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "cpu_period": CPU_PERIOD,
        "cpu_quota": int(limits.cpus * CPU_PERIOD),
        "pids_limit": limits.processes,
        "shm_size": limits.shared_memory,
    }


def _devices(paths: SandboxPaths) -> dict[str, Any]:
    from docker.types import DeviceRequest

    options: dict[str, Any] = {}
    if paths.gpus:
        request = DeviceRequest(driver="nvidia", device_ids=list(paths.gpus), capabilities=[["gpu"]])
        options["device_requests"] = [request]
    if paths.runtime:
        options["runtime"] = paths.runtime
    return options


def _masks(paths: SandboxPaths, image: Image) -> dict[str, Path]:
    """What is hidden, and the empty file or folder over it. Podman would fill a tmpfs with what is below it."""
    file, folder = _empty(paths.home)
    masks = {path: folder if is_folder else file for path, is_folder in _hidden(paths, image).items()}
    for root in _roots(paths):
        masks |= {str(path): folder for pattern in SITE_PACKAGES for path in root.glob(pattern)}
    # Nothing can be mounted inside what is hidden already.
    return {path: empty for path, empty in masks.items() if masks.keys().isdisjoint(map(str, Path(path).parents))}


def _hidden(paths: SandboxPaths, image: Image) -> dict[str, bool]:
    """The paths to mask in the image and in the environment, and whether each is a folder."""
    if paths.environment is None:
        return dict(image.hidden)
    environment = read_prefix(paths.environment, paths.home)
    return {**image.hidden, **{str(path): folder for path, folder in environment.hidden(paths.hidden).items()}}


def _roots(paths: SandboxPaths) -> list[Path]:
    """Where the Python of a venv of this machine is, unless it is where images have theirs."""
    if paths.environment is None:
        return []
    environment = read_prefix(paths.environment, paths.home)
    is_own = str(environment.inside) == str(environment.folder)
    return [root for root in environment.visible_roots() if root.is_dir()] if is_own else []


def _mounts(paths: SandboxPaths, logs: Path, image: Image) -> list[Any]:
    from docker.types import Mount

    sources: dict[str, tuple[Path, bool]] = {
        "/harness/code": (supervisor_code(paths.home), False),
        "/harness/jobs": (paths.jobs, True),
        "/workspace": (paths.workspace, True),
        "/workspace/data": (paths.data, False),
        "/workspace/.jobs": (logs, False),
        "/home/submission": (paths.workspace, True),
        "/home/data": (paths.data, False),
    }
    if paths.models:
        sources["/models"] = (paths.models, False)
    if paths.environment:
        sources[str(read_prefix(paths.environment, paths.home).inside)] = (paths.environment, False)
    sources |= {str(root): (root, False) for root in _roots(paths)}
    sources |= {path: (empty, False) for path, empty in _masks(paths, image).items()}
    return [
        Mount(target, str(source.absolute()), type="bind", read_only=not writable, propagation="rprivate")
        for target, (source, writable) in sources.items()
    ]


def supervisor_code(home: Path) -> Path:
    """A copy of `CODE` named by its content, so that an upgrade does not change a running container."""
    sources = {name: Path(__file__).parents[1] / name for name in CODE}

    def fill(draft: Path) -> None:
        for name, source in sources.items():
            target = draft / "sandboxes" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    key = short_hash(b"\0".join(path.read_bytes() for path in sources.values()), 12)
    return make_folder_once(home.absolute() / "images" / f"code-{key}", fill)


def _empty(home: Path) -> tuple[Path, Path]:
    """An empty file and an empty folder."""
    file, folder = home.absolute() / "images" / "empty", home.absolute() / "images" / "empty-folder"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    file.touch()
    file.chmod(0o644)
    return file, folder
