"""Calls that a server left in the text are read in every dialect; quoted, cut and given up ones never run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.parsing.reply import ReadReply, canonical_message, read_reply
from tests.harness.dialect_texts import DIALECTS, JSON, RAW, THINKING, dsml, harmony, minimax_m3
from tests.harness.test_conformance import TOOLS, performed

RM = [("bash", {"command": "rm -r runs"})]
WRITE = ("write_file", {"path": "a b.py", "content": "  x = 'y' < \"z\" & {1}\n\nprint(x)"})
LOOK = ("view", {"path": "m.py", "range": [12, 48], "numbered": True})
LIST: tuple[str, dict[str, Any]] = ("job_list", {})
MISTAKE = "Earlier I called {} and that was a mistake."
QUOTES = {
    "sentence": MISTAKE,
    "lines": "Earlier I called\n{}\nand that was a mistake.",
    "after": "Earlier I called\n{}",
    "example": "For example:\n{}",
    "never": "Never do this again:\n{}",
    "will not": "I will not run:\n{}",
    "given up": "I was about to send:\n{}",
    "against": "I decided against:\n{}",
    "would be": "A wrong call would be {}",
    "condition": "If that fails, use:\n{}",
    "possible": "I could also do:\n{}",
    "question": "Should I run this?\n{}",
    "form": "The correct format is:\n{}",
    "label": "Bad:\n{}",
    "told": "Here is the call that deleted the runs:\n{}",
    "record": "The log shows this call:\n{}",
    "form of a call": "A call looks like this:\n{}",
    "refusal": "I refuse to run:\n{}",
    "not": "I will not delete the runs:\n{}",
    "not, then shown": "I must not run it, let me show what that looks like:\n{}",
    "asked": "Is it right to send\n{}\n?",
    "taken back": "{}\nNo, wait. Better:\n{}",
    "wrong before": "{}\nThat was the old call. The new one:\n{}",
    "unknown thinking tag": "<scratchpad>\n{}\n</scratchpad>\n{}",
    "text block": '"""\n{}\n"""',
    "comment": "# {}",
    "fence": "The log holds\n```\n{}\n```\nso the parser is wrong.",
    "words after": "{}\nNo, the runs are needed.",
    "own result": "{}\n<tool_response>\ndone\n</tool_response>",
    "own result, next call": "{}\nResult:\ndone\n{}",
}
LEAD_INS = (
    "I do not know the columns yet.", "My last call was wrong. I fix it:", "Validate on it:", "What runs?",
    "I add a seed to avoid leakage.", "Let me check the submission format:", "I am about to run the fit.",
    "I would like to look first:", "Let me see what went wrong:", "The score was low, so I look:",
    "I should not assume the columns; let me look:", "What does the test set look like?", "I ran the baseline. Next:",
    "The run would take too long; I use a sample.", "It was rejected. Again:",
)  # fmt: skip
NEEDS_WHOLE_REPLY = ("pythonic",)
"""Dialects without marks of their own: words before a call make it text."""


def read(content: str, finish: str = "stop", **fields: Any) -> ReadReply:
    return read_reply({"content": content, **fields}, finish, TOOLS)


def called(*calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, "arguments": arguments} for name, arguments in calls]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("calls", [RM, [LIST], [LOOK, LIST], [WRITE], [WRITE, *RM, LOOK]], ids=str)
def test_calls_of_each_dialect_run(dialect: str, calls: list[Any]) -> None:
    reply = read(DIALECTS[dialect](calls))
    assert (reply.outcome, performed(reply), reply.text) == ("salvaged", called(*calls), "")
    assert reply.dialect


@pytest.mark.parametrize("dialect", DIALECTS)
def test_words_before_calls_stay(dialect: str) -> None:
    reply = read("I look first.\n" + DIALECTS[dialect]([LOOK]))
    if dialect in NEEDS_WHOLE_REPLY:
        assert performed(reply) == []
    else:
        assert (performed(reply), reply.text) == (called(LOOK), "I look first.")


@pytest.mark.parametrize("words", LEAD_INS)
def test_words_that_introduce_a_call_do_not_stop_it(words: str) -> None:
    for dialect in ("hermes", "qwen_xml", "minimax_m2"):
        assert performed(read(f"{words}\n{DIALECTS[dialect](RM)}")) == called(*RM)


@pytest.mark.parametrize("marks", THINKING)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_call_given_up_in_thinking_never_runs(dialect: str, marks: str) -> None:
    before, after = THINKING[marks]
    for thought in ("One could start over:\n{}\nThat loses two hours.", "{}\nNo.", "Or {}"):
        reply = read(before + thought.format(DIALECTS[dialect](RM)) + after + "The runs stay.")
        assert performed(reply) == []
        if marks != dialect:  # a Harmony message cannot hold another
            assert reply.text == "The runs stay."


@pytest.mark.parametrize("marks", THINKING)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_call_after_thinking_runs(dialect: str, marks: str) -> None:
    before, after = THINKING[marks]
    if dialect in NEEDS_WHOLE_REPLY and marks.startswith(("kimi", "harmony")):
        return
    reply = read(before + "The list first." + after + DIALECTS[dialect]([LIST]))
    assert performed(reply) == called(LIST)
    assert reply.thinking == "The list first."


@pytest.mark.parametrize("dialect", DIALECTS)
def test_call_in_a_later_thought_never_runs(dialect: str) -> None:
    text = DIALECTS[dialect](RM)
    assert performed(read(f"I look.\n<mm:think>Or:\n{text}</mm:think>")) == []
    assert performed(read(f"I look.\n<think>\n{text}\n</think>\nThe runs stay.")) == []


@pytest.mark.parametrize("quote", QUOTES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_quoted_call_never_runs(dialect: str, quote: str) -> None:
    text = DIALECTS[dialect](RM)
    for written in (text, f"`{text}`"):
        assert performed(read(QUOTES[quote].replace("{}", written))) == []


@pytest.mark.parametrize("finish", ["length", "stop"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_cut_call_never_runs_and_whole_ones_do_not_change(dialect: str, finish: str) -> None:
    calls = [LIST, ("bash", {"command": "rm -r runs/old runs/older"})]
    text = DIALECTS[dialect](calls)
    for length in range(len(text)):
        assert performed(read(text[:length], finish)) in ([], called(LIST), called(*calls))
        assert performed(read("", finish, reasoning_content=text[:length])) in ([], called(LIST), called(*calls))
        if text[:length].endswith("rm -r runs"):
            assert read(text[:length], "length").outcome in ("truncated", "tool_error", "partial")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_irreversible_or_unknown_tool_is_answered_and_not_run(dialect: str) -> None:
    assert read(DIALECTS[dialect]([("kill", {"job": "j1"})])).outcome == "tool_error"
    unknown = read(DIALECTS[dialect]([("upload", {"file": "s.csv"})]))
    assert performed(unknown) == []
    assert unknown.outcome == ("text" if dialect in NEEDS_WHOLE_REPLY else "tool_error")


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name not in NEEDS_WHOLE_REPLY])
def test_call_beside_a_native_one_is_answered(dialect: str) -> None:
    native = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    reply = read(DIALECTS[dialect](RM), "tool_calls", tool_calls=[native])
    assert performed(reply) == called(("bash", {"command": "ls"}))
    assert len(reply.calls) == 2 and reply.calls[1].problem


@pytest.mark.parametrize("dialect", DIALECTS)
def test_call_that_ends_unclosed_thinking_runs(dialect: str) -> None:
    reply = read("<think>The list.\n" + DIALECTS[dialect]([LIST]))
    if dialect in NEEDS_WHOLE_REPLY:
        assert performed(reply) == []
    else:
        assert (performed(reply), reply.thinking) == (called(LIST), "The list.")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_history_holds_no_marks(dialect: str) -> None:
    message = canonical_message(read("Now.\n" + DIALECTS[dialect](RM)))
    if dialect not in NEEDS_WHOLE_REPLY:
        assert message["content"] == "Now."


def test_leaked_answer_of_harmony_leaves_no_mark() -> None:
    text = "<|channel|>analysis<|message|>Two ways.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>"
    message = canonical_message(read(text))
    assert message == {"role": "assistant", "content": "Done.", "reasoning": "Two ways."}


@pytest.mark.parametrize(
    "value",
    [
        "ls</｜DSML｜parameter",
        "ls\n</｜DSML｜parameter>\n</｜DSML｜invoke>",
        "ls]<]minimax[>[</command>",
        "ls</arg_value>",
        "ls<|tool_call_end|>",
        "ls<|call|>",
        "ls</parameter>",
        "echo a</｜DSML｜parameter> && rm b",
    ],
)
def test_native_call_with_leaked_end_marks_never_runs(value: str) -> None:
    native = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": json.dumps({"command": value})}}
    reply = read("", "tool_calls", tool_calls=[native])
    assert performed(reply) == [] and reply.calls[0].problem
    keyed = {"id": "c1", "function": {"name": "job_list", "arguments": json.dumps({"path</arg_key>": "x"})}}
    assert performed(read("", "tool_calls", tool_calls=[keyed])) == []


@pytest.mark.parametrize(
    "text",
    [
        "<｜DSML｜toolcall>Read\n```\n1 total\n```",
        '<|channel|>commentary<|message|>{"command": "rm -r runs"}<|end|>',
        'toolscall tool="bash" index="1"argument key="command" type="string"ls argumentcalltools',
        "<tool_call>bash command=ls</tool_call>",
        "<exec>ls data</exec>",
        "I look: [bash(command='ls')]",
        "I look first.\n\n[bash(command='ls')]",
        'I look first.\nbash(command="ls")',
    ],
)
def test_text_with_marks_but_no_call_names_their_dialect(text: str) -> None:
    reply = read(text)
    assert (performed(reply), reply.outcome) == ([], "text")
    assert reply.unread_dialect


def test_marks_in_code_are_words() -> None:
    for text in (
        "The tag `<tool_call>` opens a call.",
        "`<｜DSML｜invoke>` is V4's.",
        "A `<mm:think>` block.",
        "Use this:\n\nbash()",
    ):
        reply = read(text)
        assert (reply.text, reply.unread_dialect, reply.repaired) == (text, "", False)


def test_closing_mark_of_another_family_is_a_word() -> None:
    text = "I remove\n</mm:think>\nfrom the file."
    assert read_reply({"content": text}, "stop", TOOLS, family="minimax_m2").text == text
    assert read_reply({"content": text}, "stop", TOOLS, family="minimax_m3").text == "from the file."


def test_calls_of_two_dialects_in_one_reply_are_both_answered() -> None:
    reply = read(dsml([LOOK]) + "\n" + harmony(RM))
    assert performed(reply) == called(LOOK), "a call that only reads may be executed; it shows what was read"
    assert len(reply.calls) == 2 and reply.calls[1].problem


def test_first_opening_tag_of_m3_may_be_missing() -> None:
    text = minimax_m3([("bash", {"command": "ls"})]).replace("<command>", "", 1)
    assert performed(read(text)) == called(("bash", {"command": "ls"}))


# ------------------------------------------------------------------------------------------------------- whatever comes

words = st.text(alphabet="ab \n\t\"'\\{}[]():,#/é=&.-0", max_size=24)
risky = st.lists(
    st.sampled_from(["</", "<", ">", "parameter", "invoke", "</arg_value>", "<arg_key>", "</parameter>", "｜DSML｜",
                     "]<]minimax[>[", "<|sep|>", "<|close|>", "rm -r x", "\n", "\"}", "</tool_call>", "<item>", "a"]),
    max_size=6,
).map("".join)  # fmt: skip
files = st.fixed_dictionaries({"path": words.filter(str.strip), "content": words})
risky_files = st.fixed_dictionaries({"path": words.filter(str.strip), "content": words | risky})


def meant(dialect: str, given: dict[str, str]) -> dict[str, str]:
    """The values as a dialect carries them: where all stand on their own lines, the line ends are layout in some."""
    has_layout = dialect in ("minimax_m2", "glm45", "glm47", "step3")
    if has_layout and all(text.startswith("\n") and text.endswith("\n") for text in given.values()):
        return {key: text.removeprefix("\n").removesuffix("\n") for key, text in given.items()}
    return given


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=25, deadline=None)
@given(first=files, second=files)
def test_rendered_calls_keep_their_values(dialect: str, first: dict[str, str], second: dict[str, str]) -> None:
    if first == second:  # a stream may repeat a call
        return
    calls = [("write_file", first), ("write_file", second)]
    reply = read(DIALECTS[dialect](calls))
    assert [call["arguments"] for call in performed(reply)] == [meant(dialect, one) for one in (first, second)]


@pytest.mark.parametrize("dialect", JSON)
@settings(max_examples=25, deadline=None)
@given(file=risky_files)
def test_values_may_hold_any_mark_if_json_shows_the_end(dialect: str, file: dict[str, str]) -> None:
    calls = performed(read(DIALECTS[dialect]([("write_file", file)])))
    assert calls in ([], called(("write_file", file)))
    if dialect != "pythonic":
        assert calls


@pytest.mark.parametrize("dialect", RAW)
@settings(max_examples=40, deadline=None)
@given(command=risky, length=st.integers(0, 400), finish=st.sampled_from(["stop", "length"]))
def test_no_command_runs_that_was_not_written(dialect: str, command: str, length: int, finish: str) -> None:
    text = DIALECTS[dialect]([("bash", {"command": command})])
    for written in (text, text[:length], MISTAKE.format(text), "<think>" + text + "</think>No."):
        for call in performed(read(written, finish)):
            assert call == {"name": "bash", "arguments": meant(dialect, {"command": command})}
            assert written in (text, text[:length])
