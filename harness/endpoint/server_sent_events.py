"""Splits the bytes of a streamed reply into server-sent events and reads their JSON, as the standard says.

Comments, empty data and events of unknown names are ignored. It works on bytes, because a network chunk may end in the
middle of a character, a line or a tag, and parses with `jiter`: pydantic models of the SDK cost twice as much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from jiter import from_json

from harness.endpoint.chunk_form import ChunkForm

_LONGEST_NUMBER = 400
"""Digits; a longer number is no count."""


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


# Not strict: raw control characters in strings are accepted. NaN and absurd numbers become null.
_LENIENT = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_int=_whole_number)


class ServerSentEvent(NamedTuple):
    """One event of a stream: name (mostly empty), id, and data."""

    data: bytes
    event: str = ""
    id: str = ""


class EventReader:
    """Splits a stream of bytes into server-sent events.

    `form` is the form of the chunks that come now, if the caller knows it: their texts are given without their events.
    """

    def __init__(self) -> None:
        self.form: ChunkForm | None = None
        self._pieces: list[bytes] = []
        self._data: list[bytes] = []
        self._event = ""
        self._id = ""
        self._is_first = True

    def feed(self, received: bytes) -> Iterator[ServerSentEvent | list[str]]:
        """The events that `received` completes; for chunks of the known form in a row, their texts."""
        if b"\n" not in received and b"\r" not in received:
            # A long line is joined once, when it ends.
            self._pieces.append(received)
            return
        text = b"".join([*self._pieces, received]) if self._pieces else received
        kept = b""
        if b"\r" in text:
            # A last \r may be the first half of \r\n: it is read with the next bytes.
            kept = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(b"\r") if kept else text
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        at, end = 0, text.rfind(b"\n") + 1
        rest = text[end:]
        self._pieces = [rest + kept] if rest or kept else []
        while at < end:
            if self.form is not None and not (self._data or self._event or self._id):
                texts, at = self.form.texts(text, at)
                if texts:
                    yield texts
                    continue
            line_end = text.index(b"\n", at)
            line, at = text[at:line_end], line_end + 1
            if line:
                self._take(line)
            elif self._data:
                yield self._event_of_lines()
            else:
                self._event = self._id = ""

    def close(self) -> Iterator[ServerSentEvent]:
        """The events left when the stream ended: some servers do not end their last event."""
        rest = b"".join(self._pieces).rstrip(b"\r")
        self._pieces = []
        if rest:
            self._take(rest)
        if self._data:
            yield self._event_of_lines()

    def _event_of_lines(self) -> ServerSentEvent:
        event = ServerSentEvent(b"\n".join(self._data), self._event, self._id)
        self._data, self._event, self._id = [], "", ""
        return event

    def _take(self, line: bytes) -> None:
        if self._is_first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._is_first = False
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if value.strip():
                self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            self._id = value.decode("utf-8", "replace")


def read_chunks(data: bytes) -> list[dict[str, Any]] | None:
    """The JSON objects in the data of an event; None if it should be JSON but is not.

    If a server puts only one line end between its events, each line is an object. Data that does not even begin like
    an object, such as `ping` or `[12:03] alive`, holds none.
    """
    if b"{" not in data:
        return []
    try:
        chunk = parse(data)
        return [chunk] if isinstance(chunk, dict) else []
    except ValueError:
        lines = [line for line in data.split(b"\n") if line.strip() not in (b"", b"[DONE]")]
        if not any(line.lstrip()[:1] == b"{" for line in lines):
            return []
        if len(lines) < 2:
            return None
        try:
            chunks = [parse(line) for line in lines]
        except ValueError:
            return None
    return [item for item in chunks if isinstance(item, dict)]


def is_done(data: bytes) -> bool:
    """Whether the data of an event is `[DONE]`, or ends with it on its own line."""
    return data.rstrip().rpartition(b"\n")[2].strip() == b"[DONE]"


def parse(data: bytes) -> Any:
    """Read JSON from an endpoint leniently. Raises ValueError."""
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError:
        pass
    try:
        return _LENIENT.decode(data.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
