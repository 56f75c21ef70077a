"""Asks until there is a reply: waits, corrects what a refusal names, and tells a bad minute from a bad request.

A failure is caused by the endpoint or by this request. The evidence is a short request: if that one is answered and
this one is refused again, the window is shrunk (`ContextOverflow`) or its history repaired (`HistoryRejected`). If the
short one is refused too, the endpoint has a bad time, which is waited out if it has ever answered this run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from harness.endpoint.cost import cost_of, counted, estimated
from harness.endpoint.errors import (
    ABOUT_REQUEST,
    ContextOverflow,
    EndpointRefused,
    EndpointUnreachable,
    HistoryRejected,
    ModelError,
    TransientFailure,
    is_about_history,
)
from harness.endpoint.pending_request import PendingRequest
from harness.endpoint.profiles import Profile
from harness.endpoint.request_body import refused_fields, request_body
from harness.endpoint.retry_policy import RetryPolicy
from harness.endpoint.stream import RawReply

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from harness.endpoint.connection import Connection

_HELLO = b'{"role":"user","content":"Say ok."}'
_ODDITIES = 3
"""Equal odd answers in a row that are a finding."""
_REFUSALS_BEFORE_TEST = 2
_FIRST_REFUSAL_WAIT = 5.0
_FIRST_CUT_WAIT = 10.0
"""In units of the first wait of the policy."""


class _Refused(TransientFailure):
    """A refusal of an endpoint that has answered before: waited out for `patience` seconds."""

    def __init__(self, refusal: ModelError, patience: float) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.patience = patience


class Retries:
    """The retry policy around one connection, with what it learned.

    `dropped` are optional request fields that the endpoint refused; they are not sent any more. `has_answered`: the
    endpoint has answered this run before.
    """

    def __init__(
        self, profile: Profile, connection: Connection, policy: RetryPolicy, sleep: Callable[[float], None]
    ) -> None:
        self.dropped: set[str] = set()
        self.has_answered = False
        self._profile = profile
        self._connection = connection
        self._address = connection.address
        self._policy = policy
        self._sleep = sleep
        self._blamed = 0
        """Requests in a row that were refused although a short one was answered."""

    def ask(self, ask: PendingRequest, patience_seconds: float, asked_patience_seconds: float) -> RawReply:
        """A complete reply. Raises a `ModelError`."""
        self._write_body(ask)
        try:
            raw = self._try(ask)
        except TransientFailure as failure:
            raw = self._ask_again(ask, failure, patience_seconds, asked_patience_seconds)
        self.has_answered, self._blamed = True, 0
        return raw

    def _ask_again(
        self, ask: PendingRequest, failure: TransientFailure, patience_seconds: float, asked_patience_seconds: float
    ) -> RawReply:
        """A complete reply, after a first try that failed. Raises a `ModelError`."""
        from tenacity import Retrying, retry_if_exception_type

        failed = [failure]
        longest = max(patience_seconds, asked_patience_seconds)

        def attempt() -> RawReply:
            if failed:
                raise failed.pop()
            return self._try(ask)

        def stop(state: RetryCallState) -> bool:
            failure = _failure(state)
            if isinstance(failure, _Refused):
                return ask.waited_for_refusals + state.upcoming_sleep > failure.patience
            # What the endpoint asks for may take longer: it is there, and knows the address.
            is_asked = getattr(failure, "wait_seconds", None) is not None
            limit = longest if is_asked else patience_seconds
            return max(ask.waited, time.monotonic() - ask.begun) + state.upcoming_sleep > limit

        policy = Retrying(
            retry=retry_if_exception_type(TransientFailure),
            wait=lambda state: self._wait(ask, state, longest),
            stop=stop,
            before_sleep=lambda state: self._report(ask, state),
            sleep=lambda seconds: self._pause(ask, seconds),
            reraise=True,
        )
        try:
            return policy(attempt)
        except _Refused as last:
            if not isinstance(last.refusal, EndpointRefused):
                raise self._blame(last.refusal) from None
            raise EndpointRefused(
                f"{last.refusal}; refused for {duration_text(ask.waited_for_refusals)} although it had answered this "
                "run before. `harness resume` continues when it answers again",
                last.refusal.status,
                last.refusal.shown,
            ) from None
        except TransientFailure as last:
            asks = f"; it asks to wait {duration_text(last.wait_seconds)}" if last.wait_seconds else ""
            raise EndpointUnreachable(
                f"no reply from {self._address} within {duration_text(patience_seconds)} ({ask.tries} tries); "
                f"last failure: {last}{asks}"
            ) from None

    # ---------------------------------------------------------------------------------------------------- waiting

    def _wait(self, ask: PendingRequest, state: RetryCallState, limit: float) -> float:
        from tenacity.wait import wait_random_exponential

        failure = _failure(state)
        first, longest = self._policy.first_wait, self._policy.longest_wait
        asked = getattr(failure, "wait_seconds", None)
        if asked is not None and (asked <= limit or not self.has_answered):
            # A little more, so that it is really over. Who has answered is not given up for a wait beyond the limit.
            return float(asked) + min(1.0, first)
        if isinstance(failure, _Refused):
            return float(min(longest, _FIRST_REFUSAL_WAIT * first * 2 ** (ask.refusals - 1)))
        if isinstance(failure, TransientFailure) and failure.was_cut and self.has_answered:
            # Each may be paid, so the pauses are long enough for a restart of the server.
            return float(_FIRST_CUT_WAIT * first * 4 ** min(ask.cuts - 1, 3))
        return float(wait_random_exponential(multiplier=first, max=longest)(state))

    def _report(self, ask: PendingRequest, state: RetryCallState) -> None:
        if isinstance(_failure(state), _Refused):
            ask.waited_for_refusals += state.upcoming_sleep
        if ask.on_wait is not None:
            untold, ask.reported_cost = ask.lost_cost - ask.reported_cost, ask.lost_cost
            ask.on_wait(str(_failure(state)), state.upcoming_sleep, untold)

    def _pause(self, ask: PendingRequest, seconds: float) -> None:
        self._sleep(seconds)
        ask.waited += seconds
        ask.on_again()

    # ----------------------------------------------------------------------------------------------------- asking

    def _write_body(self, ask: PendingRequest) -> None:
        ask.body = request_body(
            self._profile, ask.system, ask.tools, ask.messages, dropped=self.dropped, output_tokens=ask.output_tokens
        )

    def _try(self, ask: PendingRequest) -> RawReply:
        """One try. A refusal that names a field or a limit is corrected and sent again at once."""
        while True:
            ask.tries += 1
            try:
                return self._connection.ask(ask.body, ask.wall_seconds, ask.on_bytes)
            except EndpointRefused as refusal:
                if not self._drop_fields(refusal):
                    self._doubt(ask, refusal)
            except ContextOverflow as overflow:
                if not self._shorten_output(ask, overflow):
                    self._doubt_words(ask, overflow)
            except HistoryRejected as rejection:
                self._doubt_words(ask, rejection)
            except TransientFailure as failure:
                self._note_oddity(ask, failure)
                cost = self._count_cost(ask, failure)
                self._check_if_permanent(ask, failure)
                self._end_if_too_costly(ask, failure, cost)
                raise
            self._write_body(ask)

    def _drop_fields(self, refusal: EndpointRefused) -> bool:
        """Drop the optional fields that the refusal names; whether there were any."""
        named = refused_fields(self._profile, self.dropped, str(refusal))
        self.dropped |= named
        return bool(named)

    def _shorten_output(self, ask: PendingRequest, overflow: ContextOverflow) -> bool:
        """Ask for a shorter reply (once) if the prompt itself fits; whether it does."""
        if overflow.limit is None or overflow.prompt is None or ask.output_tokens is not None:
            return False
        left = overflow.limit - overflow.prompt - 16
        if not 1024 <= left < self._profile.output_tokens:
            return False
        ask.output_tokens = left
        return True

    # -------------------------------------------------------------------------- refusals: a bad minute or a bad request

    def _doubt(self, ask: PendingRequest, refusal: EndpointRefused) -> None:
        """Raise what a refusal amounts to; return to send the request once more, as the last piece of evidence.

        At the first request of a run a refusal is final: the key, the address or the model is wrong. So is one without
        a status: it wants payment.
        """
        if not self.has_answered or not refusal.status:
            raise refusal
        ask.refusals += 1
        if refusal.status not in ABOUT_REQUEST:
            raise _Refused(refusal, self._policy.denied) from None
        if ask.permanent_signs:
            raise self._blame(refusal) from None
        if ask.refusals >= _REFUSALS_BEFORE_TEST and self._answers_a_short_request(ask):
            ask.permanent_signs += 1
            return
        raise _Refused(refusal, self._policy.refused) from None

    def _doubt_words(self, ask: PendingRequest, refusal: ContextOverflow | HistoryRejected) -> NoReturn:
        """Raise what a refusal amounts to whose words blame this request: they are believed if they name its length, or
        if a short request is answered. An endpoint that refuses both has a bad time."""
        is_measured = isinstance(refusal, ContextOverflow) and refusal.limit and refusal.prompt
        if not self.has_answered or is_measured or self._answers_a_short_request(ask):
            raise self._blame(refusal) from None
        ask.refusals += 1
        raise _Refused(refusal, self._policy.refused) from None

    def _blame(self, refusal: ModelError) -> ModelError:
        """What to do about a request that is refused: shrink it or repair its history, by the words of the refusal. If
        one was in vain, the other is next."""
        self._blamed += 1
        if not isinstance(refusal, EndpointRefused):
            return refusal
        is_history = is_about_history(refusal.shown) == bool(self._blamed % 2)
        kind = HistoryRejected if is_history else ContextOverflow
        return kind(f"{self._address} answers a short request, but refuses this one: {refusal}")

    # ----------------------------------------------------------------------------------------------- broken answers

    def _note_oddity(self, ask: PendingRequest, failure: TransientFailure) -> None:
        """Tell people of an odd answer that comes again and again."""
        if not failure.was_taken and not failure.repeat_kind:
            return
        kind = re.sub(r"\d+", "#", str(failure))
        ask.oddity = (kind, ask.oddity[1] + 1 if kind == ask.oddity[0] else 1)
        if ask.oddity[1] == _ODDITIES:
            ask.on_finding(f"{self._address} answered {_ODDITIES} times in a row like this: {failure}")

    def _count_cost(self, ask: PendingRequest, failure: TransientFailure) -> float:
        """Count a broken reply, and return what it may cost in dollars."""
        if not failure.was_taken:
            return 0.0
        ask.cuts += failure.was_cut
        ask.silent += not failure.was_cut
        cost = cost_of(estimated(len(ask.body), failure.text_bytes), self._profile.prices)
        ask.lost_cost += cost
        return cost

    def _end_if_too_costly(self, ask: PendingRequest, failure: TransientFailure, cost: float) -> None:
        """End a call whose broken replies cost too much. Raises `EndpointUnreachable`."""
        if not failure.was_taken:
            return
        tries = ask.cuts + ask.silent if cost else ask.cuts
        limit = self._policy.paid_tries if cost else 4 * self._policy.paid_tries
        if tries >= limit or ask.lost_cost >= ask.may_spend:
            silent = f" and said nothing {ask.silent} times after its 200" if ask.silent else ""
            message = f"{self._address} cut off {ask.cuts} replies to one request{silent}"
            raise EndpointUnreachable(f"{message}, and each may have to be paid; the last: {failure}") from None

    def _check_if_permanent(self, ask: PendingRequest, failure: TransientFailure) -> None:
        """Test whether a repeated failure is caused by this request, and so is permanent."""
        if not failure.repeat_kind:
            return
        times = ask.repeats[failure.repeat_kind] = ask.repeats.get(failure.repeat_kind, 0) + 1
        if times % self._policy.max_repeats and not ask.permanent_signs:
            return
        if failure.repeat_kind == "page":
            if not self.has_answered:
                raise EndpointRefused(f"{failure}; check that {self._address} is an API (most end in /v1)") from None
        elif self._answers_a_short_request(ask):
            # Twice, because an endpoint may fail every other time.
            ask.permanent_signs += 1
            if ask.permanent_signs < 2:
                return
            if failure.repeat_kind == "empty":
                raise ContextOverflow(f"{self._address} answers a short request, but nothing to this one") from None
            raise HistoryRejected(f"{self._address} answers a short request, but to this history: {failure}") from None

    def _answers_a_short_request(self, ask: PendingRequest) -> bool:
        body = request_body(self._profile, b"", b"", [_HELLO], dropped=self.dropped, output_tokens=16)
        try:
            usage = self._connection.ask(body, min(60.0, ask.wall_seconds)).usage
        except (ModelError, TransientFailure):
            return False
        ask.lost_cost += cost_of(counted(usage, len(body), 64), self._profile.prices)
        return True


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def duration_text(seconds: float) -> str:
    """A duration for a message."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
