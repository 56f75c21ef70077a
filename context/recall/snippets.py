"""Passages: what is shown of what recall found, line by line, within so many tokens."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from context.tokens import bytes_for

EXCERPT_BYTES, EXCERPT_LINES = 400, 6
NOTICE_BYTES = 40
"""Room for the line that says how much of a passage is left out."""
_LINE_END = re.compile(r"\n")


@dataclass(frozen=True)
class Passage:
    """A piece of the record: its event's number, what it is, and its text."""

    seq: int
    title: str
    text: str


def shown(passages: list[Passage], tokens: int, what: str) -> str:
    """Passages one below the other, all in all within `tokens`; what is left out is named."""
    room, parts = bytes_for(tokens) - len(what), [what]
    for place, passage in enumerate(passages):
        head = f"--- event {passage.seq} ({passage.title})"
        left = room - len(head.encode()) - NOTICE_BYTES
        if left < 80:
            more = f"[{len(passages) - place} more left out; ask for more tokens, or for one of: "
            parts.append(_cut(f"{more}{_seqs(passages, place)}]", room - 1))
            break
        raw = passage.text.encode()
        told = raw[:left].decode(errors="ignore")
        parts.append(f"{head}\n{told}" + (f"\n[{len(raw) - left} bytes more]" if len(raw) > left else ""))
        room -= len(parts[-1].encode()) + 1
    return "\n".join(parts)


def _cut(text: str, most: int) -> str:
    return text.encode()[: max(0, most)].decode(errors="ignore")


def pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Any of these words, whole; of two that begin alike the longer one."""
    told = "|".join(re.escape(word) for word in sorted({word.lower() for word in words}, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{told})(?!\w)")


def excerpt(text: str, wanted: re.Pattern[str]) -> tuple[int, str]:
    """How many of the words the best line of a passage holds, and the lines that hold any, or those around the best."""
    ends = [found.end() for found in _LINE_END.finditer(text)]
    held: dict[int, set[str]] = {}
    for found in wanted.finditer(text.lower()):
        held.setdefault(bisect_right(ends, found.start()), set()).add(found[0])
    best = max(map(len, held.values()), default=0)
    if len(text) <= EXCERPT_BYTES:
        return best, text
    lines = text.split("\n")
    shown = set(sorted(held, key=lambda place: -len(held[place]))[:EXCERPT_LINES]) or {0}
    around = {near for place in shown if len(held.get(place, ())) == best for near in (place - 1, place + 1)}
    return best, "\n".join(lines[place][:EXCERPT_BYTES] for place in sorted(shown | around) if 0 <= place < len(lines))


def _seqs(passages: list[Passage], start: int) -> str:
    return ", ".join(f"event {seq}" for seq in dict.fromkeys(p.seq for p in passages[start : start + 12]))
