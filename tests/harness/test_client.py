"""The client against replies and failures of an endpoint, over real HTTP on loopback with the real SDK."""

from __future__ import annotations

import json
import random
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.endpoint.client import (
    ContextOverflow,
    EndpointRefused,
    EndpointUnreachable,
    HistoryRejected,
    Model,
    ModelError,
    Reply,
    RetryPolicy,
    open_model,
)
from harness.endpoint.connection import requested_wait
from harness.endpoint.cost import cost_of
from harness.endpoint.profiles import MINIMAX, OPENAI, VLLM, Prices, Profile
from harness.parsing.coerce import ToolSpec
from tests.servers.chat_server import SHORT_LISTING, ChatServer, Exchange, Fault, unused_port
from tests.servers.faults import FAULTS, PASSING

KEY = "planted-key-7f3a9c"
SYSTEM = b'{"role":"system","content":"You solve tasks."}'
TOOLS = b'[{"type":"function","function":{"name":"bash","parameters":{"type":"object"}}}]'
ASKED = b'{"role":"user","content":"caf\\u00e9?"}'
BASH = ToolSpec("bash", "Run a command.", {"type": "object", "properties": {"command": {"type": "string"}}}, True)
QUICK = RetryPolicy(stall=0.25, connect=1.0, first_wait=0.01, longest_wait=0.02, paid_tries=4, max_repeats=3)
PRICED = replace(OPENAI, model="test-model", top_k=40, prices=Prices(input=1.0, cached=0.1, output=2.0))


def opened(server: ChatServer | str, profile: Profile = PRICED, patience: RetryPolicy = QUICK) -> Model:
    url = server if isinstance(server, str) else server.url
    return open_model(profile, url, KEY, tools=[BASH], patience=patience)


def asked(model: Model, *messages: bytes, **limits: Any) -> Reply:
    limits = {"wall_seconds": 0.8, "patience_seconds": 20.0} | limits
    return model.complete(SYSTEM, TOOLS, messages or (ASKED,), **limits)


@pytest.fixture(scope="module")
def unbroken() -> Iterator[Reply]:
    with ChatServer() as server:
        yield asked(opened(server))


def same(reply: Reply, unbroken: Reply) -> bool:
    kept = ("message", "calls", "text", "thinking", "finish_reason")
    return all(getattr(reply, name) == getattr(unbroken, name) for name in kept)


def test_reply_is_complete_and_reasoning_returns_byte_for_byte(unbroken: Reply) -> None:
    message = json.loads(unbroken.message)
    assert unbroken.text == SHORT_LISTING["content"]
    assert unbroken.thinking == message["reasoning_content"] == SHORT_LISTING["reasoning_content"]
    assert [(call.name, json.loads(call.arguments)) for call in unbroken.calls] == [("bash", {"command": "ls -la"})]
    assert message["tool_calls"][0]["id"] == unbroken.calls[0].id == "call_a1"
    assert unbroken.raw == "" and unbroken.retries == 0 and not unbroken.usage.estimated


def test_usage_is_counted_and_priced_as_the_endpoint_reports_it() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 900}}
    with ChatServer(lambda _: {"content": "done", "usage": usage}) as server:
        reply = asked(opened(server))
    assert (reply.usage.prompt, reply.usage.cached, reply.usage.completion) == (1000, 900, 50)
    assert reply.cost == pytest.approx((100 * 1.0 + 900 * 0.1 + 50 * 2.0) / 1e6)


