"""Endpoints with bad minutes: what they are asked, what they are paid for, and when a call is given up."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.endpoint.client import (
    ContextOverflow,
    EndpointRefused,
    EndpointUnreachable,
    HistoryRejected,
    Model,
    ModelError,
    RetryPolicy,
    open_model,
)
from harness.endpoint.errors import classify_error, without_quotes
from harness.endpoint.profiles import OPENAI, Prices
from harness.endpoint.stream import ReplyReader
from harness.parsing.reply import read_reply
from tests.harness.test_conformance import TOOLS, performed
from tests.servers.chat_server import ChatServer, Exchange, Fault

HABITS = Path(__file__).parents[1] / "servers" / "habits"
SYSTEM, ASKED = b'{"role":"system","content":"You work."}', b'{"role":"user","content":"Go on."}'
PRICED = replace(OPENAI, model="m", prices=Prices(1.0, 0.1, 2.0))
QUICK = RetryPolicy(stall=2.0, connect=1.0, first_wait=0.01, longest_wait=0.04, paid_tries=4, max_repeats=3)


class Clock:
    """Sleeps that take no time and are kept."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.told: list[str] = []

    def model(self, server: ChatServer, policy: RetryPolicy = QUICK) -> Model:
        return open_model(PRICED, server.url, patience=policy, sleep=self.slept.append)

    def ask(self, model: Model, *messages: bytes, **options: Any) -> Any:
        return model.complete(
            SYSTEM, b"[]", messages or (ASKED,), on_wait=lambda text, *_: self.told.append(text), **options
        )


def refusal(status: int, body: Any) -> Fault:
    return Fault(lambda exchange: exchange.answer(status, body))


NO_HEALTHY = {"error": {"message": "There are no healthy deployments for this model", "code": "400"}}
PASSING = {
    "302": (302, "<html>Sign in</html>"),
    "405": (405, "Method Not Allowed"),
    "words_of_length": (400, {"error": {"message": "no backend left; context_window_fallbacks=None"}}),
    "words_of_form": (400, {"error": {"message": "the tool call service is restarting"}}),
    "400": (400, NO_HEALTHY),
    "404": (404, {"detail": "Not Found"}),
    "401": (401, {"error": {"message": "Authentication service temporarily unavailable"}}),
    "403": (403, "<html><title>Forbidden</title></html>"),
}


@pytest.mark.parametrize("name", PASSING)
def test_one_refusal_after_success_is_waited_out(name: str) -> None:
    clock = Clock()
    with ChatServer(faults=["", refusal(*PASSING[name]), refusal(*PASSING[name]), ""]) as server:
        model = clock.model(server)
        clock.ask(model)
        if name == "400":
            server.faults = ()
        reply = clock.ask(model)
        assert reply.text
    assert clock.told and clock.slept == sorted(clock.slept), "pauses grow"


@pytest.mark.parametrize("name", PASSING)
def test_refusal_at_the_first_request_is_final(name: str) -> None:
    clock = Clock()
    with ChatServer(faults=lambda _: refusal(*PASSING[name])) as server:
        with pytest.raises(ModelError):
            clock.ask(clock.model(server))
        assert len(server.received) == 1
    assert clock.slept == []


@pytest.mark.parametrize(("name", "error"), [("words_of_length", ContextOverflow), ("words_of_form", HistoryRejected)])
def test_words_that_blame_the_request_need_evidence(name: str, error: type[ModelError]) -> None:
    clock = Clock()
    with ChatServer(faults=longer_than(2, *PASSING[name])) as server:
        model = clock.model(server)
        clock.ask(model)
        with pytest.raises(error):
            clock.ask(model, ASKED, ASKED)
        assert len(server.received) == 1 + 1 + 1 and clock.slept == [], "one short request is the evidence"
    # Refused without an end, the words are believed after the time for refusals.
    with ChatServer(faults=lambda _: refusal(*PASSING[name])) as server, pytest.raises(error):
        clock.ask(clock.model(server, RetryPolicy()), ASKED, ASKED, has_answered=True)
    assert 400 < sum(clock.slept) <= 600


def test_refusal_of_a_resumed_run_is_waited_out_at_once() -> None:
    clock = Clock()
    with ChatServer(faults=[refusal(404, "gone"), ""]) as server:
        assert clock.ask(clock.model(server), has_answered=True).retries == 1


@pytest.mark.parametrize(("status", "limit"), [(400, 600.0), (401, 1800.0), (404, 1800.0)])
def test_refusals_end_the_call_after_the_time_for_them(status: int, limit: float) -> None:
    clock = Clock()
    policy = RetryPolicy(first_wait=1.0, longest_wait=120.0)
    with ChatServer(faults=lambda _: refusal(status, {"error": {"message": "no"}})) as server:
        with pytest.raises(EndpointRefused, match="resume"):
            clock.ask(clock.model(server, policy), has_answered=True)
        assert len(server.received) < 40
    assert limit * 0.7 < sum(clock.slept) <= limit
    assert clock.slept[:4] == [5.0, 10.0, 20.0, 40.0]


