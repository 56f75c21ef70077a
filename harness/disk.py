"""The disk of a run: how much a folder takes, and whether the disk is full through no fault of the model."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from harness.run import Run


def refuse_full(run: Run, *folders: Path) -> None:
    """Raise OSError, which stops the run, where the disk has no room and the model cannot make any.

    It can where the files of `folders` and of the lanes' workspaces take the room that is missing. Without this a run
    would spend its budget on jobs that fail.
    """
    missing = run.limits().free_bytes - shutil.disk_usage(run.folder).free
    if missing > 0 and missing > sum(map(size_of, {*folders, *(lane.sandbox.paths.workspace for lane in run.lanes)})):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.folder))


def size_of(folder: Path) -> int:
    """Bytes on disk below a folder; files with several links count once."""
    total, seen = 0, set[tuple[int, int]]()
    stack = [folder]
    while stack:
        try:
            entries = list(os.scandir(stack.pop()))
        except OSError:
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    stack.append(Path(entry.path))
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) not in seen:
                        total += status.st_blocks * 512
                    seen.add((status.st_dev, status.st_ino))
                else:
                    total += status.st_blocks * 512
    return total
