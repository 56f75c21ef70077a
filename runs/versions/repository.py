"""A run's bare repository, opened with GitPython and shielded from everybody's git settings.

GitPython passes the caller's environment on to git and reads some `GIT_*` variables itself. Here git runs in an empty
environment with fixed settings, and the `Repo` object is built from the path alone. So neither a user's configuration
nor the content of a workspace can change what a command does. This module imports `git`, so import it inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import git
from git.exc import GitCommandError
from git.objects import Blob, Commit, Tree

from runs.versions.errors import VersionsError, find_git

SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.compression": "1",
    "core.fsync": "all",
    "core.fsyncMethod": "batch",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class IsolatedGit(git.Git):
    """Runs git commands in an empty environment, with `SETTINGS`, in a separate session (no Ctrl-C)."""

    def execute(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("start_new_session", True)
        return super().execute([*_isolation(Path(str(self.working_dir))), *command[1:]], *args, **kwargs)


class RunRepository(git.Repo):
    """A bare repository at a known path. `Repo.__init__` would read `GIT_*` variables and configuration files."""

    GitCommandWrapperType = IsolatedGit

    def __init__(self, path: Path) -> None:
        self.git_dir = str(path.absolute())
        self._common_dir = ""
        self._working_tree_dir = None
        self._bare = True
        self.working_dir = self.git_dir
        self.git = IsolatedGit(self.git_dir)
        self.odb = git.GitCmdObjectDB(str(path.absolute() / "objects"), self.git)


@contextmanager
def opened(path: Path) -> Iterator[RunRepository]:
    """Open a repository for one operation and stop its git processes afterwards. Raises `VersionsError`."""
    repo = RunRepository(path)
    try:
        yield repo
    except GitCommandError as error:
        raise VersionsError(explain(str(error.stderr), path)) from error
    finally:
        repo.close()


def files_of(repo: RunRepository, commit: str) -> Iterator[Blob]:
    """The files of a commit, in the order of their names. Raises `VersionsError`."""
    with _reading(repo):
        header = repo.odb.info(bytes.fromhex(commit))
        if header.type != b"commit":
            raise ValueError(f"{commit} is not a commit")
        yield from _files_below(Commit(repo, header.binsha).tree)


def _files_below(tree: Tree) -> Iterator[Blob]:
    # GitPython raises ValueError for names that no workspace can have, such as `..` and `.git`.
    for item in tree:
        if isinstance(item, Tree):
            yield from _files_below(item)
        elif isinstance(item, Blob):
            yield item


def content_of(blob: Blob) -> bytes:
    """The bytes of a file. Raises `VersionsError`."""
    with _reading(blob.repo):
        stream = blob.data_stream
        content: bytes = stream.read()
        if len(content) != stream.size:
            raise ValueError(f"{blob.hexsha} is incomplete")
    return content


@contextmanager
def _reading(repo: git.Repo) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        folder = repo.git_dir
        raise VersionsError(f"{folder} is damaged ({error}): check it with `git --git-dir {folder} fsck`") from error


def explain(stderr: str, path: Path) -> str:
    """What to tell a user about a failed git command, from what it wrote to stderr."""
    lines = [line.strip(" '\n") for line in stderr.splitlines()]
    errors = [line for line in lines if line.startswith(("fatal", "error"))]
    why = (errors or lines[-1:] or ["no message"])[0]
    return f"git failed in {path}: {why}. Check the disk and that git is 2.30 or newer, then resume"


def _isolation(directory: Path) -> list[str]:
    environment = {
        "GIT_DIR": str(directory),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "HOME": "/nonexistent",
        "PATH": os.defpath,
        "LC_ALL": "C",
    }
    settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    return ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in environment.items()), find_git(), *settings]