def longer_than(limit: int, status: int, body: Any) -> Callable[[dict[str, Any]], Any]:
    """Refuse requests of more than `limit` messages."""
    return lambda request: refusal(status, body) if len(request["messages"]) > limit else ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Die Anfrage ist zu groß für dieses Modell", ContextOverflow),
        ("payload rejected", ContextOverflow),
        ("cannot decode argument 0 as JSON", HistoryRejected),
    ],
)
def test_request_is_blamed_if_a_short_one_is_answered(text: str, error: type[ModelError]) -> None:
    clock = Clock()
    with ChatServer(faults=longer_than(2, 400, {"error": {"message": text}})) as server:
        model = clock.model(server)
        clock.ask(model)
        with pytest.raises(error):
            clock.ask(model, ASKED, ASKED)
        assert len(server.received) == 1 + 3 + 1, "the same request three times, and a short one"
        # The other remedy comes next if this one was in vain.
        other = HistoryRejected if error is ContextOverflow else ContextOverflow
        with pytest.raises(other):
            clock.ask(model, ASKED, ASKED)


def wordings() -> list[Any]:
    with (HABITS / "overflow_wordings.tsv").open(encoding="utf-8") as file:
        return [pytest.param(row, id=row["seen_at"][:20]) for row in csv.DictReader(file, delimiter="\t")]


@pytest.mark.parametrize("row", wordings())
def test_overflow_is_recognised_in_the_words_of_many_servers(row: dict[str, str]) -> None:
    code = row["type"] if row["type"].isdigit() else ""
    error = classify_error(int(row["status"]), row["message"], code, model="m", address="a")
    assert isinstance(error, ContextOverflow) != row["seen_at"].startswith("control")


def test_words_of_litellm_name_no_model() -> None:
    case = json.loads((HABITS / "litellm_400.json").read_text())
    for kind in ("invalid_request_error", "BadRequestError"):
        body = {"error": {**case["body"]["error"], "type": kind}}
        with ChatServer(faults=[refusal(case["status"], body)]) as server, pytest.raises(HistoryRejected):
            Clock().ask(Clock().model(server))


def test_two_words_between_quotation_marks_are_a_quotation() -> None:
    sent = json.dumps({"content": "the context window is small; tool_calls"}).encode()
    assert without_quotes('no digit at "context window" near 7', sent) == 'no digit at "" near 7'
    assert (
        without_quotes("`tool_calls` must follow 'another thing'", sent) == "`tool_calls` must follow 'another thing'"
    )


def test_words_quoted_from_the_history_do_not_decide() -> None:
    said = "the maximum context length of the encoder is too long for tool calls"
    assert without_quotes(f"bad value: {said}", json.dumps({"content": f"I see {said}."}).encode()) == "bad value:"
    message = json.dumps({"role": "assistant", "content": f"I think {said}, so"}).encode()
    fault = refusal(400, {"error": {"message": f"upstream said no to: {said}"}})
    with ChatServer(faults=[fault]) as server, pytest.raises(EndpointRefused):
        Clock().ask(Clock().model(server), ASKED, message)


# ----------------------------------------------------------------------------------------- first call, Retry-After


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_at_the_first_call_is_waited(status: int) -> None:
    clock = Clock()
    later = Fault(lambda exchange: exchange.answer(status, "later", retry_after="20"))
    with ChatServer(faults=[later]) as server:
        reply = clock.ask(clock.model(server), patience_seconds=10.0, asked_patience_seconds=3600.0)
    assert reply.retries == 1 and 20 <= clock.slept[0] < 22


def test_absurd_retry_after_of_an_endpoint_that_has_answered_does_not_end_the_call() -> None:
    clock = Clock()
    years = Fault(lambda exchange: exchange.answer(429, "busy", retry_after="99999999"))
    with ChatServer(faults=["", years, ""]) as server:
        model = clock.model(server)
        clock.ask(model)
        assert clock.ask(model).text
    assert max(clock.slept) <= QUICK.longest_wait


def test_outage_without_retry_after_at_the_first_call_is_short() -> None:
    clock = Clock()
    with (
        ChatServer(faults=lambda _: refusal(503, "down")) as server,
        pytest.raises(EndpointUnreachable),
    ):
        clock.ask(
            clock.model(server, RetryPolicy(first_wait=1.0)), patience_seconds=10.0, asked_patience_seconds=3600.0
        )
    assert sum(clock.slept) <= 10


# ------------------------------------------------------------------------------------------------------- streams


def between(*lines: bytes) -> Fault:
    """A whole stream with these lines between its events."""

    def play(exchange: Exchange) -> None:
        exchange.start()
        for chunk in exchange.chunks():
            for line in lines:
                exchange.send(line)
            exchange.event(chunk)
        exchange.done()

    return Fault(play)


