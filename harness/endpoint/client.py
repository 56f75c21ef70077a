"""The client of the model: one retry policy around one connection, and the reply with its cost.

The errors it raises are listed in `endpoint/errors.py`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.endpoint.cost import cost_of, counted
from harness.endpoint.errors import (
    ContextOverflow,
    EndpointRefused,
    EndpointUnreachable,
    HistoryRejected,
    ModelError,
)
from harness.endpoint.extras import Extras
from harness.endpoint.pending_request import OnWait, PendingRequest
from harness.endpoint.profiles import Profile
from harness.endpoint.request_body import AnsweredIds
from harness.endpoint.retries import Retries
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


class Model:
    """A client for one endpoint and a whole run: keeps the connection and what it learned (`retries`)."""

    def __init__(
        self,
        profile: Profile,
        connection: Connection,
        tools: Sequence[ToolSpec],
        patience: RetryPolicy,
        sleep: Callable[[float], None],
    ) -> None:
        self.profile = profile
        self.base_url = connection.base_url
        self.retries = Retries(profile, connection, patience, sleep)
        self._connection = connection
        self._tools = tools
        self._taken = AnsweredIds()

    def __repr__(self) -> str:
        return f"Model({self.profile.model!r} at {self._connection.address})"

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
        on_finding: Callable[[str], object] = lambda _: None,
        wall_seconds: float = 1800.0,
        patience_seconds: float = 6 * 3600.0,
        asked_patience_seconds: float = 0.0,
        has_answered: bool = False,
        may_spend: float = math.inf,
    ) -> Reply:
        """Ask for one reply and wait until it is complete. Raises a `ModelError`.

        `system` and each of `messages` is a JSON object, `tools` a JSON array, as bytes. One try may take
        `wall_seconds`; transient failures are retried for `patience_seconds`. Before each wait `on_wait` gets the
        failure, the seconds and the estimated cost (it may raise to stop); `on_again` is called before each retry, and
        `on_bytes` gets the bytes received, `on_finding` what is odd about the endpoint. No further try is made once
        failed ones have cost `may_spend` dollars. `asked_patience_seconds`: how long to wait where the endpoint says
        when to come back. `has_answered`: it has answered this run before, so that a refusal may pass.
        """
        begun = time.monotonic()
        ask = PendingRequest(
            system, tools, messages, wall_seconds, on_wait, on_bytes, on_again, on_finding, may_spend=may_spend
        )
        self.retries.has_answered |= has_answered
        try:
            raw = self.retries.ask(ask, patience_seconds, asked_patience_seconds)
        except ModelError as error:
            error.cost = ask.lost_cost - ask.reported_cost
            raise
        return self._reply(ask, raw, time.monotonic() - begun)

    def _reply(self, ask: PendingRequest, raw: RawReply, seconds: float) -> Reply:
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
        received = sum(len(str(value).encode()) for value in raw.message.values() if value)
        usage = counted(raw.usage, len(ask.body), received)
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
            raw=_as_received(raw) if reading.repaired else "",
            lost_cost=ask.lost_cost,
            dialect=reading.dialect,
            unread_dialect=reading.unread_dialect,
        )


def _as_received(raw: RawReply) -> str:
    return json.dumps({k: v for k, v in raw.message.items() if v is not None}, ensure_ascii=False)
