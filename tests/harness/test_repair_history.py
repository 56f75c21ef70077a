"""An endpoint that rejects a history (error 2013) keeps rejecting it: the run repairs the history and says so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from context.window import NOTE_CALL, Window
from harness.endpoint.repair_history import repaired_tail
from harness.parsing.repair_history import check_history
from runs.events.registry import (
    AttemptEnded,
    EpochStarted,
    Event,
    ModelReplied,
    RunEnded,
    ToolFinished,
    Warned,
)
from runs.state import fold
from tests.playing import call, events_of, harness_here, only_run, reply, turns_asked
from tests.servers.chat_server import ChatServer, Message


def window_of(*messages: dict[str, Any]) -> Window:
    window = Window()
    tail = "\n".join(json.dumps(message) for message in messages)
    window.apply(EpochStarted(reason="repaired", system="You work.", tools="[]", user="The task.", tail=tail))
    return window


def assistant(arguments: str, thought: str = "so be it") -> dict[str, Any]:
    function = {"name": "bash", "arguments": arguments}
    calls = [{"id": "c1", "type": "function", "function": function}]
    return {"role": "assistant", "content": "I look.", "reasoning_content": thought, "tool_calls": calls}


ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "a.csv\nb.csv"}


def test_invalid_messages_are_repaired_and_valid_ones_keep_their_bytes() -> None:
    window = window_of(assistant('{"command":"ls"}'), ANSWER, {**assistant('{"command": "l'), "content": "Again."})
    repaired = repaired_tail(window, "note")
    assert repaired is not None
    tail, what = repaired
    assert [line.encode() for line in tail[:2]] == window.messages[1:3]
    repaired_call = json.loads(tail[2])["tool_calls"][0]
    assert json.loads(repaired_call["function"]["arguments"]) == {"_invalid": '{"command": "l'}
    assert json.loads(tail[3])["role"] == "tool" and len(tail) == 4
    assert "valid JSON" in what


def test_last_exchange_of_a_valid_history_becomes_plain_text() -> None:
    window = window_of(
        assistant('{"command":"ls"}'), ANSWER, assistant('{"command":"cat a.csv"}'), {**ANSWER, "content": "1,2"}
    )
    window.messages[3:] = [m.replace(b"c1", b"c2") for m in window.messages[3:]]
    repaired = repaired_tail(window, "note")
    assert repaired is not None
    tail, _ = repaired
    assert [line.encode() for line in tail[:2]] == window.messages[1:3]
    marked, note = map(json.loads, tail[2:])
    assert marked["tool_calls"][0]["function"] == {"name": NOTE_CALL, "arguments": "{}"} and marked["content"] == ""
    assert note["role"] == "tool" and note["tool_call_id"] == marked["tool_calls"][0]["id"] == "note"
    assert not check_history([json.loads(line) for line in tail]), "a server accepts it"
    for kept in ("I look.", "You called bash", "cat a.csv", "1,2"):
        assert kept in note["content"]


def test_repair_happens_once() -> None:
    assert repaired_tail(window_of(), "note") is None
    repaired = repaired_tail(window_of(assistant('{"command":"ls"}'), ANSWER), "note")
    assert repaired is not None
    assert repaired_tail(window_of(*[json.loads(line) for line in repaired[0]]), "again") is None, (
        "repaired once already"
    )


# ------------------------------------------------------------------------------------------------------- in a run


def looker(request: dict[str, Any]) -> Message:
    """Prints ODD in the first attempt and `fine` in others, then evaluates, then finishes."""
    messages = request["messages"]
    found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
    if not found:
        return {"content": "ok"}
    step = sum(message["role"] == "assistant" for message in messages)
    tag = f"{found[-1]}_{step}"
    if step == 0:
        return reply("odd", call("bash", command="echo OD''D" if found[-1] == "1" else "echo fine"), tag=tag)
    if step == 1:
        evaluate = call("evaluate", command="cp data/sample_submission.csv submission.csv")
        return reply("judge", evaluate, tag=tag)
    return reply("enough", call("finish", did="looked", criticism="", next="", lessons=[]), tag=tag)


def played(home: Path, server: ChatServer) -> tuple[list[Event], str]:
    flags = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "2"]
    code, printed = harness_here(home, "run", "digits", *flags)
    assert code == 0, printed
    events = events_of(only_run(home))
    window = Window()
    for event in events:
        window.apply(event)
    assert window.breaches == 0, "a fold from scratch rebuilds what was sent"
    assert isinstance(events[-1], RunEnded) and fold(events).best is not None
    return events, printed


@pytest.mark.parametrize("fault", ["400_poisoned", "200_poisoned", "400_orphan"])
def test_rejected_exchange_is_repaired_and_the_attempt_continues(digits_home: Path, fault: str) -> None:
    def poison(request: dict[str, Any]) -> str:
        made = [one["function"]["arguments"] for m in request["messages"] for one in m.get("tool_calls") or []]
        return fault if any("OD''D" in arguments for arguments in made) else ""

    with ChatServer(looker, poison) as server:
        events, printed = played(digits_home, server)
        for one in turns_asked(server):
            messages = one.json["messages"]
            assert [message["role"] for message in messages].count("user") == 1, "the first message is the only one"
            assert not check_history(messages)
        assert len(turns_asked(server)) == 1 + sum(isinstance(event, ModelReplied) for event in events)
    repairs = [event for event in events if isinstance(event, EpochStarted) and event.reason == "repaired"]
    assert len(repairs) == 1 and "ODD" in repairs[0].tail
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["finish", "finish"]
    assert [event.message for event in events if isinstance(event, Warned) and "repaired" in event.message]
    assert "repaired" in printed and "repaired" in harness_here(digits_home, "show", "last")[1]


def test_history_that_cannot_be_repaired_ends_only_the_attempt(digits_home: Path) -> None:
    def poison(request: dict[str, Any]) -> str:
        return "400_poisoned" if "ODD" in str(request["messages"][2:]) else ""

    with ChatServer(looker, poison) as server:
        events, printed = played(digits_home, server)
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["poisoned", "finish"]
    assert "could not be repaired" in printed
    assert sum(isinstance(event, ToolFinished) for event in events) == 3, "two commands and one evaluation"


def test_rejected_first_message_pauses_the_run(digits_home: Path) -> None:
    with ChatServer(looker, lambda request: "400_poisoned" if "attempt: " in str(request) else "") as server:
        flags = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        code, printed = harness_here(digits_home, "run", "digits", *flags)
    assert code == 4 and "paused" in printed
