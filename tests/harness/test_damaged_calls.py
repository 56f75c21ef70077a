"""Calls of each dialect, quoted, cut, thought of or followed by words: none runs that was not meant, none is lost."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from harness.parsing.reply import ReadReply, read_reply
from tests.harness.dialect_texts import DIALECTS, THINKING
from tests.harness.test_conformance import TOOLS

REMOVE, LIST, WHERE = (("bash", {"command": command}) for command in ("rm -r runs", "ls data", "pwd"))
NOT_MEANT = (
    "Earlier I called {} and that was a mistake.",
    "For example:\n```\n{}\n```\nis what I would not do.",
    "I could write `{}` here but do not.",
    "{}\nNo wait, that deletes everything. I will not.",
    'The log says "{}".',
    "The log says “{}”.",
    "The log says: '{}'",
    "(The last one was {}.)",
    "({})",
    "> {}",
    "<!-- {} -->",
    "| call | result |\n|---|---|\n| {} | bad |",
    "The user wrote: {}\n\nShould I run it?",
    "1. {}\n2. something else",
    "{}\n<tool_response>\ndone\n</tool_response>\nThe folder is gone.",
    "{}\n<result>removed</result>\nAll removed.",
)
INSIDE_VALUES = (
    "</parameter>", "</invoke>", "</function>", "</tool_call>", "<|tool_call_end|>", "<｜tool▁call▁end｜>",
    "</arg_value>", "<arg_key>", "<|close|>argument<|sep|>", "]<]minimax[>[</content>", "</｜DSML｜parameter>",
    "<|call|>", "[/TOOL_CALLS]", "```", "</TOOLCALL>", "}", "]", '"', "\\", "</think>", "<think>", "<|end|>",
    "&lt;b&gt;", "\u2028", "🙂", "0042", "null", '{"a":1}',
)  # fmt: skip


def read(content: str, finish: str = "stop", **more: Any) -> ReadReply:
    return read_reply({"content": content, **more}, finish, TOOLS)


def ran(reply: ReadReply) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in reply.calls if not call.problem]


def is_told(reply: ReadReply) -> bool:
    """Whether the model hears that something did not run."""
    return any(call.problem for call in reply.calls) or bool(reply.unread_dialect) or reply.outcome != "text"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_call_that_is_not_meant_never_runs(dialect: str) -> None:
    for text in NOT_MEANT:
        assert ran(read(text.format(DIALECTS[dialect]([REMOVE])))) == [], text
    assert (
        ran(read(f"{DIALECTS[dialect]([LIST])}\n<tool_response>a</tool_response>\n{DIALECTS[dialect]([REMOVE])}")) == []
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_thought_is_never_taken_for_the_call_after_it(dialect: str) -> None:
    for opening, closing in THINKING.values():
        reply = read(f"{opening}maybe {DIALECTS[dialect]([REMOVE])} no{closing}{DIALECTS[dialect]([LIST])}")
        assert ran(reply) in ([], [LIST])
        assert ran(read(f"{opening}maybe {DIALECTS[dialect]([REMOVE])} but no, keep it{closing}I keep it.")) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_cut_call_never_runs(dialect: str) -> None:
    text = DIALECTS[dialect]([REMOVE])
    for end, finish in itertools.product(range(len(text)), ("length", "stop")):
        reply = read(text[:end], finish)
        assert ran(reply) in ([], [REMOVE]), text[:end]
        if finish == "length" and text[:end].strip():
            assert ran(reply) or is_told(reply)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_value_with_marks_is_kept_whole_or_refused_with_a_word(dialect: str) -> None:
    for mark, form in itertools.product(INSIDE_VALUES, ("a{}b", "{}", "x {}", "{} y")):
        call = ("bash", {"command": f"echo '{form.replace('{}', mark)}'"})
        reply = read(DIALECTS[dialect]([call]))
        assert ran(reply) in ([], [call]), call
        assert ran(reply) or is_told(reply), call


@pytest.mark.parametrize("dialect", DIALECTS)
def test_calls_of_two_dialects_are_each_run_or_answered(dialect: str) -> None:
    for other in DIALECTS:
        reply = read(f"{DIALECTS[dialect]([LIST])}\n{DIALECTS[other]([WHERE])}")
        assert all(call in (LIST, WHERE) for call in ran(reply)), other
        assert len(ran(reply)) == 2 or is_told(reply), other
        quoting = ("bash", {"command": f"echo {DIALECTS[other]([REMOVE])}"})
        assert ran(read(DIALECTS[dialect]([quoting]))) in ([], [quoting]), other


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ('{"command":"ls"}{"command":"rm -r runs"}', None),
        ('{"command":"ls","command":"rm"}', None),
        ('["ls"]', None),
        ("ls", None),
        ('{"command":null}', None),
        ('{"command":"ls<|call|>"}', None),
        ('{"command":"ls</｜DSML｜parameter>"}', None),
        ('{"name":"kill","arguments":{"command":"ls"}}', None),
        ('{"arguments":{"command":"ls"}}', "ls"),
        ("{'command': 'ls'}", "ls"),
        ('{"command": "ls\nrm"}', "ls\nrm"),
    ],
)
def test_native_arguments_are_read_as_meant_or_refused(arguments: str, command: str | None) -> None:
    native = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": arguments}}
    reply = read("", "tool_calls", tool_calls=[native])
    assert ran(reply) in ([], [("bash", {"command": command})])
    assert ran(reply) or is_told(reply)
