"""Remove containers and temporary folders that no run needs any more.

Only containers with our label and this harness home are touched. Processes need no cleanup: supervisors and runners
end, with their jobs, when their folder is removed.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandboxes.base import SandboxError
from sandboxes.docker.daemon import LABEL, connect, remove_container, with_retries
from sandboxes.environments.build import remove_unfinished
from sandboxes.jobs.client import Container, Jobs

STALE_SECONDS = 3600.0
TEMPORARY_FOLDERS = ("probe/*", "environment/.making-*", "images/.making-*")


def remove_unused_containers(home: Path, is_active: Callable[[Path], bool]) -> list[str]:
    """Remove unused containers of this home; returns their names.

    A container is used while a harness process works on its run (`is_active` of its jobs folder), or while a job runs
    in it, since jobs outlive the harness.
    """
    removed = []
    with contextlib.suppress(SandboxError):
        containers = with_retries(
            lambda: connect().containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}.home={home.absolute()}"}
            ),
            seconds=5,
        )
        for container in containers:
            if not _is_used(container, is_active):
                remove_container(container)
                removed.append(str(container.name))
    return removed


def remove_stale_folders(home: Path) -> list[Path]:
    """Remove temporary folders of killed processes; returns them. Younger than an hour, they may be in use, but for
    builds of environments, which hold a lock."""
    stale = [path for path in _temporary_folders(home) if _age_seconds(path) > STALE_SECONDS]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return [*stale, *remove_unfinished(home)]


def _is_used(container: Any, is_active: Callable[[Path], bool]) -> bool:
    if container.labels.get(LABEL) != "1":
        return True
    jobs = Path(container.labels.get(f"{LABEL}.jobs", "/"))
    if not jobs.is_dir():
        return False
    if is_active(jobs):
        return True
    return container.status in ("running", "paused") and _has_running_job(jobs, container.name.rpartition("-")[2])


def _has_running_job(folder: Path, container: str) -> bool:
    jobs = Jobs(folder, container=Container(container, lambda: None, lambda: ""))
    names = [path.name for path in folder.glob("[!.]*")]
    return any(jobs.is_own(name) and jobs.status(name).state == "running" for name in names)


def _temporary_folders(home: Path) -> Iterator[Path]:
    for pattern in TEMPORARY_FOLDERS:
        yield from home.glob(pattern)


def _age_seconds(path: Path) -> float:
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0