def test_missing_usage_is_estimated_and_marked() -> None:
    with ChatServer(faults=["lost_usage"]) as server:
        reply = asked(opened(server))
        sent = len(server.received[0].body)
    assert reply.usage.estimated and reply.usage.prompt == -(-sent // 3) and reply.usage.completion > 30
    assert reply.cost > 0


@pytest.mark.parametrize(
    "name", [name for name, fault in FAULTS.items() if fault.outcome in ("in place", "without it")]
)
def test_unusual_reply_is_read_without_a_retry(name: str, unbroken: Reply) -> None:
    with ChatServer(faults=[name] * 2) as server:
        unhurried = replace(QUICK, stall=2.0)  # a busy machine is not a stall
        reply = asked(opened(server, PRICED, unhurried), wall_seconds=8.0)
        assert same(reply, unbroken)
        assert len(server.received) == (1 if FAULTS[name].outcome == "in place" else 2)
        assert not server.broken


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.outcome == "again"])
def test_transient_failure_is_retried_and_reported(name: str, unbroken: Reply) -> None:
    told: list[tuple[str, float, float]] = []
    waits = any(word in name for word in ("stall", "drip", "hang", "slow"))
    patience = QUICK if waits else replace(QUICK, stall=2.0)  # a busy machine is not a stall
    with ChatServer(faults=[name]) as server:
        reply = asked(opened(server, PRICED, patience), on_wait=lambda *one: told.append(one))
        assert same(reply, unbroken)
        assert len(server.received) == 2 and reply.retries == 1
        assert server.received[0].body == server.received[1].body
        assert not server.broken
    assert len(told) == 1 and told[0][0] and 0 <= told[0][1] < 5
    assert (reply.lost_cost > 0) == FAULTS[name].is_paid
    assert told[0][2] == reply.lost_cost and reply.cost == cost_of(reply.usage, PRICED.prices), "counted once"
    assert len(told[0][0]) < 600


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.outcome[0].isupper()])
def test_permanent_refusal_is_classified_and_not_retried(name: str) -> None:
    with ChatServer(faults=[name] * 3) as server:
        with pytest.raises(ModelError) as caught:
            asked(opened(server))
        assert type(caught.value).__name__ == FAULTS[name].outcome
        assert len(server.received) == 1 and not server.broken
    assert len(str(caught.value)) > 30


def test_random_transient_failures_change_no_reply() -> None:
    luck = random.Random(7)
    quick = [name for name in PASSING if "stall" not in name and "drip" not in name and "hangs" not in name]
    plan = [luck.choice(quick) if luck.random() < 0.5 else "" for _ in range(400)]

    def number(request: dict[str, Any]) -> dict[str, Any]:
        return {"content": f"answer {len(request['messages'])} — ja", "reasoning_content": "hm, " * 9}

    def play(faults: list[str]) -> tuple[list[str], ChatServer]:
        with ChatServer(number, faults=faults) as server:
            model, history = opened(server, PRICED, replace(QUICK, stall=2.0)), [ASKED]  # a busy machine is not a stall
            for _ in range(60):
                history.append(asked(model, *history, wall_seconds=8.0).message.encode())
            return [item.decode() for item in history], server

    calm, _ = play([])
    stormy, server = play(plan)
    assert stormy == calm
    needless = [name for name in plan[: len(server.received)] if name and FAULTS[name].outcome == "again"]
    assert len(server.received) == 60 + len(needless)


def test_timeout_error_names_tries_and_last_failure() -> None:
    with ChatServer(faults=lambda _: "503_retry_after") as server, pytest.raises(EndpointUnreachable) as caught:
        asked(opened(server), patience_seconds=0.2)
    assert "loading the model" in str(caught.value) and "tries" in str(caught.value)


def test_connection_error_names_the_address() -> None:
    url = f"http://127.0.0.1:{unused_port()}/v1"
    with pytest.raises(EndpointUnreachable, match=url):
        asked(opened(url), patience_seconds=0.1)


def test_retry_after_beyond_the_time_allowed_ends_the_call() -> None:
    later = Fault(lambda exchange: exchange.answer(429, "later", retry_after="60000"))
    begun = time.monotonic()
    with ChatServer(faults=[later]) as server, pytest.raises(EndpointUnreachable, match=r"asks to wait 16\.7 h"):
        asked(opened(server), patience_seconds=30.0)
    assert time.monotonic() - begun < 2


