"""Versions of a workspace: one git commit per evaluated attempt, in a bare repository outside every mount.

Git is only the store here. It never sees the workspace: the harness reads and writes the files (`snapshot`) and git is
handed their bytes, so that no hook, filter, attribute, fsmonitor or nested repository of a workspace can make the host
run or read anything, no index is left locked by a crash, and it does not matter who owns the workspace.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from runs.versions.files import Caps, LeftOut, Taken, clear, put, take

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_WHO = b"harness <harness@localhost>"
_NAMED_LEFT_OUT = 50
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.compression": "1",
    "core.fsync": "all",
    "core.fsyncMethod": "batch",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class VersionsError(Exception):
    """Git is missing, a commit is not there, or there is no room; the message says what to do."""


@dataclass(frozen=True)
class Commit:
    """A version of the workspace. Equal files give an equal `tree`. `left_out` names what was not kept, and why."""

    hash: str
    tree: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Versions:
    """The versions of one run, in the bare repository `repo` (made by the first commit)."""

    repo: Path
    caps: Caps = field(default_factory=Caps)

    def commit(self, workspace: Path, message: str, parent: str | None = None, when: int | None = None) -> Commit:
        """Keep the workspace as it is now, without `data`, `.jobs`, `submission.csv` and caches.

        `when` (seconds since 1970; None: now) dates the commit, so that the same arguments give the same commit.
        Raises `VersionsError`.
        """
        self._prepare()
        process = self._start("fast-import", "--quiet", "--done")
        left_out: list[LeftOut] = []
        try:
            pipe = _stdin(process)
            pipe.write(_commit_head(message, parent, int(time.time()) if when is None else when))
            for item in take(workspace, self.caps):
                if isinstance(item, LeftOut):
                    left_out.append(item)
                else:
                    pipe.write(_commit_line(item))
            pipe.write(b'get-mark :1\nls :1 ""\ndone\n')
        except BrokenPipeError:
            pass  # git gave up: its own words, below, say why
        except OSError as error:
            process.kill()
            process.communicate()
            raise VersionsError(f"The workspace {workspace} cannot be read ({error.strerror})") from error
        found = re.fullmatch(rb"([0-9a-f]{40})\n040000 tree ([0-9a-f]{40})\t\n", _finish(process, "commit"))
        if not found:
            raise VersionsError(f"git made no commit in {self.repo}: check it with `git --git-dir {self.repo} fsck`")
        return Commit(found[1].decode(), found[2].decode(), _names(left_out))

    def checkout(self, commit: str, into: Path) -> None:
        """Make a clean folder of a commit's files; it appears all at once, in the place of what was there.

        Raises `VersionsError`, and leaves what was there, where the commit cannot be had.
        """
        into.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
        try:
            (draft / "new").mkdir(mode=0o755)
            put(self._contents(commit), draft / "new")
            if into.is_symlink() or into.exists():
                into.rename(draft / "old")
            (draft / "new").rename(into)
        except OSError as error:
            raise VersionsError(f"{into} cannot be written ({error.strerror}): check the disk") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def reset(self, workspace: Path, commit: str | None) -> None:
        """Make a workspace equal to a commit (None: empty). Its `data` and `.jobs` stay as they are."""
        files = self._listing(commit) if commit else []  # before anything is removed: the commit may not be there
        try:
            clear(workspace)
            put(self._read_all(files), workspace)
        except OSError as error:
            raise VersionsError(f"The workspace {workspace} cannot be reset ({error.strerror})") from error

    def diff(self, before: str | None, after: str) -> str:
        """What changed between two commits (None: nothing yet), as a unified diff."""
        names = [_checked(before) if before else EMPTY_TREE, _checked(after)]
        plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--find-renames")
        output = self._run("diff-tree", "-p", *plain, *names, "--")
        return output.decode("utf-8", "replace")

    def files(self, commit: str) -> list[str]:
        """The paths of a commit's files; bytes that are no UTF-8 appear as surrogates (`os.fsencode` undoes them)."""
        return [os.fsdecode(path) for _, _, path in self._listing(commit)]

    def read(self, commit: str, path: str) -> bytes:
        """The content of one file of a commit. Raises `VersionsError` where it has none."""
        wanted = [item for item in self._listing(commit) if item[2] == os.fsencode(path)]
        if not wanted:
            raise VersionsError(f"Commit {commit} has no file {path}")
        return next(iter(self._read_all(wanted))).content

    def _prepare(self) -> None:
        if self.repo.exists():
            return
        self.repo.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{self.repo.name}.", dir=self.repo.parent))
        try:
            self._run("init", "--quiet", "--bare", "--template=", "--initial-branch=none", directory=draft)
            # Should somebody check one of these out by hand, bytes stay bytes.
            (draft / "info").mkdir(exist_ok=True)
            (draft / "info" / "attributes").write_text("* -text -filter -ident !diff !merge !working-tree-encoding\n")
            draft.rename(self.repo)
        except OSError as error:
            if not self.repo.exists():  # else another process was quicker
                raise VersionsError(f"{self.repo} cannot be made ({error.strerror}): check the disk") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _listing(self, commit: str) -> list[tuple[bytes, str, bytes]]:
        """Mode, object name and path of each file of a commit."""
        entries = self._run("ls-tree", "-r", "-z", "--full-tree", _checked(commit)).split(b"\0")
        return [_entry(entry) for entry in entries if entry]

    def _contents(self, commit: str) -> Iterator[Taken]:
        return self._read_all(self._listing(commit))

    def _read_all(self, files: list[tuple[bytes, str, bytes]]) -> Iterator[Taken]:
        if not files:
            return
        process = self._start("cat-file", "--batch")
        answers = process.stdout
        assert answers is not None
        try:
            for mode, name, path in files:
                _stdin(process).write(name.encode() + b"\n")
                _stdin(process).flush()
                header = answers.readline().split()
                if len(header) != 3 or header[1] != b"blob":
                    raise VersionsError(f"{self.repo} has lost object {name}: check it with `git fsck`")
                content = answers.read(int(header[2]) + 1)[:-1]
                yield Taken(path, mode, content)
        finally:
            process.kill()
            process.communicate()

    def _run(self, *words: str, directory: Path | None = None) -> bytes:
        return _finish(self._start(*words, directory=directory), words[0])

    def _start(self, *words: str, directory: Path | None = None) -> subprocess.Popen[bytes]:
        git = shutil.which("git")
        if git is None:
            raise VersionsError("git is not installed, and every evaluated attempt is kept with it: install git")
        settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        pipe = subprocess.PIPE
        environment = _environment(directory or self.repo)
        return subprocess.Popen(
            [git, *settings, *words], stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
        )


