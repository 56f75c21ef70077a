"""An endpoint that rejects a history (error 2013) would reject it for ever: the run heals itself and says so."""

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
from tests.playing import call, events_of, harness, only_run, reply, turns_asked
from tests.servers.chat_server import ChatServer, Message


def window_of(*messages: dict[str, Any]) -> Window:
    window = Window()
    tail = "\n".join(json.dumps(message) for message in messages)
    window.apply(EpochStarted(reason="healed", system="You work.", tools="[]", user="The task.", tail=tail))
    return window


def said(arguments: str, thought: str = "so be it") -> dict[str, Any]:
    function = {"name": "bash", "arguments": arguments}
    calls = [{"id": "c1", "type": "function", "function": function}]
    return {"role": "assistant", "content": "I look.", "reasoning_content": thought, "tool_calls": calls}


ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "a.csv\nb.csv"}


def test_unsound_messages_are_mended_and_the_sound_ones_keep_their_bytes() -> None:
    window = window_of(said('{"command":"ls"}'), ANSWER, {**said('{"command": "l'), "content": "Again."})
    found = repaired_tail(window, "note")
    assert found is not None
    tail, what = found
    assert [line.encode() for line in tail[:2]] == window.messages[1:3]
    mended = json.loads(tail[2])["tool_calls"][0]
    assert json.loads(mended["function"]["arguments"]) == {"_invalid": '{"command": "l'}
    assert json.loads(tail[3])["role"] == "tool" and len(tail) == 4
    assert "valid JSON" in what


def test_a_history_that_looks_sound_loses_only_the_form_of_its_last_exchange() -> None:
    window = window_of(said('{"command":"ls"}'), ANSWER, said('{"command":"cat a.csv"}'), {**ANSWER, "content": "1,2"})
    window.messages[3:] = [m.replace(b"c1", b"c2") for m in window.messages[3:]]
    found = repaired_tail(window, "note")
    assert found is not None
    tail, _ = found
    assert [line.encode() for line in tail[:2]] == window.messages[1:3]
    marked, note = map(json.loads, tail[2:])
    assert marked["tool_calls"][0]["function"] == {"name": NOTE_CALL, "arguments": "{}"} and marked["content"] == ""
    assert note["role"] == "tool" and note["tool_call_id"] == marked["tool_calls"][0]["id"] == "note"
    assert not check_history([json.loads(line) for line in tail]), "as a server accepts it"
    for kept in ("I look.", "You called bash", "cat a.csv", "1,2"):
        assert kept in note["content"]


def test_what_cannot_be_healed_is_given_up() -> None:
    assert repaired_tail(window_of(), "note") is None
    told = repaired_tail(window_of(said('{"command":"ls"}'), ANSWER), "note")
    assert told is not None
    assert repaired_tail(window_of(*[json.loads(line) for line in told[0]]), "again") is None, "once is enough"


# ------------------------------------------------------------------------------------------------------- in a whole run


def looker(request: dict[str, Any]) -> Message:
    """Looks at something odd, then at something plain, then evaluates and finishes; two attempts alike."""
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


def played(tmp_path: Path, server: ChatServer) -> tuple[list[Event], str]:
    flags = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "2"]
    code, printed = harness(tmp_path, "run", "digits", *flags)
    assert code == 0, printed
    events = events_of(only_run(tmp_path))
    window = Window()
    for event in events:
        window.apply(event)
    assert window.breaches == 0, "a fold from scratch rebuilds what was sent"
    assert isinstance(events[-1], RunEnded) and fold(events).best is not None
    return events, printed


@pytest.mark.parametrize("fault", ["400_poisoned", "200_poisoned", "400_orphan"])
def test_a_rejected_exchange_is_told_in_words_and_the_attempt_goes_on(tmp_path: Path, fault: str) -> None:
    def poison(request: dict[str, Any]) -> str:
        made = [one["function"]["arguments"] for m in request["messages"] for one in m.get("tool_calls") or []]
        return fault if any("OD''D" in arguments for arguments in made) else ""

    with ChatServer(looker, poison) as server:
        events, printed = played(tmp_path, server)
        for one in turns_asked(server):
            messages = one.json["messages"]
            assert [message["role"] for message in messages].count("user") == 1, "the window's head is the only one"
            assert not check_history(messages)
        assert len(turns_asked(server)) == 1 + sum(isinstance(event, ModelReplied) for event in events)
    fix_surrogates = [event for event in events if isinstance(event, EpochStarted) and event.reason == "healed"]
    assert len(fix_surrogates) == 1 and "ODD" in fix_surrogates[0].tail
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["finish", "finish"]
    assert [event.message for event in events if isinstance(event, Warned) and "repaired" in event.message]
    assert "repaired" in printed and "repaired" in harness(tmp_path, "show", "last")[1]


def test_a_history_that_no_words_can_heal_ends_the_attempt_and_not_the_run(tmp_path: Path) -> None:
    def poison(request: dict[str, Any]) -> str:
        return "400_poisoned" if "ODD" in str(request["messages"][2:]) else ""

    with ChatServer(looker, poison) as server:
        events, printed = played(tmp_path, server)
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["poisoned", "finish"]
    assert "could not be repaired" in printed
    assert sum(isinstance(event, ToolFinished) for event in events) == 3, "the look, the next look, its evaluation"


def test_a_window_head_that_is_rejected_pauses_the_run(tmp_path: Path) -> None:
    with ChatServer(looker, lambda request: "400_poisoned" if "attempt: " in str(request) else "") as server:
        flags = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        code, printed = harness(tmp_path, "run", "digits", *flags)
    assert code == 4 and "paused" in printed
