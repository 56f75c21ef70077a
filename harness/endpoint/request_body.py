"""The bytes of a chat request.

It is joined from fragments that were serialised once, because the SDK needs 0.2 ms of CPU per message. Messages come
first, so that two requests of an epoch share their longest prefix.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any

from harness.endpoint.profiles import Profile

_ESSENTIAL = ("model", "stream")


class Body:
    """The bytes of a request, sent in parts of about `PART` bytes.

    A window has megabytes and grows every turn; joined copies would fragment memory and make the process grow.
    """

    PART = 98_304

    def __init__(self, start: bytes, messages: Sequence[bytes], end: bytes) -> None:
        self._start, self._messages, self._end = start, messages, end
        self._ends = list(accumulate(map(len, messages)))
        self._size = len(start) + (self._ends[-1] + len(messages) - 1 if messages else 0) + len(end)

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        """The parts: each has whole messages, and at least `PART` bytes but for the last."""
        start, before, ends = self._start, 0, self._ends
        while before < len(ends):
            sent = ends[before - 1] if before else 0
            after = bisect_left(ends, sent + self.PART, before) + 1
            part = [*self._messages[before:after], b""]
            if after >= len(ends):
                part[-2:] = [part[-2] + self._end]
            part[0] = start + part[0]
            yield b",".join(part)
            start, before = b"", after
        if not ends:
            yield self._start + self._end


def request_body(
    profile: Profile,
    system: bytes,
    tools: bytes,
    messages: Sequence[bytes],
    *,
    dropped: Collection[str] = (),
    output_tokens: int | None = None,
) -> Body:
    """The body of a chat request. `system` and `messages` are JSON objects, `tools` a JSON array, as bytes.

    `system` may be empty if the messages contain it. `dropped` are optional fields that this endpoint refused,
    `output_tokens` a smaller limit than the profile's.
    """
    sent = [system, *messages] if system else list(messages)
    if profile.replays_empty:
        sent = [_with_reasoning_field(message, profile) for message in sent]
    options = json.dumps(_options(profile, dropped, output_tokens), ensure_ascii=False, separators=(",", ":")).encode()
    offered = b"" if tools.strip() in (b"", b"[]") else b'"tools":' + tools + b","
    return Body(b'{"messages":[', sent, b"]," + offered + options[1:])


def _with_reasoning_field(message: bytes, profile: Profile) -> bytes:
    """A message with an empty reasoning field, if it has calls and none: DeepSeek's API refuses it otherwise."""
    field = b'"%s":' % profile.thinking_back.encode()
    has_calls = b'"tool_calls":' in message and b'"role":"assistant"' in message.replace(b'": "', b'":"', 1)
    if not has_calls or field in message or profile.thinking_back in ("none", "content"):
        return message
    return message.rstrip()[:-1] + b"," + field + b'""}'


def _options(profile: Profile, dropped: Collection[str], output_tokens: int | None) -> dict[str, Any]:
    """Every field of the request but messages and tools."""
    options: dict[str, Any] = {"model": profile.model, "stream": True}
    if profile.asks_usage:
        options["stream_options"] = {"include_usage": True}
    options |= profile.sampling()
    options[profile.output_field] = min(output_tokens or profile.output_tokens, profile.output_tokens)
    options |= profile.extra_body
    return {key: value for key, value in options.items() if key in _ESSENTIAL or key not in dropped}


def optional_fields(profile: Profile) -> set[str]:
    """The fields of a request that may be dropped if an endpoint refuses them."""
    return set(_options(profile, (), None)) - set(_ESSENTIAL)


def refused_fields(profile: Profile, dropped: Collection[str], refusal: str) -> set[str]:
    """The optional fields, not dropped yet, that a refusal names."""
    return {key for key in optional_fields(profile) - set(dropped) if re.search(rf"\b{key}\b", refusal)}


class AnsweredIds:
    """The ids of answered calls in a history; reads only messages it has not seen."""

    _ANSWERED = re.compile(rb'"tool_call_id":\s*"((?:[^"\\]|\\.)*)"')

    def __init__(self) -> None:
        self._seen: list[bytes] = []
        self._ids: set[str] = set()

    def of(self, messages: Sequence[bytes]) -> set[str]:
        """The ids in `messages`."""
        seen = len(self._seen)
        if list(messages[:seen]) != self._seen:  # equal objects are compared by identity first
            self._seen, self._ids, seen = [], set(), 0
        for message in messages[seen:]:
            self._seen.append(message)
            self._ids |= {chunks.decode("utf-8", "replace") for chunks in self._ANSWERED.findall(message)}
        return self._ids
