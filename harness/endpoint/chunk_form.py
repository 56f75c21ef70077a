"""Reads the chunks of a long stream without parsing each: they differ in nothing but one text.

Most of a streamed reply is thousands of chunks with the same bytes before and after their piece of text. Once one is
parsed, the pieces of those that follow are cut out and parsed together, which costs a fifth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from jiter import from_json

from harness.endpoint.assemble import TEXTS

_TEXT = re.compile(rb'"(?:%s)": ?"((?:[^"\\]|\\.)*+)"' % "|".join(TEXTS).encode())


class ChunkForm(NamedTuple):
    """A chunk with one piece of the text `name`: the bytes of its line before and after the piece."""

    name: str
    head: bytes
    tail: bytes

    def texts(self, lines: Sequence[bytes], at: int) -> list[str]:
        """The pieces of the chunks of this form from line `at` on, each followed by an empty line.

        Empty where the first is of another form, or its piece is empty or no JSON string.
        """
        head, tail = self.head, self.tail
        start, end = len(head), -len(tail)
        if lines[at][:start] != head:
            return []
        pieces = []
        for line, blank in zip(lines[at::2], lines[at + 1 :: 2], strict=False):
            if blank or line[:start] != head or line[end:] != tail or len(line) <= start - end:
                break
            pieces.append(line[start:end])
        texts = _strings(pieces)
        return texts if len(texts) == len(pieces) else _strings(pieces[:1])


def _strings(pieces: Sequence[bytes]) -> list[str]:
    """The texts of the insides of JSON strings; empty if one is none. No string goes on past the line end between."""
    try:
        texts: list[str] = from_json(b'["' + b'",\n"'.join(pieces) + b'"]') if pieces else []
    except ValueError:
        return []
    return texts if len(texts) == len(pieces) else []


def form_of(data: bytes, name: str) -> ChunkForm | None:
    """The form of a chunk whose delta is one piece of the text `name`; None if it cannot be told."""
    found = _TEXT.search(data)
    if found is None or b"\n" in data:
        return None
    form = ChunkForm(name, b"data: " + data[: found.start(1)], data[found.end(1) :])
    delta = from_json(form.head[6:] + b"~" + form.tail)["choices"][0]["delta"]
    return form if delta == {name: "~"} else None
