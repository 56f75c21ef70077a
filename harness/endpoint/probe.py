"""Tests with a few cheap calls how an endpoint behaves, before a long run relies on it.

Every question may stay open: its answer is then None, never an error. Only an endpoint that does not answer at all
raises (see `endpoint/errors.py`). Whether reasoning is kept is seen in `prompt_tokens`, as counted by the endpoint.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from harness.endpoint.cost import cost_of, counted
from harness.endpoint.errors import ContextOverflow, EndpointRefused, ModelError, TransientFailure, named_limit
from harness.endpoint.extras import Extras
from harness.endpoint.probe_result import LateMessage, ProbeResult, profile_digest, store_probe
from harness.endpoint.probe_tools import (
    ASK_FOR_A_CALL,
    CALL_TOKENS,
    arrival_of,
    listed_facts,
    long_prompt,
    truncation_of,
)
from harness.endpoint.profiles import Profile, ThinkingField
from harness.endpoint.request_body import refused_fields, request_body
from harness.parsing.coerce import ToolSpec
from harness.parsing.reasoning import CONTENT, NONE, split_reasoning, text_of, with_reasoning

if TYPE_CHECKING:
    from harness.endpoint.connection import Connection
    from harness.endpoint.stream import RawReply

NO_EXTRAS = Extras()
FIRST_PATIENCE_SECONDS = 10.0
ASKED_PATIENCE_SECONDS = 3600.0
"""How long to wait for an endpoint that says when to come back."""
ALL_SECONDS = 240.0
CALL_SECONDS = 60.0
OUTPUT_SECONDS = 20.0
TRIES = 2

_SHOWN = 40
"""Prompt tokens that `_NOTE` must add to count as read."""

_THOUGHT_SHOWN = 150
"""Prompt tokens that `_THOUGHT` must add or remove to count as kept or lost."""

_SYSTEM: dict[str, Any] = {"role": "system", "content": "You work through tools. Think briefly, answer in one word."}
_PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_TOOLS = [{"type": "function", "function": {"name": "look", "description": "List.", "parameters": _PARAMETERS}}]
# Over 512 tokens, because shorter prompts are not cached.
_STORY = " ".join(f"Row {n} of the table holds {n * 37 % 101} and {n * 53 % 89}." for n in range(60))
_TASK = {"role": "user", "content": f"{_STORY} What does the folder hold? Look, then answer in one word."}
_THOUGHT = " ".join(f"The folder may hold a table of {n} rows, so I shall look." for n in range(30))
_NOTE = " ".join(f"Mind that table {n} is an old one." for n in range(12))
_FUNCTION = {"name": "look", "arguments": '{"path": "."}'}
_CALLING = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "look_1", "type": "function", "function": _FUNCTION}],
}
_RESULT = {"role": "tool", "tool_call_id": "look_1", "content": "train.csv"}
_THINKING: tuple[ThinkingField, ...] = get_args(ThinkingField)
_LOOK = ToolSpec("look", "List.", _PARAMETERS, is_reversible=True)
_HELLO = {"role": "user", "content": "Say ok."}


def probe_endpoint(
    profile: Profile,
    base_url: str,
    api_key: str = "",
    extras: Extras = NO_EXTRAS,
    sleep: Callable[[float], None] = time.sleep,
    tell: Callable[[str], object] = lambda _: None,
) -> ProbeResult:
    """Ask an endpoint about ten short questions. Takes seconds, at most a few minutes.

    `tell` gets a sentence before each wait. Raises a `ModelError` if it answers none of them.
    """
    from harness.endpoint.client import RetryPolicy, open_model
    from harness.endpoint.connection import Connection

    brief = replace(profile, output_tokens=32)
    patience = RetryPolicy(stall=CALL_SECONDS, longest_wait=8.0)
    first = open_model(brief, base_url, api_key, patience=patience, extras=extras, sleep=sleep)
    try:
        hello = first.complete(
            b"",
            b"[]",
            [_bytes(_HELLO)],
            on_wait=lambda error, seconds, _: tell(f"waiting {seconds:.0f} s for {base_url}: {error}"),
            wall_seconds=2 * CALL_SECONDS,
            patience_seconds=FIRST_PATIENCE_SECONDS,
            asked_patience_seconds=ASKED_PATIENCE_SECONDS,
        )
    finally:
        first.close()
    connection = Connection(
        profile.model,
        base_url,
        api_key,
        None,
        extras=extras,
        style=profile.stream,
        stall_seconds=CALL_SECONDS,
        connect_seconds=10.0,
    )
    try:
        return _Probe(profile, connection, sleep, set(first.retries.dropped), hello.retries + 1, hello.cost).result()
    finally:
        connection.close()


def probe_and_store(
    home: Path,
    profile: Profile,
    base_url: str,
    api_key: str = "",
    extras: Extras = NO_EXTRAS,
    tell: Callable[[str], object] = lambda _: None,
) -> ProbeResult:
    """Probe an endpoint and store the result under `home`. Raises a `ModelError` if the endpoint does not answer."""
    result = probe_endpoint(profile, base_url, api_key, extras, tell=tell)
    store_probe(home, base_url, result)
    return result


@dataclass
class _Probe:
    """A probe in progress: the fields dropped from requests so far, and every complete reply."""

    profile: Profile
    connection: Connection
    sleep: Callable[[float], None]
    dropped: set[str]
    calls: int
    cost: float
    replies: list[RawReply] = field(default_factory=list)
    until: float = field(default_factory=lambda: time.monotonic() + ALL_SECONDS)

    def result(self) -> ProbeResult:
        arrival, words = arrival_of(self.ask([ASK_FOR_A_CALL], tokens=CALL_TOKENS), _LOOK)
        context, prices = listed_facts(self.connection.list_models(), self.profile.model)
        bare = self.prompt_tokens(self.ask([_TASK, _CALLING, _RESULT]))
        back, not_counted, best = self.thinking_back(bare)
        kept = [_TASK, self.thinking(back) if back not in (None, NONE) else _CALLING, _RESULT]
        late_user = self.late(kept, "user", best)
        late_system = self.late(kept, "system", best)
        despite, refuses_unknown = self.calls_despite_none()
        output = self.output()
        broken = self.broken_history()
        truncated = self.truncation(bare)
        usages = [reply.usage for reply in self.replies]
        styles = {reply.style for reply in self.replies}
        cached = [usage["prompt_tokens_details"] for usage in usages if _tells_cached(usage)]
        return ProbeResult(
            address=self.connection.address,
            model=self.profile.model,
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            profile=profile_digest(self.profile),
            calls=self.calls,
            cost=round(self.cost, 6),
            thinking_from=self.thinking_from(),
            thinking_back=back,
            not_counted=not_counted,
            late_user=late_user,
            late_system=late_system,
            reports_usage=any(usage.get("prompt_tokens") for usage in usages) if usages else None,
            reports_cached=bool(cached) if usages else None,
            cached_tokens=max((int(candidate["cached_tokens"]) for candidate in cached), default=0),
            is_cumulative=False if "delta" in styles else True if "cumulative" in styles else None,
            sends_done=any(reply.has_done for reply in self.replies) if self.replies else None,
            calls_despite_none=despite,
            refuses_unknown_fields=refuses_unknown,
            refused_fields=tuple(sorted(self.dropped & set(_fields(self.profile)))),
            broken_history=broken,
            tool_calls=arrival,
            tool_words=words,
            truncates_at=truncated,
            prices=prices,
            **{**output, "context_limit": min(filter(None, (output.get("context_limit"), context)), default=None)},
        )

    # ------------------------------------------------------------------------------------------------------- asking

    def ask(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tokens: int = 16,
        extra: Mapping[str, Any] | None = None,
        tools: bool = True,
        tries: int = TRIES,
        wall_seconds: float = CALL_SECONDS,
    ) -> RawReply | ModelError | TransientFailure:
        """A complete reply, or the failure after a few tries."""
        asked = replace(self.profile, extra_body={**self.profile.extra_body, **(extra or {})})
        failure: ModelError | TransientFailure = TransientFailure("the time for a probe was over")
        while tries and time.monotonic() < self.until:
            body = request_body(
                asked,
                _bytes(_SYSTEM),
                json.dumps(_TOOLS).encode() if tools else b"[]",
                [_bytes(message) for message in messages],
                dropped=self.dropped,
                output_tokens=tokens,
            )
            self.calls += 1
            try:
                reply = self.connection.ask(body, max(0.1, min(wall_seconds, self.until - time.monotonic())))
            except EndpointRefused as refusal:
                named = refused_fields(asked, self.dropped, str(refusal))
                if not named or asked.output_field in named:
                    return refusal
                self.dropped |= named
            except ModelError as error:
                return error
            except TransientFailure as passing:
                failure, tries = passing, tries - 1
                if tries:
                    self.sleep(min(passing.wait_seconds or 1.0, 10.0))
            else:
                self.replies.append(reply)
                self.cost += cost_of(counted(reply.usage, len(body), len(str(reply.message))), self.profile.prices)
                return reply
        return failure

    def prompt_tokens(self, reply: RawReply | ModelError | TransientFailure) -> int | None:
        """The length of the prompt as counted by the endpoint; None if it does not report it."""
        tokens = None if isinstance(reply, Exception) else reply.usage.get("prompt_tokens")
        return tokens if isinstance(tokens, int) and tokens > 0 else None

    # -------------------------------------------------------------------------------------------------- reasoning

    def thinking_from(self) -> ThinkingField | None:
        """The field that the reasoning came in so far."""
        seen = {split_reasoning(reply.message).field for reply in self.replies}
        none_seen: ThinkingField | None = "none" if seen else None
        return next((candidate for candidate in _THINKING if candidate != NONE and candidate in seen), none_seen)

    def candidates(self) -> list[ThinkingField]:
        """The fields to send reasoning back in, the likeliest first."""
        source = self.thinking_from()
        if source is None or source == NONE:
            wanted = [self.profile.thinking_back]  # a model that shows no reasoning has none to lose
        elif source == CONTENT:
            wanted = [
                source,
                self.profile.thinking_back,
                *_THINKING,
            ]  # reasoning in the content goes back in the content
        else:
            wanted = [self.profile.thinking_back, source, *_THINKING]
        return [candidate for candidate in dict.fromkeys(wanted) if candidate != NONE]

    def thinking_back(self, bare: int | None) -> tuple[ThinkingField | None, tuple[str, ...], int | None]:
        """The field in which replayed reasoning counts, those in which it does not, and the longest prompt seen."""
        if bare is None:
            return None, (), None
        not_counted: list[str] = []
        is_open = False
        for name in self.candidates():
            reply = self.ask([_TASK, self.thinking(name), _RESULT])
            counted_tokens = self.prompt_tokens(reply)
            if counted_tokens is not None and counted_tokens - bare > _THOUGHT_SHOWN:
                return name, tuple(not_counted), counted_tokens
            if counted_tokens is None and not isinstance(reply, ModelError):
                is_open = True
            else:
                not_counted.append(name)
        is_lost = not is_open and self.thinking_from() not in (None, NONE)
        return ("none" if is_lost else None), tuple(not_counted), bare

    def thinking(self, name: str | None) -> dict[str, Any]:
        """The assistant message with reasoning in the field `name`."""
        return with_reasoning(dict(_CALLING), split_reasoning({"reasoning_content": _THOUGHT}), str(name))

    def late(self, history: Sequence[Mapping[str, Any]], role: str, before: int | None) -> LateMessage | None:
        """The effect of a user or system message after a tool result on the messages before it."""
        if before is None:
            return None
        reply = self.ask([*history, {"role": role, "content": _NOTE}])
        if isinstance(reply, ModelError):
            return "refused"
        after = self.prompt_tokens(reply)
        if after is None:
            return None
        grown = after - before
        return "costs_thinking" if grown < -_THOUGHT_SHOWN else "kept" if grown > _SHOWN else "dropped"

    # ---------------------------------------------------------------------------------------------- other behaviour

    def calls_despite_none(self) -> tuple[bool | None, bool | None]:
        """Whether it calls tools despite `tool_choice: none`, and whether it refuses an unknown field."""
        strange = "harness_probe"
        asked = self.ask([_TASK], tokens=128, extra={"tool_choice": "none", strange: True})
        refuses = strange in self.dropped
        if isinstance(asked, Exception):
            return None, refuses or None
        content = text_of(asked.message.get("content"))
        called = bool(asked.message.get("tool_calls")) or "<invoke " in content or "tool_call>" in content
        return (None if "tool_choice" in self.dropped else called), refuses

    def output(self) -> dict[str, Any]:
        """Whether it accepts the output limit that a run asks for, and the limits it names if not."""
        wanted = self.profile.output_tokens
        reply = self.ask([_HELLO], tokens=wanted, tools=False, tries=1, wall_seconds=OUTPUT_SECONDS)
        if isinstance(reply, ContextOverflow):
            return {"takes_output": False, "context_limit": reply.limit}
        if isinstance(reply, EndpointRefused):
            limit = named_limit(str(reply))
            return {"takes_output": False, "output_limit": limit if limit and limit < wanted else None}
        if isinstance(reply, Exception):
            return {"takes_output": True if getattr(reply, "was_cut", False) else None}
        return {"takes_output": True}

    def truncation(self, bare: int | None) -> int | None:
        """The length to which it cuts a long prompt without a word."""
        message = long_prompt(_STORY)
        short, long = (len(json.dumps(messages)) for messages in ([_TASK, _CALLING, _RESULT], [message]))
        counted_tokens = self.prompt_tokens(self.ask([message], tries=1)) if bare else None
        return truncation_of(counted_tokens, short, bare, long)

    def broken_history(self) -> str | None:
        """Its answer to a result without a call."""
        reply = self.ask([_TASK, _RESULT], tries=1)
        return str(reply) if isinstance(reply, Exception) else "accepted"


def _fields(profile: Profile) -> Iterable[str]:
    return ("temperature", "top_p", "top_k", "stream_options", profile.output_field, *profile.extra_body)


def _tells_cached(usage: Mapping[str, Any]) -> bool:
    details = usage.get("prompt_tokens_details")
    return isinstance(details, dict) and isinstance(details.get("cached_tokens"), int)


def _bytes(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()
