"""Snippets: which lines of the found passages are shown, within a number of tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from context.tokens import bytes_for

EXCERPT_BYTES = 320
"""Size of an excerpt around its best line."""
NOTICE_BYTES = 40
"""Room for the line that says how much of a passage is left out."""


@dataclass(frozen=True)
class Passage:
    """A piece of the journal: event number, kind (with the attempt), text."""

    seq: int
    title: str
    text: str


def render_passages(passages: Sequence[Passage], tokens: int, summary: str) -> str:
    """Passages one after the other under a summary line, within `tokens`; a notice names what is left out."""
    room, parts = bytes_for(tokens) - len(summary), [summary]
    for index, passage in enumerate(passages):
        heading = f"--- event {passage.seq} ({passage.title})"
        left = room - len(heading.encode()) - NOTICE_BYTES
        if left < 80:
            notice = f"[{len(passages) - index} more left out; raise `max_tokens` or recall one of: "
            parts.append(cut_bytes(f"{notice}{_list_events(passages[index : index + 12])}]", room - 1))
            break
        raw = passage.text.encode()
        text = raw[:left].decode(errors="ignore")
        parts.append(f"{heading}\n{text}" + (f"\n[{len(raw) - left} bytes more]" if len(raw) > left else ""))
        room -= len(parts[-1].encode()) + 1
    return "\n".join(parts)


def excerpt(text: str, lines: Sequence[int], pattern: re.Pattern[str], size: int = EXCERPT_BYTES) -> str:
    """About `size` bytes of a text: the first of these lines with its neighbours, then the others as they fit.

    A long line is centred on its first match.
    """
    if len(text.encode()) <= size:
        return text.strip("\n")
    every = text.split("\n")
    best = lines[0] if lines else 0
    shown: dict[int, str] = {}
    for index in dict.fromkeys([best, best + 1, best - 1, *lines, *range(best + 2, best + 20)]):
        if 0 <= index < len(every):
            piece = every[index] if shown else _centre(every[index], pattern, size)
            if (size := size - len(piece.encode()) - 1) < 0:
                break
            shown[index] = piece
    return _join(shown, len(every))


def _join(shown: Mapping[int, str], count: int) -> str:
    """Lines by number, with a mark where some are left out."""
    parts, last = [], -1
    for index in sorted(shown):
        parts += ["…", shown[index]] if index > last + 1 else [shown[index]]
        last = index
    return "\n".join([*parts, *(["…"] if last + 1 < count else [])])


def _centre(line: str, pattern: re.Pattern[str], size: int) -> str:
    if len(line.encode()) <= size:
        return line
    match = pattern.search(line.lower())
    start = max(0, (match.start() if match else 0) - size // 3)
    piece = line[start : start + size]
    return f"{'…' if start else ''}{piece}{'…' if start + size < len(line) else ''}"


def cut_bytes(text: str, most: int) -> str:
    """The first `most` bytes of a text, in whole characters."""
    return text.encode()[: max(0, most)].decode(errors="ignore")


def _list_events(passages: Sequence[Passage]) -> str:
    return ", ".join(f"event {seq}" for seq in dict.fromkeys(passage.seq for passage in passages))