@pytest.mark.parametrize(
    "line",
    [
        b"data: ping\n\n",
        b"data:\n\n",
        b"data: \n\n",
        b": comment\n\n",
        b"event: ping\ndata: {}\n\n",
        b'event: ping\ndata: {"type":"ping","error":"none"}\n\n',
        b"event: keepalive\ndata: still here\n\n",
        b"event: heartbeat\ndata: {at 12:03:04}\n\n",
        b"data: [12:03:04] alive\n\n",
        b"retry: 3000\n\n",
        b"id: 7\n\n",
        b"unknown: field\n\n",
    ],
)
def test_events_that_are_not_chunks_are_ignored(line: bytes) -> None:
    clock = Clock()
    with ChatServer(faults=[between(line)]) as server:
        reply = clock.ask(clock.model(server))
        assert len(server.received) == 1
    assert reply.text and reply.retries == 0 and reply.usage.estimated is False


def with_length(extra: int, as_document: bool) -> Fault:
    """A whole reply whose Content-Length is wrong by so many bytes."""

    def play(exchange: Exchange) -> None:
        chunks = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in exchange.chunks()]
        data = json.dumps(exchange.document()).encode() if as_document else b"".join([*chunks, b"data: [DONE]\n\n"])
        exchange.handler.send_response(200)
        exchange.handler.send_header("content-length", str(len(data) + extra))
        exchange.handler.end_headers()
        exchange.handler.wfile.write(data)
        exchange.hang_up()

    return Fault(play)


@pytest.mark.parametrize("as_document", [False, True])
def test_reply_with_a_wrong_content_length_is_read(as_document: bool) -> None:
    with ChatServer(faults=[with_length(500, as_document)]) as server:
        assert Clock().ask(Clock().model(server)).text
        assert len(server.received) == 1


@pytest.mark.parametrize("number", ["1e999", "9" * 5000, "-1", "NaN", '"many"', "12.5"])
def test_absurd_number_does_not_repeat_a_paid_call(number: str) -> None:
    def play(exchange: Exchange) -> None:
        exchange.start()
        for chunk in exchange.chunks():
            chunk.pop("usage", None)
            exchange.event(chunk)
        exchange.send(b'data: {"choices":[],"usage":{"prompt_tokens":%s,"completion_tokens":5}}\n\n' % number.encode())
        exchange.done()

    with ChatServer(faults=[Fault(play)]) as server:
        reply = Clock().ask(Clock().model(server))
        assert len(server.received) == 1
    assert reply.text and 0 <= reply.usage.prompt < 1_000_000


@pytest.mark.parametrize("index", ['"0"', "9" * 30, "-1", "1e999", "null"])
def test_absurd_index_of_the_only_choice_is_ignored(index: str) -> None:
    def play(exchange: Exchange) -> None:
        exchange.start()
        for chunk in exchange.chunks():
            line = json.dumps(chunk).replace('"choices": [{"index": 0', f'"choices": [{{"index": {index}')
            exchange.send(f"data: {line}\n\n".encode())
        exchange.done()

    with ChatServer(faults=[Fault(play)]) as server:
        reply = Clock().ask(Clock().model(server))
        assert reply.text and reply.calls and len(server.received) == 1


@pytest.mark.parametrize("length", ["-5", "many"])
def test_content_length_that_is_not_a_length_does_not_repeat_a_paid_call(length: str) -> None:
    def play(exchange: Exchange) -> None:
        exchange.handler.send_response(200)
        exchange.handler.send_header("content-length", length)
        exchange.handler.end_headers()
        exchange.handler.wfile.write(json.dumps(exchange.document()).encode())
        exchange.hang_up()

    findings = list[str]()
    with ChatServer(faults=lambda _: Fault(play)) as server:
        with pytest.raises(EndpointUnreachable):
            Clock().ask(Clock().model(server), on_finding=findings.append, has_answered=True)
        assert len(server.received) == 4
    assert len(findings) == 1 and "Content-Length" in findings[0]


def test_same_oddity_three_times_is_a_finding_and_paid_calls_end() -> None:
    clock, findings = Clock(), list[str]()
    with ChatServer(faults=lambda _: "ended_without_finish") as server:
        with pytest.raises(EndpointUnreachable, match="cut off 4"):
            clock.ask(clock.model(server), on_finding=findings.append, has_answered=True)
        assert len(server.received) == 4, "three paid repeats"
    assert len(findings) == 1 and "finish_reason" in findings[0]
    assert clock.slept == [0.1, 0.4, 1.6], "long enough for a restart"


@pytest.mark.parametrize("lost", [b"", b'"id":"a1",|"id":"b2",', b'"index":0,"id":"a1",|"index":0,"id":"b2",'])
def test_calls_with_object_arguments_and_one_index_are_two(lost: bytes) -> None:
    stream = (HABITS / "ollama_dict_arguments.txt").read_bytes()
    for part in filter(None, lost.split(b"|")):
        assert part in stream
        stream = stream.replace(part, b"")
    reader = ReplyReader()
    reader.feed(stream)
    raw = reader.finish()
    calls = performed(read_reply(raw.message, raw.finish_reason, TOOLS))
    assert [call["arguments"]["command"] for call in calls] == ["echo first > one.txt", "echo two"]
