"""Token usage and cost of a reply, as counted by the endpoint, else estimated and marked so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.endpoint.profiles import Prices
from runs.events.registry import Usage

_ABSURD_DOLLARS = 1_000.0
"""No single reply costs that much."""

BYTES_PER_TOKEN = 3
"""Estimate for endpoints that do not count. Four would underestimate tables of numbers by half."""


def cost_of(usage: Usage, prices: Prices, reported: Mapping[str, Any] | None = None) -> float:
    """Dollars for `usage`: what the endpoint says it charged (OpenRouter), else cached prompt tokens at their price."""
    charged = (reported or {}).get("cost")
    if isinstance(charged, (int, float)) and not isinstance(charged, bool) and 0 < charged < _ABSURD_DOLLARS:
        return float(charged)
    cached = min(usage.cached, usage.prompt)
    millionths = (usage.prompt - cached) * prices.input + cached * prices.cached + usage.completion * prices.output
    return millionths / 1_000_000


def estimated(sent_bytes: int, received_bytes: int) -> Usage:
    """Usage estimated from the sizes of request and reply, with nothing cached."""
    return Usage(prompt=_tokens(sent_bytes), completion=_tokens(received_bytes), estimated=True)


def counted(reported: Mapping[str, Any], sent_bytes: int, received_bytes: int) -> Usage:
    """Usage as the endpoint reports it. Missing and zero counts are estimated, and the usage is marked so."""
    prompt, completion = _number(reported.get("prompt_tokens")), _number(reported.get("completion_tokens"))
    total = _number(reported.get("total_tokens"))
    if total and prompt and not completion:
        completion = max(0, total - prompt)
    elif total and completion and not prompt:
        prompt = max(0, total - completion)
    return Usage(
        prompt=prompt or _tokens(sent_bytes),
        cached=min(_cached(reported), prompt),
        completion=completion or _tokens(received_bytes),
        estimated=not (prompt and (completion or not received_bytes)),
    )


def _cached(reported: Mapping[str, Any]) -> int:
    details = reported.get("prompt_tokens_details")
    inside = details.get("cached_tokens") if isinstance(details, dict) else None
    names = (inside, reported.get("cached_tokens"), reported.get("prompt_cache_hit_tokens"))
    return next((_number(one) for one in names if _number(one)), 0)


def _number(value: Any) -> int:
    """A count of tokens; 0 for an invalid one (text, negative, not finite)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return int(value) if 0 <= value < 1e12 else 0


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
