"""Taking away what nobody needs any more: containers and temporary folders of runs that are gone or let go.

Only what bears our label and names this harness home is touched. Processes need no reaper: a supervisor and its keepers
end, with their jobs, when their folder is gone.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandboxes.base import SandboxError
from sandboxes.docker.daemon import LABEL, connect, patiently, remove
from sandboxes.jobs.client import Box, Jobs

OLD_SECONDS = 3600.0
TEMPORARY = ("probe/*", "environment/.making-*", "images/.making-*")


def reap_containers(home: Path, is_driven: Callable[[Path], bool]) -> list[str]:
    """Remove containers of this home that serve nobody; their names.

    One stays while a process drives its run (`is_driven` is asked with its jobs folder) or a job runs in it: that job
    outlives the harness on purpose.
    """
    gone = []
    with contextlib.suppress(SandboxError):
        found = patiently(
            lambda: connect().containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}.home={home.absolute()}"}
            ),
            seconds=5,
        )
        for container in found:
            if not _is_needed(container, is_driven):
                remove(container)
                gone.append(str(container.name))
    return gone


def reap_folders(home: Path) -> list[Path]:
    """Remove temporary folders that something which was killed left behind; those of the last hour may be in use."""
    gone = [path for path in _temporary(home) if _age(path) > OLD_SECONDS]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return gone


def _is_needed(container: Any, is_driven: Callable[[Path], bool]) -> bool:
    jobs = Path(container.labels.get(f"{LABEL}.jobs", "/"))
    if not jobs.is_dir() or container.labels.get(LABEL) != "1":
        return bool(container.labels.get(LABEL) != "1")
    if is_driven(jobs):
        return True
    return bool(container.status in ("running", "paused")) and _has_running_job(jobs, container.name.rpartition("-")[2])


def _has_running_job(folder: Path, box: str) -> bool:
    jobs = Jobs(folder, box=Box(box, lambda: None, lambda: ""))
    names = [path.name for path in folder.glob("[!.]*")]
    return any(jobs.is_ours(name) and jobs.status(name).state == "running" for name in names)


def _temporary(home: Path) -> Iterator[Path]:
    for pattern in TEMPORARY:
        yield from home.glob(pattern)


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0
