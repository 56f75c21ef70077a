"""The lock between creating a run, which may use existing data, and removing data that no run needs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import errors


@contextmanager
def data_lock(home: Path, *, is_exclusive: bool = False) -> Iterator[None]:
    """Held while a run is created (shared), and while unneeded data is removed (exclusive). Raises `UsageError`."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "data.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            doing = "a run is being created" if is_exclusive else "`harness rm` is removing data"
            errors.fail(f"{doing}: try again in a moment")
        yield
    finally:
        os.close(descriptor)
