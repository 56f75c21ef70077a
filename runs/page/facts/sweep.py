"""A sweep as its page shows it; who knows sweeps fills it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SweepFacts:
    """The sums of a sweep as lines, and its table: the columns' names, and per run its id, state and cells. A cell is
    its text and the number it is sorted by (None: by its text)."""

    name: str
    lines: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[tuple[str, float | None], ...]], ...]
