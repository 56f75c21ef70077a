"""What a patch changes: only settings, or the same as another patch."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|\b(?:True|False|None)\b")
MAX_SHOWN = 3
"""Changed lines that are shown of one patch."""


def fingerprint(patch: str) -> str:
    """Equal for patches that add and remove the same lines of the same files, wherever they stand; empty for none."""
    lines = [line for line in patch.splitlines() if _is_change(line) or line.startswith(("+++ ", "--- "))]
    if not any(map(_is_change, lines)):
        return ""
    return hashlib.sha256("\n".join(lines).encode(errors="replace")).hexdigest()[:16]


def is_settings_only(patch: str) -> bool:
    """Whether a patch changes nothing but numbers, True, False and None."""
    removed, added = changed_lines(patch)
    if not removed or len(removed) != len(added):
        return False
    return Counter(map(_without_values, removed)) == Counter(map(_without_values, added))


def describe_settings(patch: str) -> str:
    """The lines that a patch of settings changes, as `old` -> `new`."""
    removed, added = changed_lines(patch)
    pairs = []
    for old in removed:
        new = next((line for line in added if _without_values(line) == _without_values(old)), None)
        if new is not None:
            added.remove(new)
            pairs.append(f"`{old.strip()[:80]}` -> `{new.strip()[:80]}`")
    more = f" and {len(pairs) - MAX_SHOWN} more" if len(pairs) > MAX_SHOWN else ""
    return "; ".join(pairs[:MAX_SHOWN]) + more


def changed_lines(patch: str) -> tuple[list[str], list[str]]:
    """The removed and the added lines of a unified diff, without blank ones."""
    changes = [line for line in patch.splitlines() if _is_change(line) and line[1:].strip()]
    return [line[1:] for line in changes if line[0] == "-"], [line[1:] for line in changes if line[0] == "+"]


def _is_change(line: str) -> bool:
    return line.startswith(("+", "-")) and not line.startswith(("+++ ", "--- "))


def _without_values(line: str) -> str:
    return _NUMBER.sub("#", line.strip())
