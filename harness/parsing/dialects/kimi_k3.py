"""Kimi K3: XTML, `<|open|>call tool="f" index="1"<|sep|>` with `argument` elements that name their type.

Source: K3's template in llama.cpp, vLLM's kimi_k3 parser. Strings are raw, other types JSON; only attributes are
escaped. `json` elements hold all arguments at once. Servers may put blanks around the special tokens; without them a
value has no end, and nothing is read.
"""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from harness.parsing.dialects.tagged import Tagged

_SEP = r"\s?<\|sep\|>"


def _value(text: str, attributes: str) -> Any:
    """Raw text for the type string, else JSON. Raises ValueError."""
    kind = re.search(r"type\s*=\s*\"(\w+)\"", attributes)
    return text if kind is None or kind[1] == "string" else json.loads(text)


def _without_blanks(text: str) -> str:
    """The text without the blanks that a server put around every special token."""
    return re.sub(r" ?(<\|(?:open|close|sep)\|>) ?", r"\1", text) if "<|open|> call " in text else text


def _element(word: str) -> str:
    return rf"<\|open\|>\s?{word}"


def _end(word: str) -> str:
    return rf"<\|close\|>\s?{word}{_SEP}"


class _Xtml(Tagged):
    def _tags(self, text: str) -> list[Any]:
        from dataclasses import replace

        return [replace(tag, name=unescape(tag.name)) for tag in super()._tags(text)]


DIALECTS = (
    _Xtml(
        "kimi_k3",
        ("<|open|>",),
        re.compile(
            rf"{_element('(?P<W>tools)')}{_SEP}|(?P<w>{_end('tools')})"
            rf"|{_element('call')}\s+tool\s*=\s*(?P<I>\"[^\"<>]*\")[^<>]*{_SEP}|(?P<i>{_end('call')})"
            rf"|{_element('argument')}\s+key\s*=\s*(?P<P>\"[^\"<>]*\")(?P<more>[^<>]*){_SEP}|(?P<p>{_end('argument')})"
        ),
        _value,
        re.compile(r"<\|(?:open|close|sep)\|>"),
        re.compile(rf"{_element('json')}[^<>]*{_SEP}|{_end('json')}"),
        _without_blanks,
        is_distinct=True,
    ),
)
