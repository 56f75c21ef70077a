"""Versions of a workspace: one git commit per evaluation, in a bare repository outside every sandbox.

Git never sees the workspace: the harness reads and writes the files (`files.py`) and git gets only their bytes. So no
hook, filter, attribute, fsmonitor or nested repository of a workspace can make the host run or read anything. A crash
leaves no locked index, and the owner of the workspace does not matter.

Reading goes through GitPython's commit, tree and blob objects. Three things do not. Commits are written with `git
fast-import`: one fsynced pack instead of thousands of objects without fsync. Patches come from `git diff-tree`, since
Diff objects lose file modes and renames. Refs are written as files, since a kill would leave GitPython's `.lock`
behind.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os import fsencode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.files import replace_file
from runs.versions.errors import VersionsError as VersionsError
from runs.versions.errors import find_git
from runs.versions.files import Caps, LeftOut, clear_workspace, read_files, write_files
from runs.versions.files import StoredFile as StoredFile

if TYPE_CHECKING:
    from git.objects import Blob

    from runs.versions.repository import RunRepository

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
MAIN = "refs/heads/main"
"""The branch HEAD names: the submission of record."""
_IDENTITY = b"harness <harness@localhost>"
_NAMED_LEFT_OUT = 50


@dataclass(frozen=True)
class Commit:
    """A version of the workspace. Equal files give an equal `tree`. `left_out` says what was not stored, and why."""

    hash: str
    tree: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommittedFile:
    """One file of a commit. `hash` is that of its content, as git computes it; `size` in bytes."""

    path: str
    hash: str
    is_link: bool
    is_executable: bool
    _blob: Blob

    @property
    def size(self) -> int:
        """The size of its content."""
        return int(self._blob.size)

    def read(self) -> bytes:
        """Its content. Raises `VersionsError`."""
        return next(_contents([self._blob])).content


@dataclass(frozen=True)
class Versions:
    """The versions of one run, in the bare repository `repo` (created by the first commit)."""

    repo: Path
    caps: Caps = field(default_factory=Caps)

    def commit(
        self,
        workspace: Path,
        message: str,
        parent: str | None = None,
        when: int | None = None,
        *,
        replaced: Mapping[bytes, bytes] | None = None,
        first: Sequence[Callable[[bytes], bool]] = (),
    ) -> Commit:
        """Store the workspace as it is now, without `data`, `.jobs`, `submission.csv` and caches. No ref is changed.

        `when` (seconds since 1970; default: now) dates the commit, so that equal arguments give an equal commit.
        `replaced` are files by path that the commit has instead of the workspace's. `first` says which files are
        stored before the caps are used up; see `read_files`. Raises `VersionsError`.
        """
        self._create_repository()
        left_out: list[LeftOut] = []
        with self._opened() as repo:
            process: Any = repo.git.fast_import("--quiet", "--done", as_process=True, istream=-1)
            try:
                process.stdin.write(_commit_head(message, parent, int(time.time()) if when is None else when))
                for item in read_files(workspace, self.caps, first):
                    if item.path in (replaced or {}):
                        continue
                    if isinstance(item, LeftOut):
                        left_out.append(item)
                    else:
                        process.stdin.write(_commit_line(item))
                for path, content in (replaced or {}).items():
                    process.stdin.write(_commit_line(StoredFile(path, b"100644", content)))
                process.stdin.write(_COMMIT_END)
            except BrokenPipeError:
                pass  # git stopped; its message is read below
            except OSError as error:
                process.kill()
                process.communicate()
                raise VersionsError(f"The workspace {workspace} cannot be read ({error.strerror})") from error
            answer = self._finish(process)
        match = re.fullmatch(rb"([0-9a-f]{40})\n040000 tree ([0-9a-f]{40})\t\n", answer)
        if not match:
            raise VersionsError(f"git made no commit in {self.repo}: check it with `git --git-dir {self.repo} fsck`")
        return Commit(match[1].decode(), match[2].decode(), _left_out_lines(left_out))

    def set_refs(self, refs: Mapping[str, str]) -> None:
        """Point refs (`refs/heads/...`, `refs/tags/...`) at commits and HEAD at `main`. Repeating it changes nothing.

        Only one process writes a run's repository, so a ref is a file that is replaced atomically, without git's
        lock, which a kill would leave behind. Raises `VersionsError`.
        """
        if not self.repo.exists():
            return
        try:
            for name, value in {**refs, "HEAD": f"ref: {MAIN}"}.items():
                _write_ref(self.repo / name, f"{value}\n".encode())
        except OSError as error:
            raise VersionsError(f"{self.repo} cannot be written ({error.strerror}): check the disk") from error

    def checkout(self, commit: str, into: Path, only: Collection[str] | None = None) -> None:
        """Make `into` a folder with exactly a commit's files (or `only` these), atomically replacing what was there.

        Raises `VersionsError`; `into` is then unchanged.
        """
        with self._files(commit) as every, _beside(into) as temporary:
            files = every if only is None else [blob for blob in every if blob.path in only]
            try:
                (temporary / "new").mkdir(mode=0o755)
                write_files(_contents(files), temporary / "new")
                if into.is_symlink() or into.exists():
                    into.rename(temporary / "old")
                (temporary / "new").rename(into)
            except OSError as error:
                raise VersionsError(f"{into} cannot be written ({error.strerror}): check the disk") from error

    def reset(self, workspace: Path, commit: str | None) -> None:
        """Make a workspace equal to a commit (None: empty). Its `data` and `.jobs` are left alone.

        Raises `VersionsError`; a commit that does not exist removes nothing.
        """
        with self._files(commit) as files:
            try:
                clear_workspace(workspace)
                write_files(_contents(files), workspace)
            except OSError as error:
                raise VersionsError(f"The workspace {workspace} cannot be reset ({error.strerror})") from error

    def diff(self, before: str | None, after: str) -> str:
        """The changes between two commits (None: the empty tree) as a unified diff. Raises `VersionsError`."""
        commits = [_checked(before) if before else EMPTY_TREE, _checked(after)]
        options = ("-p", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames")
        with self._opened() as repo:
            patch: bytes = repo.git.diff_tree(
                *options, *commits, "--", stdout_as_string=False, strip_newline_in_stdout=False
            )
        return patch.decode("utf-8", "replace")

    def changed(self, before: str | None, after: str) -> list[str]:
        """The files that differ between two commits (None: the empty tree), as `A path`, `M path` or `D path`."""
        commits = [_checked(before) if before else EMPTY_TREE, _checked(after)]
        with self._opened() as repo:
            names: str = repo.git.diff_tree("-r", "--name-status", "--no-renames", "-z", *commits)
        parts = names.split("\0")
        return [f"{kind} {path}" for kind, path in zip(parts[::2], parts[1::2], strict=False)]

    def files(self, commit: str) -> list[str]:
        """The paths of a commit's files. Bytes that are not UTF-8 become surrogates (`os.fsencode` restores them)."""
        with self._files(commit) as files:
            return [str(blob.path) for blob in files]

    def stored_files(self, commit: str, under: str = "") -> Iterator[StoredFile]:
        """The files of a commit that are `under`, or below it, one at a time. Raises `VersionsError`."""
        with self._files(commit) as files:
            for blob in files:
                path = str(blob.path)
                if not under or path == under or path.startswith(f"{under}/"):
                    yield from _contents([blob])

    @contextmanager
    def inspect(self, commit: str) -> Iterator[list[CommittedFile]]:
        """The files of a commit, whose sizes and contents can be read while the context is open.

        Raises `VersionsError`.
        """
        with self._files(commit) as files:
            yield [
                CommittedFile(str(blob.path), blob.hexsha, blob.mode == 0o120000, bool(blob.mode & 0o100), blob)
                for blob in files
            ]

    def read(self, commit: str, path: str) -> bytes:
        """The content of one file of a commit. Raises `VersionsError` if there is no such file."""
        with self._files(commit) as files:
            for blob in files:
                if blob.path == path:
                    return next(_contents([blob])).content
        raise VersionsError(f"Commit {commit} has no file {path}")

    @contextmanager
    def _opened(self) -> Iterator[RunRepository]:
        find_git()  # first, since importing GitPython without git fails
        try:
            from runs.versions.repository import opened
        except ImportError as error:
            raise VersionsError(f"GitPython cannot be imported ({error}): run `pip install -e .` again") from error
        with opened(self.repo) as repo:
            yield repo

    @contextmanager
    def _files(self, commit: str | None) -> Iterator[list[Blob]]:
        """The files of a commit (None: no files), readable while the context is open."""
        if commit is None:
            yield []
            return
        with self._opened() as repo:
            from runs.versions.repository import files_of

            yield list(files_of(repo, _checked(commit)))

    def _finish(self, process: Any) -> bytes:
        from runs.versions.repository import explain

        output, errors = process.communicate()
        if process.returncode != 0:
            raise VersionsError(explain(errors.decode("utf-8", "replace"), self.repo))
        return bytes(output)

    def _create_repository(self) -> None:
        if self.repo.exists():
            return
        with _beside(self.repo) as temporary:
            try:
                with Versions(temporary)._opened() as repo:
                    repo.git.init("--quiet", "--bare", "--template=", f"--initial-branch={Path(MAIN).name}")
                # For somebody who checks a commit out by hand in this repository: files stay byte for byte.
                (temporary / "info").mkdir(exist_ok=True)
                attributes = "* -text -filter -ident !diff !merge !working-tree-encoding\n"
                (temporary / "info" / "attributes").write_text(attributes)
                temporary.rename(self.repo)
            except OSError as error:
                if not self.repo.exists():  # else another process created it meanwhile
                    raise VersionsError(f"{self.repo} cannot be created ({error.strerror}): check the disk") from error


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary folder next to a path, which can be renamed to it; removed afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _contents(files: list[Blob]) -> Iterator[StoredFile]:
    from runs.versions.repository import content_of

    for blob in files:
        yield StoredFile(fsencode(str(blob.path)), b"%06o" % blob.mode, content_of(blob))


