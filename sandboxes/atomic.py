"""Write a file so that readers see the old content or the new, never a part.

Standard library without pathlib: the processes that run jobs use it too, also inside containers.
"""

# ruff: noqa: PTH108

from __future__ import annotations

import os


def write_atomically(path: str | os.PathLike[str], content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step.

    Nothing waits for the disk: after a power cut the file may be empty or missing.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")  # noqa: PTH118
    try:
        os.close(create_file(temporary, content, mode))
        os.rename(temporary, path)  # noqa: PTH104
    except OSError:
        remove_if_present(temporary)
        raise


def create_file(path: str, content: bytes, mode: int = 0o600) -> int:
    """Write a file under a name that no reader uses; returns it open. An existing file is overwritten."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(handle, mode)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError:
        os.close(handle)
        raise
    return handle


def remove_if_present(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
