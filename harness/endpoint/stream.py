"""Takes an answer of an endpoint as it comes, and says at the end whether it is a whole reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.endpoint.assemble import TEXTS, Style, assemble, mended, only_text, plain
from harness.endpoint.errors import TransientFailure, error_text_of_body, is_error
from harness.endpoint.request_body import EventReader, ServerSentEvent, is_done, parse, read_chunks

_LARGEST = 64_000_000
"""Bytes of an answer that are held in memory; one that needs more is no reply."""

_SURE = 256
"""Characters from which on a piece that begins with all of the last one is surely its longer version."""

_FIELDS = (*TEXTS, "reasoning_details", "tool_calls")

_BROKEN_ENDS = ("error", "abort", "cancelled")
"""Reasons to end that are the server's own trouble, not the model's decision."""


@dataclass(frozen=True)
class RawReply:
    """A whole reply as the endpoint meant it: `message` with content, the thinking fields and tool_calls.

    `has_done` tells whether its end was marked: by `[DONE]`, or because it came as one document.
    """

    message: dict[str, Any]
    finish_reason: str
    usage: Mapping[str, Any]
    style: Style
    has_done: bool = False


@dataclass
class ReplyReader:
    """Takes the bytes of an answer, whatever they turn out to be: a stream, one JSON document, HTML, an error.

    `style` says how chunks of this endpoint are to be joined; `is_usually_delta` is what other streams of it have
    shown, where that is left open. After `finish`, the reply is whole or was refused.
    `is_taken` is for the caller to set: the request was answered with a 200, whatever follows.
    `error` holds the first error object found, `is_over` is true when nothing more can come.
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

    @property
    def has_begun(self) -> bool:
        """Whether something of an answer has come, so that it may have been paid for."""
        return bool(self._deltas or self._whole or (self._document and self._start.lstrip()[:1] == b"{"))

    @property
    def is_whole(self) -> bool:
        """Whether the model has said that it ended: what is still missing (usage, `[DONE]`) can be done without."""
        return bool(self._finish) and self._finish not in _BROKEN_ENDS and self.error is None

    def text_bytes(self) -> int:
        """The size of what the model has written so far, at least one byte a token of a stream."""
        message, _ = assemble(self._deltas, self.style, self.is_usually_delta)
        said = json.dumps([value for value in (message | self._whole).values() if value], ensure_ascii=False)
        return max(len(said.encode("utf-8", "replace")), 3 * len(self._deltas))

    def feed(self, received: bytes) -> None:
        """Take some bytes. Raises `Passing` where they can be no part of a reply."""
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
            self._take(event)

    def finish(self) -> RawReply:
        """The whole reply. Raises `Passing` where the answer ended too early or was none."""
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
            raise TransientFailure("the endpoint answered 200 with nothing in it", repeat_kind="empty")
        message, style = assemble(self._deltas, self.style, self.is_usually_delta)
        return RawReply(
            message | self._named(), self._finish, self._usage, style, self.is_over or self._document is not None
        )

    def _take(self, event: ServerSentEvent) -> None:
        last, self._last = self._last, event
        if event.id and last is not None and last.id == event.id and last.data == event.data:
            return
        chunks = read_chunks(event.data)
        if chunks is None and not is_done(event.data) and not self.is_whole:
            raise TransientFailure("the stream holds something that is no JSON", was_cut=self.has_begun)
        for chunk in chunks or []:
            if not self.is_whole and (is_error(chunk) or event.event == "error"):
                self.error, self.is_over = self.error or chunk, True
                return
            if last is not None and last.data == event.data and chunk.get("usage") and chunk.get("choices"):
                continue  # Its running count of tokens did not move: the same chunk once more.
            self._add(chunk)
        if is_done(event.data):
            self.is_over = True

    def _add(self, chunk: Mapping[str, Any]) -> None:
        if isinstance(chunk.get("usage"), dict):
            self._usage |= {k: v for k, v in chunk["usage"].items() if v is not None}
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
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
                self._append(kept, reason)

    def _append(self, delta: dict[str, Any], reason: str) -> None:
        # A long cumulative stream would otherwise be kept in all its versions.
        if len(delta) == 1 and self._deltas and self._deltas[-1][0].keys() == delta.keys():
            new, old = only_text(delta), only_text(self._deltas[-1][0])
            if new and len(old) >= _SURE and len(new) > len(old) and new.startswith(old):
                self._deltas[-1] = (delta, reason)
                self.held -= len(old)
                return
        self._deltas.append((delta, reason))

    def _read_document(self, document: bytes) -> None:
        """An answer that is no stream: a reply in one piece, an error, or a page of some gateway."""
        try:
            found = parse(document.lstrip(b"\xef\xbb\xbf"))
        except ValueError:
            if document.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
                said = error_text_of_body(document)[0]  # whole: a key that was cut in two would not be found in it
                raise TransientFailure(f"the endpoint answered with a web page ({said})", repeat_kind="page") from None
            raise TransientFailure("the reply was cut off: its JSON does not end", was_cut=True) from None
        if not isinstance(found, dict):
            raise TransientFailure("the endpoint answered with JSON that is no reply", repeat_kind="page")
        if is_error(found):
            self.error, self._document = found, []
            return
        self._add(found)
        if self._whole and not self._finish:
            self._finish = "stop"  # One JSON document that parses cannot have been cut.

    def _named(self) -> dict[str, Any]:
        """The fields of a message that came in one piece."""
        kept = {key: self._whole[key] for key in _FIELDS if self._whole.get(key)}
        if "refusal" in kept:
            kept.setdefault("content", kept.pop("refusal"))
        kept = {key: plain(value) if key in TEXTS else value for key, value in kept.items()}
        text = json.dumps(kept, ensure_ascii=False)
        return kept if text == mended(text) else dict(json.loads(mended(text)))
