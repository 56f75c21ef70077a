"""The demo model as an HTTP transport below the real client: requests are parsed from bytes, replies are streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2

from harness.demo import DEMO_BASE_URL, DEMO_LABEL, DEMO_MODEL
from harness.demo.agent import next_message
from harness.demo.solutions import Idea, default_ideas

__all__ = ["DEMO_BASE_URL", "DEMO_LABEL", "DEMO_MODEL", "DemoTransport"]

_BYTES_PER_TOKEN = 4
_FRAGMENTS = 3
"""Pieces of a text in the stream: few, since each costs the client work, but enough that a reader must join them."""


class DemoTransport(httpx2.BaseTransport):
    """Answers `POST …/chat/completions` with a stream, and anything else with an API error.

    Stateless: equal requests get equal replies. `ideas` are what the demo model may try, in order.
    """

    def __init__(self, ideas: tuple[Idea, ...] | None = None) -> None:
        self.ideas = ideas or default_ideas()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Serve one request. Never raises for what a client may send."""
        if request.method != "POST" or not request.url.path.rstrip("/").endswith("/chat/completions"):
            return _error(404, f"the {DEMO_LABEL} serves /chat/completions only")
        try:
            body = json.loads(request.read())
            messages, tools = list(body["messages"]), list(body.get("tools") or [])
            message = next_message(messages, tools, self.ideas)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _error(400, f"the {DEMO_LABEL} cannot read this request: {type(error).__name__}: {error}")
        usage = _estimate_usage(len(request.content), messages, message)
        chunks = _chunks(f"demo-{len(messages)}", message, usage)
        lines = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks]
        content = "".join([*lines, "data: [DONE]\n\n"]).encode()
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content)


def _error(status: int, text: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": text, "type": "invalid_request_error", "code": status}})


def _estimate_usage(request_bytes: int, messages: Sequence[dict[str, Any]], reply: dict[str, Any]) -> dict[str, Any]:
    """Token counts at four bytes a token. Cached is what the previous request of this attempt contained."""
    last = max((index for index, message in enumerate(messages) if message.get("role") == "assistant"), default=None)
    new_bytes = request_bytes if last is None else len(json.dumps(messages[last:], ensure_ascii=False).encode())
    prompt = request_bytes // _BYTES_PER_TOKEN
    completion = len(json.dumps(reply, ensure_ascii=False).encode()) // _BYTES_PER_TOKEN
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": max(0, request_bytes - new_bytes) // _BYTES_PER_TOKEN},
        "completion_tokens_details": {"reasoning_tokens": len(reply["reasoning_content"]) // _BYTES_PER_TOKEN},
    }


def _chunks(name: str, message: dict[str, Any], usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The reply as a stream: its deltas, the finish reason, the usage."""
    base = {"id": name, "object": "chat.completion.chunk", "created": 0, "model": DEMO_MODEL}
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    for delta in _deltas(message):
        yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    yield {**base, "choices": [], "usage": usage}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for key in ("reasoning_content", "content"):
        yield from ({key: piece} for piece in _split(message[key]))
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        yield {"tool_calls": [{**call, "index": index, "function": {"name": function["name"], "arguments": ""}}]}
        for piece in _split(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _split(text: str) -> list[str]:
    size = max(1, -(-len(text) // _FRAGMENTS))
    return [text[start : start + size] for start in range(0, len(text), size)]
