"""What of a lane's workspace the model sees and keeps: its notes in `NOTES.md`, and the list of its files."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.run import Lane
from runs.events.registry import NotesKept, Warned
from runs.files import sha256_hex
from runs.versions.files import NOTES
from sandboxes.base import PathRefused, SandboxError

NOTES_BYTES = 1_000_000
"""Of longer notes only the end is kept for later attempts."""
MOST_ENTRIES, MOST_SECONDS = 20_000, 0.5
"""How far a workspace is listed."""
MOST_LISTED, FOLDER_FILES = 24, 8
"""Lines of the list; a folder with more files is one line."""
HASHED_BYTES, MOST_HASHED = 300_000, 20
CODE = (".py", ".sh", ".r", ".jl", ".ipynb", ".md", ".json", ".yaml", ".yml", ".toml", ".txt")
_HEADING = "# Notes of attempts beside yours (lane"
_QUOTED = re.compile(rf"^{re.escape(_HEADING)} \d+\)\n(?:>.*(?:\n|$))*\n?", re.MULTILINE)
NOT_LISTED = frozenset({"data", ".jobs", "__pycache__", ".ipynb_checkpoints"})


def place_notes(lane: Lane, move: str) -> None:
    """Write the lane's notes into its workspace; a draft begins with those of all lanes. Raises `PathRefused`."""
    lane.sandbox.write(NOTES, notes_of(lane, move).encode("utf-8", "replace"))


def notes_of(lane: Lane, move: str) -> str:
    """The notes that an attempt begins with."""
    return merge_notes({number: state.notes for number, state in lane.run.state.lanes.items()}, lane.number, move)


def merge_notes(notes: Mapping[int, str], lane: int, move: str) -> str:
    """A lane's notes; for a draft, and while it has none, with a quotation of those of the other lanes.

    Quotations of before are replaced and never quoted again: otherwise the notes would double with each draft.
    """
    mine = {number: _QUOTED.sub("", text).strip("\n") for number, text in notes.items()}
    others = [number for number, text in mine.items() if number != lane and text.strip()]
    own = mine.get(lane, "")
    if not others or (own.strip() and move != "draft"):
        return notes.get(lane, "")
    quoted = ["\n".join([f"{_HEADING} {n})", *(f"> {line}" for line in mine[n].split("\n"))]) for n in others]
    return "\n\n".join([*([own] if own.strip() else []), *quoted]) + "\n"


def keep_notes(lane: Lane) -> None:
    """Record the notes at the end of an attempt, if they changed. Deleted notes come back in the next attempt."""
    try:
        content = lane.sandbox.read(NOTES)
    except FileNotFoundError:
        return
    except (PathRefused, SandboxError, OSError) as error:
        lane.record(Warned(message=f"{NOTES} was not kept, and the notes before it stay: {error}"))
        return
    text = content.decode("utf-8", "replace")
    if len(content) > NOTES_BYTES:
        end = content[-NOTES_BYTES + 100 :].decode("utf-8", "ignore")
        text = f"[the beginning of {len(content):,} bytes was not kept]\n{end.partition(chr(10))[2] or end}"
    if text != lane.state.notes:
        lane.record(NotesKept(text=text, size=len(content)))


def read_notes(lane: Lane) -> str:
    """The notes as they are in the workspace now; if they are gone, as they were kept last."""
    try:
        return lane.sandbox.read(NOTES).decode("utf-8", "replace")
    except (FileNotFoundError, PathRefused, SandboxError, OSError):
        return lane.state.notes


# -------------------------------------------------------------------------------------------------------------- files


@dataclass(frozen=True)
class _File:
    path: str
    size: int


def list_files(workspace: Path) -> list[str]:
    """The files of a workspace with sizes, those of code with their hash; a full folder is one line.

    Follows no link. Of very many files the rest is only mentioned.
    """
    until, files, is_all = time.monotonic() + MOST_SECONDS, [], True
    for file in _walk(str(workspace), ""):
        files.append(file)
        if len(files) >= MOST_ENTRIES or time.monotonic() > until:
            is_all = False
            break
    folders: dict[str, list[_File]] = {}
    for file in files:
        folders.setdefault(file.path.rpartition("/")[0].partition("/")[0], []).append(file)
    lines, hashed = [], 0
    for folder, held in folders.items():
        if (folder and len(held) > FOLDER_FILES) or folder.startswith(".kept"):
            lines.append(f"{folder}/: {len(held)} files, {_size(sum(file.size for file in held))}")
            continue
        for file in sorted(held, key=lambda file: (not file.path.lower().endswith(CODE), file.path)):
            digest = _digest(workspace, file) if hashed < MOST_HASHED else ""
            hashed += bool(digest)
            lines.append(f"{file.path}: {_size(file.size)}{digest}")
    more = len(lines) - MOST_LISTED
    lines = [*lines[:MOST_LISTED], *([f"and {more} more lines"] if more > 0 else [])]
    return lines if is_all else [*lines, f"and more: only {len(files)} files were listed"]


def _walk(root: str, prefix: str, depth: int = 0) -> Iterator[_File]:
    with suppress(OSError):
        for entry in sorted(os.scandir(f"{root}/{prefix}"), key=lambda entry: entry.is_dir(follow_symlinks=False)):
            if entry.name in NOT_LISTED:
                continue
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if depth < 12:
                    yield from _walk(root, f"{path}/", depth + 1)
            elif entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    yield _File(path, entry.stat(follow_symlinks=False).st_size)


def _digest(workspace: Path, file: _File) -> str:
    """The start of a code file's sha256, as `write_file` reports it."""
    if not file.path.lower().endswith(CODE) or file.size > HASHED_BYTES:
        return ""
    with suppress(OSError):
        handle = os.open(workspace / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as opened:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return f", sha256 {sha256_hex(opened.read(HASHED_BYTES))[:12]}"
    return ""


def _size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"