def test_retry_after_within_the_time_allowed_is_respected() -> None:
    slept: list[float] = []
    later = Fault(lambda exchange: exchange.answer(429, "later", retry_after="600"))
    with ChatServer(faults=[later]) as server:
        model = open_model(PRICED, server.url, KEY, tools=[BASH], patience=QUICK, sleep=slept.append)
        reply = asked(model, patience_seconds=3600.0)
    assert reply.retries == 1 and 600 <= slept[0] < 602


def test_repeatedly_truncated_replies_end_the_call() -> None:
    with ChatServer(faults=lambda _: "reset_mid_stream") as server:
        with pytest.raises(EndpointUnreachable, match="cut off 4 replies") as caught:
            asked(opened(server))
        assert len(server.received) == 4
    assert caught.value.cost > 0


@pytest.mark.parametrize("name", ["stall_after_200", "reset_after_200", "200_no_events"])
def test_empty_replies_respect_the_spending_limit(name: str) -> None:
    with ChatServer(faults=lambda _: name) as server:
        with pytest.raises(EndpointUnreachable, match="said nothing 2 times") as caught:
            asked(opened(server), may_spend=1e-4)
        assert len(server.received) == 2
        assert caught.value.cost == pytest.approx(sum(len(one.body) for one in server.received) / 3e6, rel=0.02)


def test_empty_replies_without_prices_are_retried() -> None:
    with ChatServer(faults=["reset_after_200"] * 12) as server:
        reply = asked(opened(server, replace(PRICED, prices=Prices())))
    assert reply.retries == 12 and reply.cost == 0.0


def test_retry_after_date_uses_the_clock_of_the_endpoint() -> None:
    headers = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:40 GMT"}
    assert requested_wait(headers) == 40.0
    assert requested_wait({**headers, "date": "nonsense"}) == 0.0, "by our own clock it is long over"
    assert requested_wait({"date": headers["date"], "retry-after": "soon"}) is None


def test_500_caused_by_the_history_is_distinguished_from_an_outage() -> None:
    with ChatServer(faults=lambda request: "500_text" if len(request["messages"]) > 1 else "") as server:
        with pytest.raises(HistoryRejected, match="Internal Server Error"):
            asked(opened(server))
        assert len(server.received) == QUICK.max_repeats + 1 + 2, "each verdict by a short request"


def test_empty_answer_to_long_requests_only_is_an_overflow() -> None:
    with (
        ChatServer(faults=lambda request: "200_no_events" if len(request["messages"]) > 1 else "") as server,
        pytest.raises(ContextOverflow),
    ):
        asked(opened(server))


def test_web_page_is_permanent_only_before_the_first_reply() -> None:
    with ChatServer(faults=lambda _: "200_html") as server, pytest.raises(EndpointRefused, match="/v1"):
        asked(opened(server))
    with ChatServer(faults=["", *["200_html"] * 5]) as server:
        model = opened(server)
        asked(model)
        assert asked(model).retries == 5


def test_output_limit_shrinks_if_only_the_prompt_fits() -> None:
    text = "This model's maximum context length is 4096 tokens and your request has 996 input tokens"
    refusal = Fault(lambda exchange: exchange.answer(400, {"error": {"message": text}}))
    with ChatServer(faults=lambda request: refusal if request["max_tokens"] > 3084 else "") as server:
        assert asked(opened(server)).text
        assert server.received[-1].json["max_tokens"] == 3084


def test_on_wait_can_stop_retries() -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with ChatServer(faults=["500_text"]) as server, pytest.raises(KeyboardInterrupt):
        asked(opened(server), on_wait=stop)


def test_request_contains_the_given_fragments() -> None:
    with ChatServer() as server:
        asked(opened(server), ASKED, b'{"role":"assistant","content":"1e3"}')
        received = server.received[0]
    begin = b'{"messages":[' + SYSTEM + b"," + ASKED + b',{"role":"assistant","content":"1e3"}],"tools":' + TOOLS
    assert received.body.startswith(begin)
    assert received.json["stream"] is True and received.json["stream_options"] == {"include_usage": True}
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["user-agent"].startswith("OpenAI/Python")