def _write_ref(path: Path, content: bytes) -> None:
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content, is_durable=True)


_COMMIT_END = b'get-mark :1\nls :1 ""\nreset refs/new\n\ndone\n'
"""Asks for the names of commit and tree, then drops the ref that fast-import insists on, before it is written."""


def _commit_head(message: str, parent: str | None, when: int) -> bytes:
    text = message.replace("\0", " ").encode("utf-8", "replace")
    head = b"feature done\ncommit refs/new\nmark :1\n"
    head += b"committer %s %d +0000\ndata %d\n%s\n" % (_IDENTITY, when, len(text), text)
    head += b"from %s\n" % _checked(parent).encode() if parent else b""
    return head + b"deleteall\n"


def _commit_line(file: StoredFile) -> bytes:
    path = b"".join(b"%c" % byte if _is_plain(byte) else b"\\%03o" % byte for byte in file.path)
    return b'M %s inline "%s"\ndata %d\n%s\n' % (file.mode, path, len(file.content), file.content)


def _is_plain(byte: int) -> bool:
    return 32 <= byte < 127 and byte not in b'"\\'


def _checked(commit: str | None) -> str:
    if not commit or not re.fullmatch(r"(?!0+$)[0-9a-f]{40}", commit):
        raise VersionsError(f"{commit!r} is not the hash of a commit (40 hex digits)")
    return commit


def _left_out_lines(left_out: list[LeftOut]) -> tuple[str, ...]:
    lines = tuple(str(item) for item in left_out[:_NAMED_LEFT_OUT])
    more = len(left_out) - len(lines)
    return (*lines, f"and {more} more") if more else lines
