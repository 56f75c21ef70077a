"""The list of a workspace's files in the first message: sizes, hashes of texts, and the constants that code defines."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runs.files import sha256_hex
from runs.views.format import one_line

FOLDER_ENTRIES, MOST_SECONDS = 5_000, 0.5
"""How far a workspace is listed: files in a top-level folder, and in all."""
MOST_LISTED, MOST_SOURCE, FOLDER_FILES = 24, 20, 8
"""Lines of the list, the latest files of source code that are always named, and files of a folder that are."""
READ_BYTES = 300_000
"""Larger files are not read."""
MOST_CONSTANTS, CONSTANT_CHARACTERS = 6, 60
SOURCE = (".py", ".sh", ".r", ".jl", ".ipynb", ".yaml", ".yml", ".toml")
TEXT = (*SOURCE, ".md", ".json", ".txt")
NOT_LISTED = frozenset({"data", ".jobs", "__pycache__", ".ipynb_checkpoints"})
KEPT = ".kept"
_DIGITS = re.compile(r"\d+")
_CONSTANT = re.compile(r"^([A-Z][A-Z0-9_]+)(?:: [^=\n]{1,80})? ?(?:=|<-)(?!=)([^\n]{1,200})", re.MULTILINE)


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    changed: float


@dataclass(frozen=True)
class _Entry:
    """One line of the list: a file, or several (then `file` is None)."""

    title: str
    size: str
    changed: float
    file: _File | None = None


def list_files(workspace: Path) -> list[str]:
    """The files of a workspace with sizes, texts with their hash, code with its constants; the latest come last.

    Many files of a folder, and many whose names differ in digits only, are one line; the latest source files are always
    named. Follows no link, and takes bounded time.
    """
    until = time.monotonic() + MOST_SECONDS
    held = {"": list(_walk(str(workspace), "", FOLDER_ENTRIES, until, depth=1))}
    for folder in _folders(str(workspace)):
        held[folder] = list(_walk(str(workspace), f"{folder}/", FOLDER_ENTRIES, until))
    is_all = time.monotonic() < until
    source = [
        file for name, files in held.items() if name != KEPT for file in files if file.path.lower().endswith(SOURCE)
    ]
    named = set(sorted(source, key=lambda file: (file.changed, file.path))[-MOST_SOURCE:])
    entries = [entry for folder, files in held.items() if files for entry in _entries(folder, files, named)]
    entries.sort(key=lambda entry: (entry.changed, entry.title))
    more = len(entries) - MOST_LISTED
    lines = [f"({more} others, changed earlier)"] if more > 0 else []
    lines += [f"{one.title}: {one.size}{_describe(workspace, one.file)}" for one in entries[-MOST_LISTED:]]
    return lines if is_all else ["(not all: listing them would take too long)", *lines]


def _entries(folder: str, files: list[_File], named: set[_File]) -> Iterator[_Entry]:
    """The lines of a top-level folder (`""`: of the workspace itself)."""
    if (folder and len(files) > FOLDER_FILES) or folder == KEPT:
        kinds = [[file for file in files if file not in named]]
    else:
        groups: dict[str, list[_File]] = {}
        for file in files:
            groups.setdefault(_DIGITS.sub("#", file.path), []).append(file)
        kinds = [[file for file in kind if file not in named] for kind in groups.values() if len(kind) > FOLDER_FILES]
    summed = {file for kind in kinds for file in kind}
    for kind in filter(None, kinds):
        ordered = sorted(kind, key=lambda file: (len(file.path), file.path))  # numbers in their order
        names = f"{ordered[0].path} to {ordered[-1].path.rpartition('/')[2]}"
        title = f"{folder}/" if folder and len(kinds) == 1 else names
        other = "other " if len(kind) < len(files) and title.endswith("/") else ""
        count = f"more than {len(kind):,}" if len(files) == FOLDER_ENTRIES else f"{len(kind):,}"
        size = _size(sum(file.size for file in kind))
        yield _Entry(title, f"{count} {other}files, {size}", max(file.changed for file in kind))
    yield from (_Entry(one.path, _size(one.size), one.changed, one) for one in files if one not in summed)


def _folders(root: str) -> list[str]:
    with suppress(OSError), os.scandir(root) as found:
        return sorted(one.name for one in found if one.is_dir(follow_symlinks=False) and one.name not in NOT_LISTED)
    return []


def _walk(root: str, prefix: str, most: int, until: float, depth: int = 12) -> Iterator[_File]:
    """At most `most` files below a folder, those of the folder itself first."""
    folders: list[str] = []
    with suppress(OSError), os.scandir(f"{root}/{prefix}") as found:
        for entry in found:
            if most <= 0 or time.monotonic() > until:
                return
            if entry.name in NOT_LISTED:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield _File(f"{prefix}{entry.name}", status.st_size, status.st_mtime)
                    most -= 1
    for folder in sorted(folders) if depth > 1 else ():
        for file in _walk(root, f"{prefix}{folder}/", most, until, depth - 1):
            yield file
            most -= 1


def _describe(workspace: Path, file: _File | None) -> str:
    """What is said of a text besides its size: the start of its sha256, as `write_file` reports it, and of source code
    its constants."""
    if file is None or not file.path.lower().endswith(TEXT) or file.size > READ_BYTES:
        return ""
    with suppress(OSError):
        handle = os.open(workspace / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as opened:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                content = opened.read(READ_BYTES)
                is_source = file.path.lower().endswith(SOURCE)
                found = constants(content.decode("utf-8", "replace")) if is_source else []
                return f", sha256 {sha256_hex(content)[:12]}" + (f"; {'; '.join(found)}" if found else "")
    return ""


def constants(text: str) -> list[str]:
    """The first constants that a file defines at its top level, as `NAME = value`."""
    found = {name: value.partition(" #")[0].strip() for name, value in _CONSTANT.findall(text)}
    lines = [f"{name} = {one_line(value, CONSTANT_CHARACTERS)}" for name, value in found.items() if _is_whole(value)]
    return lines[:MOST_CONSTANTS]


def _is_whole(value: str) -> bool:
    """Whether a value ends on its line."""
    return bool(value) and value[-1] not in "[({,\\" and not any(value.count(mark) == 1 for mark in ('"""', "'''"))


def _size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"
