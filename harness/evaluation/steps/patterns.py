"""Paths, folders and globs of steps: `*`, `?` and `[...]` stay in one folder, `**` is any number of folders.

A pattern that matches a folder matches everything below it. Matching takes time proportional to the product of both
lengths, whatever the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath

MAX_LENGTH = 300
_WILD = re.compile(r"[*?\[]")
_ROOTS = ("/workspace", "/home/submission")


def normalise(pattern: str) -> str:
    """A pattern relative to the workspace, without `./`; `x/` becomes `x/**`; empty for the workspace itself.

    Raises ValueError, with the reason, if it leaves the workspace.
    """
    if "\0" in pattern or len(pattern) > MAX_LENGTH:
        raise ValueError(f"is not a path of at most {MAX_LENGTH} characters")
    path = PurePosixPath(pattern.strip())
    if path.is_absolute():
        root = next((root for root in _ROOTS if path.is_relative_to(root)), None)
        if root is None:
            raise ValueError("leaves the workspace: write it relative to the workspace")
        path = path.relative_to(root)
    if ".." in path.parts:
        raise ValueError("leaves the workspace: write it without `..`")
    if not path.parts:
        return ""
    return f"{path}/**" if pattern.rstrip().endswith("/") else str(path)


def is_literal(pattern: str) -> bool:
    """Whether a pattern is a plain path."""
    return not _WILD.search(pattern)


def fixed_folder(pattern: str) -> str:
    """The folder that everything a pattern matches is in: its parts before the last one and before any wildcard."""
    parts = _parts(pattern)[:-1]
    wild = next((at for at, part in enumerate(parts) if not is_literal(part)), len(parts))
    return "/".join(parts[:wild])


def is_below(pattern: str, *folders: str) -> bool:
    """Whether a normalised pattern names one of these top folders or something below them."""
    return pattern.split("/", 1)[0] in folders


def matches(pattern: str, path: str) -> bool:
    """Whether a normalised pattern matches a path or a folder above it."""
    parts = _parts(pattern)
    states = _after_stars({0}, parts)
    for segment in path.split("/"):
        if len(parts) in states:
            return True
        moved = {at + 1 for at in states if parts[at] != "**" and fnmatchcase(segment, parts[at])}
        states = _after_stars(moved | {at for at in states if parts[at] == "**"}, parts)
    return len(parts) in states


class Matcher:
    """Several normalised patterns at once. Plain paths cost no more than one."""

    def __init__(self, patterns: Iterable[str]) -> None:
        every = set(patterns)
        self._plain = {pattern for pattern in every if is_literal(pattern)}
        self._globs = sorted(every - self._plain)

    def __call__(self, path: str) -> bool:
        """Whether one of them matches a path."""
        if "" in self._plain or path in self._plain:
            return True
        at = path.find("/")
        while at >= 0:
            if path[:at] in self._plain:
                return True
            at = path.find("/", at + 1)
        return any(matches(pattern, path) for pattern in self._globs)


def may_overlap(one: str, other: str) -> bool:
    """Whether some path may match both patterns. Two names that both have wildcards count as such."""
    a, b = _parts(one), _parts(other)

    @cache
    def overlap(i: int, j: int) -> bool:
        if i == len(a) or j == len(b):
            return True
        if a[i] == "**" or b[j] == "**":
            return overlap(i + 1, j) or overlap(i, j + 1)
        return _segments_overlap(a[i], b[j]) and overlap(i + 1, j + 1)

    return overlap(0, 0)


def _segments_overlap(one: str, other: str) -> bool:
    if is_literal(one):
        return fnmatchcase(one, other)
    return not is_literal(other) or fnmatchcase(other, one)


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("/")) if pattern else ()


def _after_stars(states: set[int], parts: tuple[str, ...]) -> set[int]:
    """The states with those that follow where `**` stands for no folder."""
    todo = list(states)
    while todo:
        at = todo.pop()
        if at < len(parts) and parts[at] == "**" and at + 1 not in states:
            states.add(at + 1)
            todo.append(at + 1)
    return states
