"""The demo model as an endpoint: a transport underneath the real SDK client.

The wire is faked, not the client: requests are parsed from their bytes, replies are streamed chat completions. It is a
scripted engineer for tabular tasks (see `harness/demo/`), *not an LLM*, and says so in every reply.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2

from harness.demo import DEMO_BASE_URL, DEMO_LABEL, DEMO_MODEL
from harness.demo.agent import next_message
from harness.demo.ideas import Idea, default_ideas

__all__ = ["DEMO_BASE_URL", "DEMO_LABEL", "DEMO_MODEL", "DemoTransport"]

BYTES_A_TOKEN = 4
FRAGMENTS = 3


class DemoTransport(httpx2.BaseTransport):
    """Answers `POST …/chat/completions` (streamed or whole) and `GET …/models`; anything else with an API error.

    Stateless: the same request bytes always get the same reply bytes. `ideas` are what it may try, in order; a test
    can give tiny quick ones.
    """

    def __init__(self, ideas: tuple[Idea, ...] | None = None) -> None:
        self.ideas = ideas or default_ideas()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Serves one request; never raises for what a client may send."""
        path = request.url.path.rstrip("/")
        if request.method == "GET" and path.endswith("/models"):
            model = {"id": DEMO_MODEL, "object": "model", "created": 0, "owned_by": DEMO_LABEL}
            return httpx2.Response(200, json={"object": "list", "data": [model]})
        if request.method != "POST" or not path.endswith("/chat/completions"):
            return refusal(404, f"the {DEMO_LABEL} serves /chat/completions and /models only")
        try:
            body = json.loads(request.read())
            messages, tools = list(body["messages"]), list(body.get("tools") or [])
            message = next_message(messages, tools, self.ideas)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            return refusal(400, f"the {DEMO_LABEL} cannot read this request: {type(problem).__name__}: {problem}")
        usage = estimate_usage(len(request.content), messages, message)
        name = f"demo-{len(messages)}"
        if not body.get("stream"):
            return httpx2.Response(200, json=completion(name, message, usage))
        lines = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks(name, message, usage)]
        content = "".join([*lines, "data: [DONE]\n\n"]).encode()
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content)


def refusal(status: int, text: str) -> httpx2.Response:
    """An error in the API's own form."""
    return httpx2.Response(status, json={"error": {"message": text, "type": "invalid_request_error", "code": status}})


def estimate_usage(request_bytes: int, messages: Sequence[dict[str, Any]], reply: dict[str, Any]) -> dict[str, Any]:
    """Token counts, estimated at four bytes a token; cached is what the previous request of this attempt held."""
    last = next((i for i in range(len(messages) - 1, -1, -1) if messages[i].get("role") == "assistant"), None)
    new_bytes = request_bytes if last is None else len(json.dumps(messages[last:], ensure_ascii=False).encode())
    prompt = request_bytes // BYTES_A_TOKEN
    written = len(json.dumps(reply, ensure_ascii=False).encode()) // BYTES_A_TOKEN
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": max(0, request_bytes - new_bytes) // BYTES_A_TOKEN},
        "completion_tokens_details": {"reasoning_tokens": len(reply["reasoning_content"]) // BYTES_A_TOKEN},
    }


def finish_reason(message: dict[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def completion(name: str, message: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
    """The reply in one piece, for a client that does not stream."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(message)}
    return {
        "id": name,
        "object": "chat.completion",
        "created": 0,
        "model": DEMO_MODEL,
        "choices": [choice],
        "usage": usage,
    }


def chunks(name: str, message: dict[str, Any], usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The reply as a stream: thoughts, words, each call's name and then its arguments in pieces, the end, the usage."""
    base = {"id": name, "object": "chat.completion.chunk", "created": 0, "model": DEMO_MODEL}
    for delta in deltas(message):
        yield {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason(message)}]}
    yield {**base, "choices": [], "usage": usage}


def deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The message in pieces: few, since each costs the client work, yet enough that a reader must join them."""
    yield {"role": "assistant", "content": ""}
    yield from ({"reasoning_content": piece} for piece in pieces(message["reasoning_content"]))
    yield from ({"content": piece} for piece in pieces(message["content"]))
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        head = {
            "index": index,
            "id": call["id"],
            "type": "function",
            "function": {"name": function["name"], "arguments": ""},
        }
        yield {"tool_calls": [head]}
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def pieces(text: str) -> list[str]:
    """The text cut into at most `FRAGMENTS` pieces that join to it again."""
    step = max(1, -(-len(text) // FRAGMENTS))
    return [text[start : start + step] for start in range(0, len(text), step)]
