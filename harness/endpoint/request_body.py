"""The bytes of a chat request.

It is joined from fragments that were serialised once (the SDK needs 0.2 ms of CPU per message), messages first, so that
two requests of an epoch share their longest prefix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from harness.endpoint.profiles import Profile

_ESSENTIAL = ("model", "stream")


class Body:
    """The bytes of a request in fragments, sent in parts of about `PART` bytes.

    A window has megabytes and grows every turn; joined copies would fragment memory and make the process grow.
    """

    PART = 65_536

    def __init__(self, fragments: tuple[bytes, ...]) -> None:
        self._fragments = fragments
        self._size = sum(map(len, fragments))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._fragments)

    def __iter__(self) -> Iterator[bytes]:
        start = size = 0
        for end, fragment in enumerate(self._fragments, 1):
            size += len(fragment)
            if size >= self.PART or end == len(self._fragments):
                yield b"".join(self._fragments[start:end])
                start, size = end, 0


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
    body = [b'{"messages":[']
    for message in ([system] if system else []), messages:
        for item in message:
            fragment = _with_reasoning_field(item, profile) if profile.replays_empty else item
            body += [b",", fragment] if len(body) > 1 else [fragment]
    body.append(b"]")
    if tools.strip() not in (b"", b"[]"):
        body += [b',"tools":', tools]
    rest = json.dumps(_options(profile, dropped, output_tokens), ensure_ascii=False, separators=(",", ":"))
    return Body((*body, b",", rest[1:].encode()))


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