def test_dead_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(EndpointUnreachable, match="HTTP_PROXY"):
        asked(opened("http://models.example/v1"), patience_seconds=0.0)


def test_cookie_of_a_load_balancer_returns() -> None:
    def busy(exchange: Exchange) -> None:
        exchange.answer(503, "busy", **{"Set-Cookie": "replica=3; Path=/"})

    with ChatServer(faults=[Fault(busy, "again")]) as server:
        asked(opened(server))
        assert [received.headers.get("cookie") for received in server.received] == [None, "replica=3"]


@pytest.mark.parametrize(("profile", "field"), [(MINIMAX, "reasoning_details"), (VLLM, "reasoning")])
def test_reasoning_returns_in_the_field_of_the_profile(profile: Profile, field: str) -> None:
    thought = "  first\n\tthen ☀️ "
    sent = [{"type": "reasoning.text", "text": thought}] if field == "reasoning_details" else thought
    with ChatServer(lambda _: {field: sent, "content": "ok"}) as server:
        reply = asked(opened(server, replace(profile, model="m")))
    assert json.loads(reply.message)[field] == sent
    assert set(json.loads(reply.message)) == {"role", "content", field}


def test_reused_call_id_is_replaced() -> None:
    with ChatServer() as server:
        model = opened(server)
        first = asked(model)
        answer = json.dumps({"role": "tool", "tool_call_id": first.calls[0].id, "content": "a b"}).encode()
        second = asked(model, ASKED, first.message.encode(), answer)
    assert second.calls[0].id != first.calls[0].id


def test_connection_is_reused() -> None:
    with ChatServer() as server:
        model = opened(server)
        for _ in range(5):
            asked(model)
        assert len({one.headers["host"] for one in server.received}) == 1
        assert server.connections == 1


@pytest.mark.parametrize("status", [200, 400, 401, 500])
@pytest.mark.parametrize("in_stream", [False, True])
def test_key_is_in_no_error_wait_message_or_repr(status: int, in_stream: bool) -> None:
    seen: list[str] = []
    said = {"error": {"message": f"'Authorization: Bearer {KEY}' or {KEY} or sk-{KEY}", "code": KEY, "param": KEY}}

    def echo(exchange: Exchange) -> None:
        if in_stream:
            exchange.play([said])
        else:
            exchange.answer(status, said)

    with ChatServer(faults=lambda _: Fault(echo)) as server:
        model = opened(server.url.replace("//", f"//user:{KEY}@"))
        with pytest.raises(ModelError) as caught:
            asked(model, on_wait=lambda error, *_: seen.append(error), patience_seconds=0.1)
    seen += [repr(model), str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))]
    assert not [text for text in seen if KEY in text]


def test_invalid_key_or_address_is_refused_at_once() -> None:
    with pytest.raises(EndpointRefused, match="HARNESS_API_KEY") as caught:
        open_model(OPENAI, "http://localhost:1/v1", "schlüssel-geheim")
    assert "geheim" not in str(caught.value)
    with pytest.raises(EndpointRefused, match="http://localhost:8000/v1"):
        open_model(OPENAI, "localhost:8000", "")


def test_reply_without_text_returns_with_an_empty_string() -> None:
    calls = {**SHORT_LISTING, "content": None}
    with ChatServer(lambda _: dict(calls), faults=["", "500_null_content"]) as server:
        model = opened(server)
        first = asked(model)
        answer = json.dumps({"role": "tool", "tool_call_id": first.calls[0].id, "content": "a b"}).encode()
        assert asked(model, ASKED, first.message.encode(), answer).retries == 0
        assert server.received[1].json["messages"][2]["content"] == ""
