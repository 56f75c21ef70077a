"""Reads dialects that write the name of the tool, a mark, and the arguments as JSON (DeepSeek V3, Kimi K2, Harmony...).

JSON tells its own end, so a missing end mark does no harm and a value may contain any mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from harness.parsing.arguments import read_object
from harness.parsing.dialects.base import Block
from harness.parsing.json_text import decoder, looks_cut
from harness.parsing.text_call_types import Parameters, TextCall


@dataclass(frozen=True)
class NamedJson:
    """A dialect of named JSON.

    `head` matches all marks and blanks before the arguments, its group `name` the tool (`id` the id of the call, if the
    dialect has one); `end` matches the end mark. `is_bare`: no marks are left, so the name must be a known tool, at the
    start of a line, and nothing may follow the last call.
    """

    name: str
    markers: tuple[str, ...]
    head: re.Pattern[str]
    end: re.Pattern[str]
    is_bare: bool = False

    def prepare(self, text: str) -> str:
        return text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        heads: list[re.Match[str]] = []
        blocks: list[Block] = []
        position = 0
        while head := self.head.search(text, position):
            is_known = parameters(_name(head)) is not None
            if self.is_bare and not is_known:
                position = head.end()
                continue
            heads.append(head)
            block = self._read(text, head)
            blocks.append(block)
            position = max(block.end, head.end())
        if self.is_bare and blocks and text[blocks[-1].end :].strip():
            return []
        return blocks

    def _read(self, text: str, head: re.Match[str]) -> Block:
        start, name = head.end(), _name(head)
        next_head = self.head.search(text, start)
        limit = next_head.start() if next_head else len(text)
        try:
            value, end = decoder(strict=False).raw_decode(text, start)
        except (ValueError, RecursionError):
            return self._unreadable(text, head, limit)
        if not isinstance(value, dict):
            return self._unreadable(text, head, limit)
        call = TextCall(name, value, text[head.start() : end], id=head.groupdict().get("id") or "")
        close = self.end.match(text, end)
        if close:
            return Block(head.start(), close.end(), (call,))
        following = self.head.search(text, end)  # the one before may stand in a value
        if late := self.end.search(text, end, following.start() if following else len(text)):
            # Something between the object and its end mark: the object may have ended too early.
            return Block(head.start(), late.end(), (replace(call, arguments=None),))
        is_adjacent = text[end : end + 1].strip() not in ("", "<", "[")
        return Block(head.start(), end, (replace(call, is_ambiguous=is_adjacent),))

    def _unreadable(self, text: str, head: re.Match[str], limit: int) -> Block:
        """Arguments that are no JSON: read like those of a native call if an end mark bounds them."""
        close = self.end.search(text, head.end(), limit)
        end = close.start() if close and close.end() > close.start() else limit
        body = text[head.end() : end]
        raw = text[head.start() : end]
        is_closed = close is not None or body.rstrip().endswith("}")
        reading = read_object(body) if is_closed and body.strip() else None
        if reading is None:
            call = TextCall(_name(head), None, raw, is_cut=not is_closed or looks_cut(body))
        else:
            call = TextCall(_name(head), reading.value, raw, reading.is_ambiguous)
        return Block(head.start(), close.end() if close else limit, (call,))


def _name(head: re.Match[str]) -> str:
    groups = head.groupdict()
    return next((value for key, value in groups.items() if key.startswith("name") and value), "")
