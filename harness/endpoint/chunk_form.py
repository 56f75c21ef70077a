"""Reads the chunks of a long stream without parsing each: they differ in nothing but one text.

Most of a streamed reply is thousands of chunks with the same bytes before and after their piece of text. Once one is
parsed, the pieces of those that follow are cut out and parsed together, which costs a fifth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from jiter import from_json

from harness.endpoint.assemble import TEXTS

_TEXT = re.compile(rb'"(?:%s)": ?"((?:[^"\\]|\\.)*+)"' % "|".join(TEXTS).encode())


_FIRST_WINDOW = 4_096
"""Bytes that are read together at first. A window that is of one form makes the next larger, so that a stream of
changing forms is not searched to its end at each chunk."""


class ChunkForm(NamedTuple):
    """A chunk with one piece of the text `name`: the bytes of its line before and after the piece."""

    name: str
    head: bytes
    tail: bytes

    def texts(self, received: bytes, at: int) -> tuple[list[str], int]:
        """The pieces of the chunks of this form from the line at `at` on, and where the empty line after them ends.

        None if the first is of another form, or its piece is empty or not a JSON string.
        """
        size, texts = _FIRST_WINDOW, list[str]()
        while received.startswith(self.head, at):
            window = received[at : at + size]
            pieces = self._pieces(window)
            more = _strings(pieces) or _strings(pieces[:1])
            texts += more
            end = sum(map(len, pieces[: len(more)])) + len(more) * (len(self.head) + len(self.tail) + 2)
            at, size = at + end, 4 * size
            if at == len(received) or b"\n" in window[end:] or len(window) < size // 4:
                break
        return texts, at

    def _pieces(self, window: bytes) -> list[bytes]:
        """The pieces of the chunks at the start of a window, up to the first of another form."""
        head, tail = len(self.head), -len(self.tail)
        *lines, _ = window.split(b"\n")  # single bytes are found faster than pairs
        events, blanks = lines[:-1:2], lines[1::2]
        pieces = [event[head:tail] for event in events]
        between = self.tail + b"\n\n" + self.head
        if all(pieces) and window.startswith(self.head + between.join(pieces) + self.tail + b"\n\n"):
            return pieces
        of_form = takewhile(self._is_of_form, zip(events, blanks, strict=True))
        return [event[head:tail] for event, _ in of_form]

    def _is_of_form(self, lines: tuple[bytes, bytes]) -> bool:
        event, blank = lines
        is_long = len(event) > len(self.head) + len(self.tail)
        return is_long and event.startswith(self.head) and event.endswith(self.tail) and not blank


def _strings(pieces: Sequence[bytes]) -> list[str]:
    """The texts of the insides of JSON strings; empty if one is none. No string continues past the line end between two
    of them.
    """
    try:
        texts: list[str] = from_json(b'["' + b'",\n"'.join(pieces) + b'"]') if pieces else []
    except ValueError:
        return []
    return texts if len(texts) == len(pieces) else []


def form_of(data: bytes, name: str) -> ChunkForm | None:
    """The form of a chunk whose delta is one piece of the text `name`; None if it is not known."""
    found = _TEXT.search(data)
    if found is None or b"\n" in data:
        return None
    form = ChunkForm(name, b"data: " + data[: found.start(1)], data[found.end(1) :])
    delta = from_json(form.head[6:] + b"~" + form.tail)["choices"][0]["delta"]
    return form if delta == {name: "~"} else None
