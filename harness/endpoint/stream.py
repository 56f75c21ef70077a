"""Reads the answer of an endpoint as it arrives, and checks at its end that it is a complete reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.endpoint.assemble import TEXTS, Style, assemble, only_text, plain
from harness.endpoint.chunk_form import form_of
from harness.endpoint.errors import TransientFailure, error_text_of_body, is_error
from harness.endpoint.server_sent_events import EventReader, ServerSentEvent, is_done, parse, read_chunks
from harness.parsing.json_text import fix_surrogates

_LARGEST = 64_000_000
"""Limit in bytes; a longer answer is not a reply."""

_SURE = 256
"""From this many characters on, a chunk that begins with the last one surely replaces it."""

_MOST_CHOICES = 128
"""OpenAI's limit; a larger index of a choice is not valid."""

_FIELDS = (*TEXTS, "reasoning_details", "tool_calls")

_EVENT_NAMES = ("", "message", "error")
"""Names of events that carry a reply; data of another name counts only if it has choices."""

_USUAL_KEYS = {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"}
"""Keys of a chunk that need no further look."""

_BROKEN_ENDS = ("error", "abort", "cancelled")
"""Finish reasons that report a failure of the server."""


@dataclass(frozen=True)
class RawReply:
    """A complete reply: `message` has the content, the reasoning fields and tool_calls.

    `has_done`: its end was marked by `[DONE]`, or it came as one document.
    """

    message: dict[str, Any]
    finish_reason: str
    usage: Mapping[str, Any]
    style: Style
    has_done: bool = False


@dataclass
class ReplyReader:
    """Reads the bytes of an answer: a stream, one JSON document, HTML, or an error.

    `style` says how to join the chunks of this endpoint; `is_usually_delta` is what its other streams showed, for style
    `auto`. The caller sets `is_taken` when the request was answered with 200. `error` is the first error object,
    `is_over` is True when nothing more can come.
    """

    style: Style = "auto"
    is_usually_delta: bool = False
    held: int = 0
    is_taken: bool = False
    is_over: bool = False
    error: Mapping[str, Any] | None = None
    _events: EventReader = field(default_factory=EventReader)
    _start: bytes = b""
    _document: list[bytes] | None = None
    _deltas: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    _whole: dict[str, Any] = field(default_factory=dict)
    _finish: str = ""
    _usage: dict[str, Any] = field(default_factory=dict)
    _last: ServerSentEvent | None = None
    _parsed: int = 0
    _chunks: int = 0

    @property
    def has_begun(self) -> bool:
        """Whether part of a reply has come, so that it may be billed."""
        return bool(self._deltas or self._whole or (self._document and self._start.lstrip()[:1] == b"{"))

    @property
    def is_whole(self) -> bool:
        """Whether the model has finished; usage and `[DONE]` may still be missing."""
        return bool(self._finish) and self._finish not in _BROKEN_ENDS and self.error is None

    @property
    def has_all_bytes(self) -> bool:
        """Whether nothing is missing but an end of the connection as announced: a wrong Content-Length does no harm."""
        return self.is_whole or (self._document is not None and _is_json(b"".join(self._document)))

    def text_bytes(self) -> int:
        """The size of the reply so far, at least three bytes per chunk."""
        message, _ = assemble(self._deltas, self.style, self.is_usually_delta)
        text = json.dumps([value for value in (message | self._whole).values() if value], ensure_ascii=False)
        return max(len(text.encode("utf-8", "replace")), 3 * self._chunks)

    def feed(self, received: bytes) -> None:
        """Read some bytes. Raises `TransientFailure` if they cannot belong to a reply."""
        self.held += len(received)
        if self.held > _LARGEST:
            raise TransientFailure("the answer is larger than any reply", was_cut=self.has_begun, repeat_kind="page")
        if self._document is None and not self._start.strip():
            self._start += received
            begin = self._start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            if begin in (b"{", b"[", b"<"):
                self._document, received = [], self._start
            elif begin:
                received = self._start
            else:
                return
        if self._document is not None:
            self._document.append(received)
            return
        for event in self._events.feed(received):
            if isinstance(event, list):
                self._take_texts(event)
            else:
                self._take(event)

    def finish(self) -> RawReply:
        """The complete reply. Raises `TransientFailure` if the answer ended too early or was no reply."""
        if self._document is not None:
            self._read_document(b"".join(self._document))
        else:
            try:
                for event in self._events.close():
                    self._take(event)
            except TransientFailure:
                if not self.is_whole:
                    raise
        if self.error is not None:
            raise TransientFailure("the endpoint reported an error instead of a reply", was_cut=self.has_begun)
        if not self.is_whole:
            if self.has_begun:
                raise TransientFailure("the reply was cut off: it ended without a finish_reason", was_cut=True)
            raise TransientFailure("the endpoint answered 200 without content", repeat_kind="empty")
        message, style = assemble(self._deltas, self.style, self.is_usually_delta)
        return RawReply(
            message | self._named(), self._finish, self._usage, style, self.is_over or self._document is not None
        )

    def _take_usual(self, event: ServerSentEvent, chunk: Mapping[str, Any]) -> bool:
        """Take a chunk with one piece of one text, as most are; False if it is another, and nothing was done.

        The form of such chunks is learned from it: a long reply has thousands of them, which then come as texts.
        """
        if event.event or event.id or self.is_over or self._finish:
            return False
        try:
            (choice,) = chunk["choices"]
            ((name, piece),) = choice["delta"].items()
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        is_usual = name in TEXTS and type(piece) is str and piece and chunk.keys() <= _USUAL_KEYS
        if not is_usual or chunk.get("usage") or choice.get("finish_reason") or "message" in choice:
            return False
        if choice.get("index") or chunk.get("object") == "error":
            return False
        if self._deltas:
            before = self._deltas[-1][0].get(name)
            if type(before) is str and len(before) >= _SURE:
                return False  # it may replace the piece before
        self._last = event
        self._deltas.append(({name: piece}, ""))
        self._chunks += 1
        self._parsed += 1
        if not self._parsed & (self._parsed - 1):  # at 1, 2, 4, 8..., since the form may change with every chunk
            self._events.form = form_of(event.data, name)
        return True

    def _take_texts(self, texts: list[str]) -> None:
        """Take the pieces of chunks of the known form."""
        assert self._events.form is not None
        name = self._events.form.name
        self._last, self._parsed = None, 0
        self._chunks += len(texts)
        if max(map(len, texts)) < _SURE:
            self._append({name: tuple(texts)}, "")
            return
        for text in texts:
            self._append({name: text}, "")

    def _take(self, event: ServerSentEvent) -> None:
        chunks = read_chunks(event.data)
        if chunks and len(chunks) == 1 and self._take_usual(event, chunks[0]):
            return
        last, self._last = self._last, event
        if event.id and last is not None and last.id == event.id and last.data == event.data:
            return
        if chunks is None and event.event in _EVENT_NAMES and not is_done(event.data) and not self.is_whole:
            raise TransientFailure("the stream contains something that is not JSON", was_cut=self.has_begun)
        for chunk in chunks or []:
            if event.event not in _EVENT_NAMES and "choices" not in chunk:
                continue
            if not self.is_whole and (is_error(chunk) or event.event == "error"):
                self.error, self.is_over = self.error or chunk, True
                return
            if last is not None and last.data == event.data and chunk.get("usage") and chunk.get("choices"):
                continue  # The token count did not change: the same chunk again.
            self._add(chunk)
        if is_done(event.data):
            self.is_over = True

    def _add(self, chunk: Mapping[str, Any]) -> None:
        if isinstance(chunk.get("usage"), dict):
            self._usage |= {k: v for k, v in chunk["usage"].items() if v is not None}
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if not isinstance(choice, dict) or _is_other(choice.get("index")):
                continue
            reason = choice.get("finish_reason")
            reason = reason if isinstance(reason, str) else ""
            self._finish = reason or self._finish
            delta = choice.get("delta")
            if isinstance(choice.get("message"), dict):
                self._whole |= choice["message"]
            delta = delta if isinstance(delta, dict) else {}
            kept = {k: delta[k] for k in _FIELDS if delta.get(k)}
            if kept or reason:
                self._chunks += 1
                self._append(kept, reason)

    def _append(self, delta: dict[str, Any], reason: str) -> None:
        # Otherwise every version of a long cumulative stream would be kept.
        if len(delta) == 1 and self._deltas and self._deltas[-1][0].keys() == delta.keys():
            new, old = only_text(delta), only_text(self._deltas[-1][0])
            if new and len(old) >= _SURE and len(new) > len(old) and new.startswith(old):
                self._deltas[-1] = (delta, reason)
                self.held -= len(old)
                return
        self._deltas.append((delta, reason))

    def _read_document(self, document: bytes) -> None:
        """Read an answer that is not a stream: a reply in one piece, an error, or the page of a gateway."""
        try:
            reply = parse(document.lstrip(b"\xef\xbb\xbf"))
        except ValueError:
            if document.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
                page = error_text_of_body(document)[0]  # not shortened: a key cut in two would not be scrubbed
                raise TransientFailure(f"the endpoint answered with a web page ({page})", repeat_kind="page") from None
            raise TransientFailure("the reply was cut off: its JSON does not end", was_cut=True) from None
        if not isinstance(reply, dict):
            raise TransientFailure("the endpoint answered with JSON that is not a reply", repeat_kind="page")
        if is_error(reply):
            self.error, self._document = reply, []
            return
        self._add(reply)
        if self._whole and not self._finish:
            self._finish = "stop"  # One JSON document that parses cannot have been cut.

    def _named(self) -> dict[str, Any]:
        """The fields of a message that came in one piece."""
        if not self._whole:
            return {}
        kept = {key: self._whole[key] for key in _FIELDS if self._whole.get(key)}
        if "refusal" in kept:
            kept.setdefault("content", kept.pop("refusal"))
        kept = {key: plain(value) if key in TEXTS else value for key, value in kept.items()}
        text = json.dumps(kept, ensure_ascii=False)
        fixed = fix_surrogates(text)
        return kept if text == fixed else dict(json.loads(fixed))


def _is_other(index: object) -> bool:
    """Whether a choice is not the only one that is asked for. An absurd index says nothing."""
    return isinstance(index, (int, float)) and 0 < index <= _MOST_CHOICES


def _is_json(document: bytes) -> bool:
    """Whether a document is whole, whatever length its headers announced."""
    try:
        return isinstance(parse(document.lstrip(b"\xef\xbb\xbf")), dict)
    except ValueError:
        return False
