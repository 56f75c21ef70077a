"""Words of the model about lessons: brought to one line, and compared with what is there."""

from __future__ import annotations

LONGEST = 300
"""Characters of a lesson's words or reason."""
SAME = 0.6
"""Share of common trigrams from which two texts say the same."""


def one_line(text: str) -> str:
    """The text in one line of at most `LONGEST` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def similarity(one: str, other: str) -> float:
    """The share of trigrams that two texts have in common (Jaccard)."""
    a, b = _trigrams(one), _trigrams(other)
    return len(a & b) / len(a | b) if a or b else 1.0


def _trigrams(text: str) -> set[str]:
    plain = f"  {' '.join(text.lower().split())} "
    return {plain[at : at + 3] for at in range(len(plain) - 2)}
