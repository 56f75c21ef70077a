"""Snippets: which lines of matching passages are shown, within a number of tokens."""

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
    """A piece of the journal: event number, title, text."""

    seq: int
    title: str
    text: str


def render_passages(passages: list[Passage], tokens: int, summary: str) -> str:
    """Passages one after the other under a summary line, within `tokens`; a notice names what is left out."""
    room, parts = bytes_for(tokens) - len(summary), [summary]
    for index, passage in enumerate(passages):
        heading = f"--- event {passage.seq} ({passage.title})"
        left = room - len(heading.encode()) - NOTICE_BYTES
        if left < 80:
            notice = f"[{len(passages) - index} more left out; raise `max_tokens` or recall one of: "
            parts.append(_cut(f"{notice}{_list_events(passages[index : index + 12])}]", room - 1))
            break
        raw = passage.text.encode()
        text = raw[:left].decode(errors="ignore")
        parts.append(f"{heading}\n{text}" + (f"\n[{len(raw) - left} bytes more]" if len(raw) > left else ""))
        room -= len(parts[-1].encode()) + 1
    return "\n".join(parts)


def match_any(words: Sequence[str]) -> re.Pattern[str]:
    """A pattern for any of these lower-case whole words, longer ones first."""
    alternatives = sorted({word.lower() for word in words}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, alternatives))})(?!\w)")


def excerpt(text: str, pattern: re.Pattern[str]) -> tuple[int, str]:
    """The number of different matches in the best line, and the lines with matches, the best with its neighbours."""
    ends = [match.end() for match in _LINE_END.finditer(text)]
    matches: dict[int, set[str]] = {}
    for match in pattern.finditer(text.lower()):
        matches.setdefault(bisect_right(ends, match.start()), set()).add(match[0])
    best = max(map(len, matches.values()), default=0)
    if len(text) <= EXCERPT_BYTES:
        return best, text
    lines = text.split("\n")
    chosen = set(sorted(matches, key=lambda index: -len(matches[index]))[:EXCERPT_LINES]) or {0}
    is_best = {index for index in chosen if len(matches.get(index, ())) == best}
    chosen |= {near for index in is_best for near in (index - 1, index + 1)}
    return best, "\n".join(lines[index][:EXCERPT_BYTES] for index in sorted(chosen) if 0 <= index < len(lines))


def _cut(text: str, most: int) -> str:
    return text.encode()[: max(0, most)].decode(errors="ignore")


def _list_events(passages: Sequence[Passage]) -> str:
    return ", ".join(f"event {seq}" for seq in dict.fromkeys(passage.seq for passage in passages))
