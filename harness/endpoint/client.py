"""The client of the model: one retry policy around one connection, and the reply with its cost.

The errors it raises are listed in `endpoint/errors.py`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.endpoint.cost import cost_of, counted, estimated
from harness.endpoint.errors import (
    ContextOverflow,
    EndpointRefused,
    EndpointUnreachable,
    HistoryRejected,
    ModelError,
    TransientFailure,
)
from harness.endpoint.extras import Extras
from harness.endpoint.profiles import Profile
from harness.endpoint.request_body import AnsweredIds, Body, refused_fields, request_body
from harness.endpoint.retry_policy import RetryPolicy
from harness.endpoint.stream import RawReply
from runs.events.registry import Call, Usage

if TYPE_CHECKING:
    import httpx2

    from harness.endpoint.connection import Connection
    from harness.parsing.reply import ToolSpec

__all__ = [
    "ContextOverflow", "EndpointRefused", "EndpointUnreachable", "HistoryRejected", "ModelError", "RetryPolicy",
    "open_model",
]  # fmt: skip

NO_EXTRAS = Extras()
OnWait = Callable[[str, float, float], None]
_HELLO = b'{"role":"user","content":"Say ok."}'


@dataclass(frozen=True)
class Reply:
    """A complete reply.

    `message` is the canonical assistant message for the history as JSON; `raw` the message as received, only if it was
    repaired. `lost_cost` is the estimated cost of failed tries in dollars; `cost` includes the part of it that
    `on_wait` did not get. `usage` is of this reply alone. `dialect` is the syntax of calls that came as text,
    `unread_dialect` the one whose marks stand in a text without a call.
    """

    message: str
    calls: tuple[Call, ...]
    text: str
    thinking: str
    finish_reason: str
    usage: Usage
    cost: float
    seconds: float
    retries: int
    raw: str = ""
    lost_cost: float = 0.0
    dialect: str = ""
    unread_dialect: str = ""


def open_model(
    profile: Profile,
    base_url: str,
    api_key: str = "",
    transport: httpx2.BaseTransport | None = None,
    *,
    tools: Sequence[ToolSpec] = (),
    patience: RetryPolicy | None = None,
    extras: Extras = NO_EXTRAS,
    sleep: Callable[[float], None] = time.sleep,
) -> Model:
    """A client for `profile.model` at `base_url`. Calls are checked against `tools`.

    `transport` replaces the network (the demo model). Raises `EndpointRefused` for a key or an address that no
    request can carry.
    """
    from harness.endpoint.connection import Connection

    patience = patience or RetryPolicy()
    connection = Connection(
        profile.model,
        base_url,
        api_key,
        transport,
        extras=extras,
        style=profile.stream,
        stall_seconds=patience.stall,
        connect_seconds=patience.connect,
    )
    return Model(profile, connection, tools, patience, sleep)


@dataclass
class _Request:
    """One call in progress: the request, and the results of its tries so far."""

    system: bytes
    tools: bytes
    messages: Sequence[bytes]
    wall_seconds: float
    on_wait: OnWait | None
    on_bytes: Callable[[int], None]
    on_again: Callable[[], object]
    body: Body = field(default_factory=lambda: Body(()))
    tries: int = 0
    cuts: int = 0
    silent: int = 0
    lost_cost: float = 0.0
    reported_cost: float = 0.0
    may_spend: float = math.inf
    permanent_signs: int = 0
    output_tokens: int | None = None
    repeats: dict[str, int] = field(default_factory=dict)


class Model:
    """A client for one endpoint and a whole run: keeps the connection and what it learned.

    `dropped` are optional request fields that the endpoint refused; they are not sent any more.
    """

    def __init__(
        self,
        profile: Profile,
        connection: Connection,
        tools: Sequence[ToolSpec],
        patience: RetryPolicy,
        sleep: Callable[[float], None],
    ) -> None:
        self.profile = profile
        self.dropped: set[str] = set()
        self._connection = connection
        self._address = connection.address
        self._tools = tools
        self._patience = patience
        self._sleep = sleep
        self._taken = AnsweredIds()
        self._has_answered = False

    def __repr__(self) -> str:
        return f"Model({self.profile.model!r} at {self._address})"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def complete(
        self,
        system: bytes,
        tools: bytes,
        messages: Sequence[bytes],
        *,
        on_wait: OnWait | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
        on_again: Callable[[], object] = lambda: None,
        wall_seconds: float = 1800.0,
        patience_seconds: float = 6 * 3600.0,
        may_spend: float = math.inf,
    ) -> Reply:
        """Ask for one reply and wait until it is complete. Raises a `ModelError`.

        `system` and each of `messages` is a JSON object, `tools` a JSON array, as bytes. One try may take
        `wall_seconds`; transient failures are retried for `patience_seconds`. Before each wait `on_wait` gets the
        failure, the seconds and the estimated cost (it may raise to stop); `on_again` is called before each retry, and
        `on_bytes` gets the bytes received. No further try is made once failed ones have cost `may_spend` dollars.
        """
        begun = time.monotonic()
        ask = _Request(system, tools, messages, wall_seconds, on_wait, on_bytes, on_again, may_spend=may_spend)
        self._write_body(ask)
        try:
            raw = self._retry(ask, patience_seconds)
        except ModelError as error:
            error.cost = ask.lost_cost - ask.reported_cost
            raise
        self._has_answered = True
        return self._reply(ask, raw, time.monotonic() - begun)

    def _write_body(self, ask: _Request) -> None:
        ask.body = request_body(
            self.profile, ask.system, ask.tools, ask.messages, dropped=self.dropped, output_tokens=ask.output_tokens
        )

    def _reply(self, ask: _Request, raw: RawReply, seconds: float) -> Reply:
        from harness.parsing.json_text import dumps
        from harness.parsing.reply import canonical_message, read_reply

        reading = read_reply(
            raw.message,
            raw.finish_reason,
            self._tools,
            seed=str(len(ask.messages)),
            taken=self._taken.of(ask.messages),
            family=self.profile.dialect,
        )
        as_received = json.dumps({k: v for k, v in raw.message.items() if v is not None}, ensure_ascii=False)
        usage = counted(raw.usage, len(ask.body), len(as_received.encode()))
        return Reply(
            message=dumps(canonical_message(reading, self.profile.thinking_back)),
            calls=reading.calls,
            text=reading.text,
            thinking=reading.thinking,
            finish_reason=raw.finish_reason,
            usage=usage,
            cost=cost_of(usage, self.profile.prices, raw.usage) + (ask.lost_cost - ask.reported_cost),
            seconds=seconds,
            retries=ask.tries - 1,
            raw=as_received if reading.repaired else "",
            lost_cost=ask.lost_cost,
            dialect=reading.dialect,
            unread_dialect=reading.unread_dialect,
        )

    # ------------------------------------------------------------------------------------------------ retry policy

    def _retry(self, ask: _Request, patience_seconds: float) -> RawReply:
        from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay
        from tenacity.wait import wait_random_exponential

        backoff = wait_random_exponential(multiplier=self._patience.first_wait, max=self._patience.longest_wait)

        def failure(state: RetryCallState) -> BaseException | None:
            return state.outcome.exception() if state.outcome else None

        def wait(state: RetryCallState) -> float:
            asked = getattr(failure(state), "wait_seconds", None)
            # What the endpoint asks for, however long, and a little more so that it is really over.
            return backoff(state) if asked is None else asked + min(1.0, self._patience.first_wait)

        def report(state: RetryCallState) -> None:
            if ask.on_wait is not None:
                untold, ask.reported_cost = ask.lost_cost - ask.reported_cost, ask.lost_cost
                ask.on_wait(str(failure(state)), state.upcoming_sleep, untold)

        def sleep(seconds: float) -> None:
            self._sleep(seconds)
            ask.on_again()

        policy = Retrying(
            retry=retry_if_exception_type(TransientFailure),
            wait=wait,
            stop=stop_before_delay(patience_seconds),
            before_sleep=report,
            sleep=sleep,
            reraise=True,
        )
        try:
            return policy(self._try, ask)
        except TransientFailure as last:
            asks = f"; it asks to wait {_duration_text(last.wait_seconds)}" if last.wait_seconds else ""
            raise EndpointUnreachable(
                f"no reply from {self._address} within {_duration_text(patience_seconds)} ({ask.tries} tries); "
                f"last failure: {last}{asks}"
            ) from None

    def _try(self, ask: _Request) -> RawReply:
        """One try. A refusal that names a field or a limit is corrected and sent again at once."""
        while True:
            ask.tries += 1
            try:
                return self._connection.ask(ask.body, ask.wall_seconds, ask.on_bytes)
            except EndpointRefused as refusal:
                if not self._drop_fields(str(refusal)):
                    raise
            except ContextOverflow as overflow:
                if not self._shorten_output(ask, overflow):
                    raise
            except TransientFailure as failure:
                self._count_cut(ask, failure)
                self._check_if_permanent(ask, failure)
                raise
            self._write_body(ask)

    def _drop_fields(self, refusal: str) -> bool:
        """Drop the optional fields that the refusal names; whether there were any."""
        named = refused_fields(self.profile, self.dropped, refusal)
        self.dropped |= named
        return bool(named)

    def _shorten_output(self, ask: _Request, overflow: ContextOverflow) -> bool:
        """Ask for a shorter reply (once) if the prompt itself fits; whether it does."""
        if overflow.limit is None or overflow.prompt is None or ask.output_tokens is not None:
            return False
        left = overflow.limit - overflow.prompt - 16
        if not 1024 <= left < self.profile.output_tokens:
            return False
        ask.output_tokens = left
        return True

    def _count_cut(self, ask: _Request, failure: TransientFailure) -> None:
        if not failure.was_taken:
            return
        ask.cuts += failure.was_cut
        ask.silent += not failure.was_cut
        ask.lost_cost += cost_of(estimated(len(ask.body), failure.text_bytes), self.profile.prices)
        if ask.cuts >= self._patience.cut_replies or ask.lost_cost >= ask.may_spend:
            silent = f" and said nothing {ask.silent} times after its 200" if ask.silent else ""
            message = f"{self._address} cut off {ask.cuts} replies to one request{silent}"
            raise EndpointUnreachable(f"{message}, and each may have to be paid; the last: {failure}") from None

    def _check_if_permanent(self, ask: _Request, failure: TransientFailure) -> None:
        """Test whether a repeated failure is caused by this request, and so is permanent."""
        if not failure.repeat_kind:
            return
        times = ask.repeats[failure.repeat_kind] = ask.repeats.get(failure.repeat_kind, 0) + 1
        if times % self._patience.max_repeats:
            return
        if failure.repeat_kind == "page":
            if not self._has_answered:
                raise EndpointRefused(f"{failure}; check that {self._address} is an API (most end in /v1)") from None
        elif self._answers_a_short_request(ask):
            # Twice, because an endpoint may fail every other time.
            ask.permanent_signs += 1
            if ask.permanent_signs < 2:
                return
            if failure.repeat_kind == "empty":
                raise ContextOverflow(f"{self._address} answers a short request, but nothing to this one") from None
            raise HistoryRejected(f"{self._address} answers a short request, but to this history: {failure}") from None

    def _answers_a_short_request(self, ask: _Request) -> bool:
        body = request_body(self.profile, b"", b"", [_HELLO], dropped=self.dropped, output_tokens=16)
        try:
            usage = self._connection.ask(body, min(60.0, ask.wall_seconds)).usage
        except (ModelError, TransientFailure):
            return False
        ask.lost_cost += cost_of(counted(usage, len(body), 64), self.profile.prices)
        return True


def _duration_text(seconds: float) -> str:
    """A duration for a message."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
