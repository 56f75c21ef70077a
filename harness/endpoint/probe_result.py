"""The result of a probe: stored for a week, shown to people, and applied to the profile of the endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from harness.endpoint.errors import shown_address
from harness.endpoint.model_families import parser_of
from harness.endpoint.probe_tools import Arrival
from harness.endpoint.profiles import Prices, Profile, ThinkingField
from harness.parsing.reasoning import CONTENT, NONE
from tasks.io.atomic import replacing

FRESH_SECONDS = 7 * 24 * 3600.0
"""How long a result is used: servers are restarted with other options."""

LateMessage = Literal["kept", "dropped", "costs_thinking", "refused"]


@dataclass(frozen=True)
class ProbeResult:
    """How an endpoint behaved in a probe. None: unknown.

    `when` is UTC (ISO), `profile` the digest of the profile used, `calls` and `cost` what the probe took.
    `thinking_from` is the field its reasoning came in, `thinking_back` the one in which it counts in the next prompt
    (`none`: it is dropped in every field of `not_counted`). `late_user` and `late_system` are the effect of such a
    message after a tool result. `output_limit` and `context_limit` are in tokens, if it named them; `takes_output`
    tells whether it accepts the output limit of the profile. `broken_history` is its answer to a result without a call.
    `tool_calls` is where a call arrived, `tool_words` its dialect or the words of a refusal. `truncates_at` is the
    length to which it silently cuts a long prompt, `prices` what its list of models says (input, cached, output).
    """

    address: str
    model: str
    when: str
    profile: str
    calls: int = 0
    cost: float = 0.0
    thinking_from: ThinkingField | None = None
    thinking_back: ThinkingField | None = None
    not_counted: tuple[str, ...] = ()
    late_user: LateMessage | None = None
    late_system: LateMessage | None = None
    reports_usage: bool | None = None
    reports_cached: bool | None = None
    cached_tokens: int = 0
    is_cumulative: bool | None = None
    sends_done: bool | None = None
    takes_output: bool | None = None
    output_limit: int | None = None
    context_limit: int | None = None
    calls_despite_none: bool | None = None
    refuses_unknown_fields: bool | None = None
    refused_fields: tuple[str, ...] = ()
    broken_history: str | None = None
    tool_calls: Arrival | None = None
    tool_words: str = ""
    truncates_at: int | None = None
    prices: tuple[float, float, float] | None = None

    @property
    def loses_thinking(self) -> bool:
        """Whether it shows reasoning and drops it at the next call in every field."""
        return self.thinking_from not in (None, NONE) and self.thinking_back == NONE


def apply_probe(profile: Profile, probe: ProbeResult) -> Profile:
    """The profile with the results of the probe. A `thinking_back` of `none` was set by the user and stays."""
    changes: dict[str, Any] = {}
    if probe.prices and not profile.prices.is_known:
        changes["prices"] = Prices(*probe.prices, source="the endpoint's list of models")
    if probe.thinking_from not in (None, NONE):
        changes["thinking_from"] = probe.thinking_from
        if probe.thinking_back not in (None, NONE) and profile.thinking_back != NONE:
            changes["thinking_back"] = probe.thinking_back
    if probe.is_cumulative and profile.stream == "auto":
        changes["stream"] = "cumulative"
    limits = [profile.output_tokens, *([probe.output_limit] if probe.output_limit else [])]
    if probe.context_limit:
        changes["context_tokens"] = min(profile.context_tokens, probe.context_limit)
        limits.append(max(1, probe.context_limit // 4))  # the window needs room besides the longest reply
    refused = set(probe.refused_fields)
    changes |= {name: None for name in ("temperature", "top_p", "top_k") if name in refused}
    changes["extra_body"] = {key: value for key, value in profile.extra_body.items() if key not in refused}
    changes["asks_usage"] = profile.asks_usage and "stream_options" not in refused
    return replace(profile, output_tokens=min(limits), **changes)


# -------------------------------------------------------------------------------------------------------- storage


def load_probe(home: Path, base_url: str, profile: Profile) -> ProbeResult | None:
    """The result of a probe with the same profile in the last week, if there is one."""
    try:
        stored = parse_probe(json.loads(_path(home, base_url, profile.model).read_bytes()))
        age = (datetime.now(UTC) - datetime.fromisoformat(stored.when)).total_seconds() if stored else FRESH_SECONDS
    except (OSError, ValueError, TypeError):
        return None
    return stored if stored and stored.profile == profile_digest(profile) and 0 <= age < FRESH_SECONDS else None


def store_probe(home: Path, base_url: str, result: ProbeResult) -> None:
    """Store a result for later runs."""
    path = _path(home, base_url, result.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")


def parse_probe(fields: Mapping[str, Any] | None) -> ProbeResult | None:
    """A result from its JSON fields; None if they do not fit (written by another version)."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(ProbeResult).validate_python(fields)
    except ValidationError:
        return None


