"""Text helpers of the screens beyond `runs/views/format.py`: estimates, tables, text made harmless."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from runs.state import State
from runs.views.final_choice import result_evaluation
from runs.views.format import ESTIMATE, evaluation_text, medal_text

_NOT_PLAIN = re.compile(r"[^\t\n -~]")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\-_])", re.DOTALL)


def printable(text: str) -> str:
    """Text without anything that steers a terminal: an agent's output must not repaint its owner's screen.

    Escape sequences go, a line overwritten with carriage returns keeps its last version, tabs and newlines stay.
    """
    if not _NOT_PLAIN.search(text):
        return text
    text = _SEQUENCE.sub("", text)
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "".join(c for c in "\n".join(lines) if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def standing(state: State) -> str:
    """The best score so far, at the end that of what is handed in, the medal it would bring and every mark that belongs
    beside it."""
    found = result_evaluation(state)
    if found is None:
        return "no score yet"
    if found.score is None:
        return "a valid submission; the task has no labels to hold out, so there is no score"
    return ", ".join([evaluation_text(found, state), estimate(found.score, state)])


def estimate(score: float | None, state: State) -> str:
    """The medal a held-out score would bring, marked as the estimate it is."""
    medal = medal_text(score, state.thresholds, state.lower_is_better)
    return f"{medal} ({ESTIMATE})" if medal else ESTIMATE


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows (the first is the head) as aligned columns, never cut; columns named in `right` are set to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
