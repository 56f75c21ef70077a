"""The one error of versions, and the search for git; apart from the git library, which takes long to import."""

from __future__ import annotations

import shutil


class VersionsError(Exception):
    """Git is missing, a commit does not exist, or a disk is full or unreadable; the message says what to do."""


def find_git() -> str:
    """The path of the git program. Raises `VersionsError`."""
    program = shutil.which("git")
    if program is None:
        raise VersionsError(
            "git is not installed, but the harness stores every evaluated solution with it: install git"
        )
    return program
