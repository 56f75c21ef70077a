"""Which files of a commit an evaluation holds, on every fold alike: code and short settings.

Anything else may have been trained on rows that a fold holds out. A solution that needs such a file makes it in a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from runs.versions.commits import CommittedFile, Versions

SOLUTION = "solution.json"
"""The file of a commit that says how it is run. Written by the harness, read by no step."""
CODE = frozenset(
    (
        *(".py", ".pyi", ".ipynb", ".sh", ".bash", ".r", ".jl", ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".pyx"),
        *(".rs", ".go", ".java", ".sql"),
    )
)
CODE_NAMES = frozenset(("makefile",))
CODE_BYTES = 300_000
SETTINGS = frozenset((".json", ".yaml", ".yml", ".toml", ".txt", ".cfg", ".ini", ".md"))
SETTINGS_BYTES = 50_000
RULE = f"code up to {CODE_BYTES // 1000} kB and settings up to {SETTINGS_BYTES // 1000} kB, in UTF-8"
LINES = 8
"""How many lines list what was left out."""


@dataclass(frozen=True)
class Contents:
    """The files of a commit by path: `held` by an evaluation (with a hash of content and mode), `left_out` (why)."""

    held: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def is_code(path: bytes) -> bool:
    """Whether a file's name is that of code."""
    return _limit(path.decode("utf-8", "replace")) == CODE_BYTES


def may_be_held(path: bytes | str) -> bool:
    """Whether a file's name is that of code or settings."""
    return bool(_limit(path.decode("utf-8", "replace") if isinstance(path, bytes) else path))


@lru_cache(maxsize=64)
def contents(versions: Versions, commit: str) -> Contents:
    """What evaluations of a commit hold. Raises `VersionsError`."""
    held, left_out = {}, {}
    with versions.inspect(commit) as files:
        for file in files:
            if file.path == SOLUTION:
                continue
            if why := _refusal(file):
                left_out[file.path] = why
            else:
                held[file.path] = f"{file.hash}{'x' if file.is_executable else ''}"
    return Contents(held, left_out)


def _limit(path: str) -> int:
    """Bytes that a file of this name may have; 0 if it is neither code nor settings."""
    pure = PurePosixPath(path.lower())
    if pure.suffix in CODE or pure.name in CODE_NAMES:
        return CODE_BYTES
    return SETTINGS_BYTES if pure.suffix in SETTINGS else 0


def _refusal(file: CommittedFile) -> str:
    if file.is_link:
        return "a link"
    limit = _limit(file.path)
    if not limit:
        return "no code or settings"
    if file.size > limit:
        return f"{file.size // 1000} kB of at most {limit // 1000}"
    try:
        file.path.encode()
        file.read().decode()
    except UnicodeError:
        return "not UTF-8"
    return ""


def describe_left_out(left_out: Mapping[str, str]) -> list[str]:
    """At most LINES lines for files by path, with why each is left out; by top folder where they are many."""
    lines = [f"{path} ({why})" if why else path for path, why in sorted(left_out.items())]
    if len(lines) <= LINES:
        return lines
    groups: dict[str, list[str]] = {}
    for path, line in zip(sorted(left_out), lines, strict=True):
        groups.setdefault(path.split("/", 1)[0] if "/" in path else path, []).append(line)
    told = [inside[0] if len(inside) == 1 else f"{top}/ ({len(inside):,} files)" for top, inside in groups.items()]
    return told if len(told) <= LINES else [*told[: LINES - 1], f"and {len(told) - LINES + 1:,} more"]
