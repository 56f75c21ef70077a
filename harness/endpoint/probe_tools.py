"""Two questions of the probe that decide whether a run makes sense: where a tool call arrives, and whether a long
prompt does. And what `/models` says of the model: its context and, at OpenRouter, its price."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from harness.endpoint.errors import EndpointRefused, ModelError, TransientFailure
from harness.endpoint.stream import RawReply
from harness.parsing.coerce import ToolSpec
from harness.parsing.reply import read_reply

Arrival = Literal["native", "no_arguments", "text", "unread", "none", "refused"]
"""Where a tool call arrived: in `tool_calls`, there without its arguments, in the text, in the text and not readable,
not at all, or the server refuses tools."""

ASK_FOR_A_CALL = {"role": "user", "content": "Call the tool `look` with the path `data`. Write nothing else."}
CALL_TOKENS = 512
LONG_TOKENS = 10_000
"""Size of the long prompt: more than the windows to which servers truncate by default (4,096 and 8,192)."""
_CONTEXT_KEYS = ("max_model_len", "context_length", "max_context_length", "context_window", "n_ctx")


def arrival_of(reply: RawReply | ModelError | TransientFailure, tool: ToolSpec) -> tuple[Arrival | None, str]:
    """Where the call arrived, and its dialect or the words of a refusal; None if the question stays open."""
    if isinstance(reply, EndpointRefused):
        return ("refused", str(reply)) if "tool" in str(reply).lower() else (None, "")
    if isinstance(reply, Exception):
        return None, ""
    read = read_reply(reply.message, reply.finish_reason, [tool])
    if read.dialect or read.unread_dialect:
        return "text" if any(not call.problem for call in read.calls) else "unread", read.dialect or read.unread_dialect
    if read.calls:
        return ("no_arguments" if all(call.is_empty for call in read.calls) else "native"), ""
    # A model that is still thinking at the limit has not answered.
    return (None if reply.finish_reason == "length" else "none"), ""


def long_prompt(story: str) -> dict[str, Any]:
    """A user message of about `LONG_TOKENS` tokens."""
    times = LONG_TOKENS * 4 // len(story)
    return {"role": "user", "content": f"{story * times} Say ok."}


def truncation_of(counted: int | None, short_bytes: int, short_tokens: int | None, long_bytes: int) -> int | None:
    """The length to which the server cut the long prompt; None if it did not, or does not count."""
    if not counted or not short_tokens:
        return None
    expected = short_tokens * long_bytes / short_bytes
    does_count = counted > 1.4 * short_tokens  # some servers report the same number for every prompt
    return counted if does_count and counted < 0.6 * expected else None


def listed_facts(body: bytes, model: str) -> tuple[int | None, tuple[float, float, float] | None]:
    """The context in tokens and the prices in dollars per million that `/models` lists for a model."""
    try:
        entries = [entry for entry in json.loads(body)["data"] if isinstance(entry, dict) and entry.get("id") == model]
    except (ValueError, KeyError, TypeError):
        return None, None
    if not entries:
        return None, None
    sizes = [entries[0].get(key) for key in _CONTEXT_KEYS]
    context = next((int(size) for size in sizes if isinstance(size, int) and 0 < size < 100_000_000), None)
    return context, _prices(entries[0].get("pricing"))


def _prices(listed: Any) -> tuple[float, float, float] | None:
    if not isinstance(listed, Mapping):
        return None
    try:
        given, output = float(listed["prompt"]) * 1e6, float(listed["completion"]) * 1e6
        cached = float(listed.get("input_cache_read") or listed["prompt"]) * 1e6
    except (KeyError, TypeError, ValueError):
        return None
    is_sane = all(0 <= price < 10_000 for price in (given, cached, output))
    return (round(given, 6), round(cached, 6), round(output, 6)) if is_sane else None