def _environment(directory: Path) -> dict[str, str]:
    # Nothing of the user's: neither their GIT_* variables nor their configuration may change what a commit is.
    return {
        "GIT_DIR": str(directory.absolute()),
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


def _commit_head(message: str, parent: str | None, when: int) -> bytes:
    # The branch keeps the commit from ever being collected. Its name is new, so that no lock of a crash is in its way.
    text = message.replace("\0", " ").encode("utf-8", "replace")
    head = b"feature done\ncommit refs/heads/v-%d-%s\nmark :1\n" % (when, secrets.token_hex(4).encode())
    head += b"committer %s %d +0000\ndata %d\n%s\n" % (_WHO, when, len(text), text)
    head += b"from %s\n" % _checked(parent).encode() if parent else b""
    return head + b"deleteall\n"


def _commit_line(file: Taken) -> bytes:
    path = b"".join(b"%c" % byte if _is_plain(byte) else b"\\%03o" % byte for byte in file.path)
    return b'M %s inline "%s"\ndata %d\n%s\n' % (file.mode, path, len(file.content), file.content)


def _is_plain(byte: int) -> bool:
    return 32 <= byte < 127 and byte not in b'"\\'


def _entry(entry: bytes) -> tuple[bytes, str, bytes]:
    about, path = entry.split(b"\t", 1)
    mode, _, name = about.split(b" ")
    if any(part in (b"", b".", b"..", b".git") for part in path.split(b"/")):
        raise VersionsError(f"A commit holds the path {path!r}, which no workspace can have")
    return mode, name.decode(), path


def _checked(commit: str | None) -> str:
    if not commit or not re.fullmatch(r"(?!0+$)[0-9a-f]{40}", commit):
        raise VersionsError(f"{commit!r} is not the name of a commit")
    return commit


def _names(left_out: list[LeftOut]) -> tuple[str, ...]:
    names = tuple(str(item) for item in left_out[:_NAMED_LEFT_OUT])
    more = len(left_out) - len(names)
    return (*names, f"and {more} more") if more else names


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _finish(process: subprocess.Popen[bytes], doing: str) -> bytes:
    output, errors = process.communicate()
    if process.returncode != 0:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in lines if line.startswith(("fatal", "error"))), lines[-1] if lines else "no word")
        raise VersionsError(f"git {doing} failed: {why}. Check the disk and that git is 2.30 or newer, then resume")
    return output
