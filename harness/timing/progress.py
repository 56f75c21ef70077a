"""How far a job is by its own progress lines: `epoch 3/50`, `fold 2/5`, tqdm's `12/100 [00:30<03:40`."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_OF = r"\D{0,3}?(\d{1,9})\s*(?:/|of)\s*(\d{1,9})\b"
_LEVELS = (
    re.compile(rf"\b(?:fold|cv|split|seed)\b{_OF}", re.IGNORECASE),
    re.compile(rf"\bepochs?\b{_OF}", re.IGNORECASE),
    re.compile(r"\b(\d{1,9})/(\d{1,9}) \[\d+:\d\d"),  # tqdm
    re.compile(rf"\b(?:step|steps|iter|iteration|batch|round|trial)\b{_OF}", re.IGNORECASE),
)
"""Outer loops first."""
LEAST_SHARE, LEAST_SECONDS = 0.02, 60.0
"""Before so much is done, the pace tells nothing."""


@dataclass(frozen=True)
class Progress:
    """`line` is what the job printed, `share` how much of the work is done by it (0 to 1)."""

    line: str
    share: float

    def seconds_left(self, elapsed: float) -> float | None:
        """Seconds until the job ends at its pace so far; None if that cannot be told yet."""
        if self.share < LEAST_SHARE or elapsed < LEAST_SECONDS:
            return None
        return elapsed * (1 - self.share) / self.share


def read_progress(output: str) -> Progress | None:
    """The progress at the end of a job's output, if it prints any.

    Nested loops count together: `fold 2/5 ... epoch 10/20` is 1.5 of 5. A line counts as done when it was printed, so
    the time left is rather under- than overestimated.
    """
    text = output.replace("\r", "\n")
    line = ""
    found: list[tuple[int, int, int]] = []
    for level in _LEVELS:
        match = next(iter(deque(level.finditer(text), maxlen=1)), None)
        if match is None or not 0 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
            continue
        if any(total == int(match[2]) for _, total, _ in found):
            continue  # the same loop, printed twice
        found.append((int(match[1]), int(match[2]), match.start()))
        line = line or _line_at(text, match.start())
    if not found:
        return None
    share = 1.0
    for position, (done, total, start) in reversed(list(enumerate(found))):
        is_nested = any(inner_start > start for _, _, inner_start in found[position + 1 :])
        share = ((max(done, 1) - 1 + share) if is_nested else done) / total
    return Progress(line, min(1.0, share))


def _line_at(text: str, position: int) -> str:
    start, end = text.rfind("\n", 0, position) + 1, text.find("\n", position)
    return " ".join(text[start : end if end >= 0 else len(text)].split())[:160]