def _path(home: Path, base_url: str, model: str) -> Path:
    name = hashlib.sha256(f"{shown_address(base_url).rstrip('/')}\n{model}".encode()).hexdigest()[:16]
    return home / "probes" / f"{name}.json"


def profile_digest(profile: Profile) -> str:
    """A digest of the profile: a probe with another profile asks other questions."""
    return hashlib.sha256(json.dumps(asdict(profile), sort_keys=True, default=str).encode()).hexdigest()[:16]


# ------------------------------------------------------------------------------------------------------- for people


def probe_lines(result: ProbeResult) -> list[str]:
    """The result as lines for people; open questions are called unknown."""
    spent = f", about ${result.cost:.4f}" if result.cost else ""
    return [
        f"tried {result.when} with {result.calls} short calls{spent}",
        f"tool calls: {_tool_line(result)}",
        *([f"silently CUTS long prompts to {result.truncates_at:,} tokens"] if result.truncates_at else []),
        f"reasoning: {_thinking_line(result)}",
        f"late messages: a user message {_LATE[result.late_user]}; a system message {_LATE[result.late_system]}",
        f"counts tokens: {_yes(result.reports_usage)}; cached ones: {_cached_line(result)}",
        f"stream: {_STREAM[result.is_cumulative]}; ends with [DONE]: {_yes(result.sends_done)}",
        f"output limit: {_output_line(result)}",
        f"calls tools despite tool_choice none: {_yes(result.calls_despite_none)}",
        f"refuses unknown fields: {_yes(result.refuses_unknown_fields)}"
        + (f"; refused of ours: {', '.join(result.refused_fields)}" if result.refused_fields else ""),
        f"a result without a call in the history: {_unknown(result.broken_history)}",
    ]


_LATE: dict[LateMessage | None, str] = {
    "kept": "is read",
    "dropped": "is dropped silently",
    "costs_thinking": "makes it drop the reasoning before it",
    "refused": "is refused",
    None: "has an unknown effect",
}
_STREAM = {True: "cumulative", False: "deltas", None: "unknown"}


def _tool_line(result: ProbeResult) -> str:
    parser = parser_of(result.tool_words)
    advice = f"; start the server with --tool-call-parser {parser}" if parser else ""
    lines: dict[Arrival | None, str] = {
        "native": "arrive as tool calls",
        "no_arguments": "arrive WITHOUT arguments: the server's parser is that of another model",
        "text": f"arrive in the text, in the syntax {result.tool_words}, and are read from it{advice}",
        "unread": f"arrive in the text, in the syntax {result.tool_words}, and cannot be read{advice}",
        "none": "none came when one was asked for",
        "refused": f"REFUSED: {result.tool_words}",
        None: "unknown",
    }
    return lines[result.tool_calls]


def _thinking_line(result: ProbeResult) -> str:
    if result.thinking_from is None:
        return "unknown"
    if result.thinking_from == NONE:
        return "none shown"
    lost = f" (not counted in {', '.join(result.not_counted)})" if result.not_counted else ""
    if result.thinking_back == NONE:
        return f"comes in {result.thinking_from} and is DROPPED when it is sent back{lost}"
    where = {None: "unknown whether it is kept", CONTENT: "kept when sent back inside content, between <think> tags"}
    return (
        f"comes in {result.thinking_from}, {where.get(result.thinking_back, f'kept in {result.thinking_back}')}{lost}"
    )


def _cached_line(result: ProbeResult) -> str:
    if not result.reports_cached:
        return "not reported" if result.reports_cached is False else "unknown"
    return f"reported, up to {result.cached_tokens} seen"


def _output_line(result: ProbeResult) -> str:
    answers = {True: "the limit of a run is accepted", False: "the limit of a run is refused", None: "unknown"}
    named = [f"{result.output_limit} tokens"] if result.output_limit else []
    named += [f"a context of {result.context_limit} tokens"] if result.context_limit else []
    return ", ".join([answers[result.takes_output], *named])


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _unknown(text: str | None) -> str:
    return "unknown" if text is None else text
