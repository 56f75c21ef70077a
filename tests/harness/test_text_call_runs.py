"""Runs on servers that leave calls in the text, lose arguments, or do not know what a token costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runs.events.registry import AttemptEnded, ModelReplied, Reminded, ToolFinished, Warned
from tests.harness.dialect_texts import dsml, glm47, harmony, minimax_m3
from tests.playing import events_of, harness_here, only_run
from tests.servers.chat_server import ChatServer, Message

FINISH = ("finish", {"did": "looked", "criticism": "", "next": "", "lessons": []})
LOOK = ("bash", {"command": "echo seen"})


def played(
    home: Path, *replies: Message, options: tuple[str, ...] = (), model: str = "m", ends: int = 0
) -> tuple[str, list[Any]]:
    """A run of one attempt with these replies, of which the last is repeated; it `ends` with this exit code."""

    def script(request: dict[str, Any]) -> Message:
        if b"attempt: " not in json.dumps(request["messages"]).encode():
            return {"content": "ok"}
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return replies[min(step, len(replies) - 1)]

    with ChatServer(script, piece=100_000) as server:
        code, printed = harness_here(
            home, "run", "digits", "--base-url", server.url, "--model", model, "--sandbox", "local", "--plain",
            "--attempts", "1", "--turns", "12", *options,
        )  # fmt: skip
    assert code == ends, printed
    return printed, events_of(only_run(home))


@pytest.mark.parametrize("write", [dsml, glm47, harmony, minimax_m3])
def test_run_on_a_server_without_a_parser_works_and_says_so(digits_home: Path, write: Any) -> None:
    _, events = played(digits_home, {"content": "Look.\n" + write([LOOK])}, {"content": write([FINISH])})
    results = [event.content for event in events if isinstance(event, ToolFinished)]
    assert "seen" in results[0]
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["finish"]
    warnings = [
        event.message for event in events if isinstance(event, Warned) and "tool calls in the text" in event.message
    ]
    assert len(warnings) == 1, "once per run"
    messages = [json.loads(event.message) for event in events if isinstance(event, ModelReplied)]
    assert messages[0]["content"] == "Look."


def test_model_is_told_that_its_call_could_not_be_read(digits_home: Path) -> None:
    broken: Message = {"content": "<｜DSML｜toolcall>bash\n```\nls\n```"}
    native = {"id": "c", "type": "function", "function": {"name": FINISH[0], "arguments": json.dumps(FINISH[1])}}
    _, events = played(digits_home, broken, {"content": "", "tool_calls": [native]})
    (reminder,) = (event for event in events if isinstance(event, Reminded))
    assert "could not be read" in reminder.text or "no call that could be read" in reminder.text
    assert any("could not be read" in event.message for event in events if isinstance(event, Warned))


def test_empty_finish_is_refused_once_if_no_call_ever_had_arguments(digits_home: Path) -> None:
    def native(number: int) -> Message:
        return {
            "content": "",
            "tool_calls": [{"id": f"c{number}", "type": "function", "function": {"name": "finish", "arguments": "{}"}}],
        }

    _, events = played(digits_home, native(1), native(2))
    (refusal,) = (event for event in events if isinstance(event, ToolFinished))
    assert refusal.failed and "without arguments" in refusal.content
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["finish"]


def test_empty_finish_is_accepted_if_other_calls_had_arguments(digits_home: Path) -> None:
    look = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"echo a"}'}}
    done = {"id": "c2", "type": "function", "function": {"name": "finish", "arguments": "{}"}}
    _, events = played(digits_home, {"content": "", "tool_calls": [look]}, {"content": "", "tool_calls": [done]})
    assert [event.name for event in events if isinstance(event, ToolFinished)] == ["bash"]


def test_self_hosted_tokens_are_free_and_a_limit_on_cost_is_accepted(digits_home: Path) -> None:
    printed, events = played(digits_home, {"content": dsml([FINISH])}, options=("--cost", "5"))
    assert "self-hosted" in printed
    assert events[0].prices == {"input": 0.0, "cached": 0.0, "output": 0.0, "source": "self-hosted"}


@pytest.mark.parametrize(
    ("content", "cause"),
    [("<｜DSML｜toolcall>bash\n```\nls\n```", "--tool-call-parser deepseek_v4"), ("I will look.", "harness doctor")],
)
def test_run_without_any_call_names_the_cause_and_exits_4(digits_home: Path, content: str, cause: str) -> None:
    printed, events = played(digits_home, {"content": content}, ends=4)
    assert [event.why for event in events if isinstance(event, AttemptEnded)] == ["loop"]
    (warning,) = (event.message for event in events if isinstance(event, Warned) and "none of the" in event.message)
    assert cause in warning and warning in printed
