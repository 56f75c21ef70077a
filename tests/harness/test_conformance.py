"""The corpus of malformed replies, complete and split at every position, is read as expected."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.endpoint.assemble import assemble
from harness.endpoint.stream import ReplyReader
from harness.parsing.repair_history import check_history, repair_messages, repair_tools
from harness.parsing.reply import ReadReply, ToolSpec, canonical_message, read_reply

Case = dict[str, Any]

CASES: list[Case] = [
    json.loads(line)
    for path in sorted((Path(__file__).parents[1] / "conformance").glob("*.jsonl"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
TEXT, WHOLE, NUMBER, YES_NO = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))


def tool(name: str, required: dict[str, Any], optional: dict[str, Any] | None = None, **risks: bool) -> ToolSpec:
    parameters = {"type": "object", "properties": {**required, **(optional or {})}, "required": [*required]}
    return ToolSpec(name, name, parameters, **{"is_reversible": True, **risks})


TOOLS = (
    tool("bash", {"command": TEXT}),
    tool("write_file", {"path": TEXT, "content": TEXT}, shows_effect=True),
    tool("edit_file", {"path": TEXT, "old": TEXT, "new": TEXT}, shows_effect=True),
    tool("read_file", {"path": TEXT}, {"offset": WHOLE, "limit": WHOLE}, shows_effect=True),
    tool("view", {"path": TEXT}, {"range": {"type": "array", "items": WHOLE}, "numbered": YES_NO}, shows_effect=True),
    tool("job_list", {}, shows_effect=True),
    tool("set_norm", {"norm": {"type": "string", "enum": ["none", "l2"]}}),
    tool("wait", {"jobs": {"type": "array", "items": TEXT}}, {"seconds": NUMBER}),
    tool("kill", {"job": TEXT}, is_reversible=False),
    tool("submit", {"path": TEXT}, {"final": YES_NO, "note": TEXT}, is_reversible=False),
)


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in CASES if case["kind"] in kinds]


def performed(reply: ReadReply) -> list[dict[str, Any]]:
    return [{"name": call.name, "arguments": json.loads(call.arguments)} for call in reply.calls if not call.problem]


def as_expected(reply: ReadReply, expect: dict[str, Any]) -> None:
    if expect.get("may_refuse") and not performed(reply):
        assert any(call.problem for call in reply.calls), "a refusal is told"
        return
    assert reply.outcome in (expect["outcome"], *expect.get("or_outcome", ()))
    assert performed(reply) == expect.get("calls", [])
    if "content" in expect:
        assert reply.text == expect["content"]
    if "reasoning" in expect:
        assert reply.thinking == expect["reasoning"]
    if "renamed_ids" in expect:
        assert [call.id for call in reply.calls] == expect["renamed_ids"]
    if "replay_field" in expect:
        assert reply.reasoning_field == expect["replay_field"]
    if reply.outcome in ("tool_error", "ambiguous", "partial"):
        assert any(call.problem for call in reply.calls), "a call that is not performed is answered"


def whole(case: Case) -> ReadReply:
    message = copy.deepcopy(case["input"])
    return read_reply(message, message.pop("finish_reason"), TOOLS)


@pytest.mark.parametrize("case", of_kind("message"))
def test_reply_is_read_as_expected(case: Case) -> None:
    as_expected(whole(case), case["expect"])


@pytest.mark.parametrize("case", of_kind("message"))
def test_history_message_is_valid_and_reads_the_same_again(case: Case) -> None:
    reply = whole(case)
    message = canonical_message(reply)
    results = [{"role": "tool", "tool_call_id": call.id, "content": ""} for call in reply.calls]
    assert check_history([{"role": "user", "content": ""}, message, *results]) == ()
    again = read_reply(message, "tool_calls" if reply.calls else case["input"]["finish_reason"], TOOLS)
    assert [(call.id, call.name, call.arguments) for call in again.calls] == [
        (call.id, call.name, call.arguments) for call in reply.calls
    ]
    assert all(call.repair_step == "native" for call in again.calls if not call.problem)
    assert canonical_message(again) == message


@pytest.mark.parametrize("case", of_kind("message"))
def test_reasoning_returns_byte_for_byte(case: Case) -> None:
    reply = whole(case)
    given = case["input"].get(reply.reasoning_field)
    if reply.reasoning_field == "content":
        taken = given[: given.find("</")] if "</" in given and "<tool" not in given else given[:20]
        assert canonical_message(reply)["content"].startswith(taken.rstrip())
    elif reply.reasoning_field != "none" and given:
        assert canonical_message(reply)[reply.reasoning_field] == given


@pytest.mark.parametrize("case", of_kind("stream"))
def test_stream_is_read_as_expected(case: Case) -> None:
    message, _ = assemble([(delta, "") for delta in case["input"]])
    as_expected(read_reply(message, "tool_calls" if message["tool_calls"] else "stop", TOOLS), case["expect"])


@pytest.mark.parametrize("case", of_kind("message"))
def test_split_position_in_a_stream_does_not_matter(case: Case) -> None:
    expected = whole(case)
    for deltas in cut_everywhere(case["input"]):
        message, _ = assemble([(delta, "") for delta in deltas], "delta")
        reply = read_reply(message, case["input"]["finish_reason"], TOOLS)
        assert (reply.outcome, performed(reply), reply.text) == (expected.outcome, performed(expected), expected.text)


@pytest.mark.parametrize("case", of_kind("message"))
def test_single_byte_chunks_read_the_same(case: Case) -> None:
    expected = whole(case)
    if expected.outcome == "empty":
        return
    deltas = [delta for delta in next(iter(cut_everywhere(case["input"]))) if delta]
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": case["input"]["finish_reason"]}]})
    reader = ReplyReader("delta")
    for byte in "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode():
        reader.feed(bytes([byte]))
    raw = reader.finish()
    reply = read_reply(raw.message, raw.finish_reason, TOOLS)
    assert (reply.outcome, performed(reply), reply.text) == (expected.outcome, performed(expected), expected.text)


@pytest.mark.parametrize("case", of_kind("history"))
def test_history_is_repaired_or_refused(case: Case) -> None:
    expect, before = case["expect"], copy.deepcopy(case["input"])
    mended = repair_messages(case["input"])
    assert case["input"] == before
    assert mended.outcome == expect["outcome"]
    calls = [call for message in mended.messages for call in message.get("tool_calls", ())]
    if "arguments" in expect:
        assert [call["function"]["arguments"] for call in calls] == [expect["arguments"]]
    for wanted, found in (
        ("roles", [message["role"] for message in mended.messages]),
        ("contents", [message["content"] for message in mended.messages]),
        ("ids", [call["id"] for call in calls]),
    ):
        assert found == expect.get(wanted, found)
    assert repair_messages(mended.messages).changed == ()


@pytest.mark.parametrize("case", of_kind("request"))
def test_tools_always_have_parameters(case: Case) -> None:
    for mended in repair_tools(case["input"]["tools"]):
        assert mended["function"]["parameters"] == case["expect"]["parameters"]


def cut_everywhere(message: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The reply as two deltas, for every place in its content, and for every place in each call's arguments."""
    content, calls = message.get("content") or "", message.get("tool_calls") or []
    if message.get("function_call"):
        calls = [{"id": "c1", "function": message["function_call"]}]
    thinking = {key: value for key, value in message.items() if key.startswith("reasoning")}
    opened = [indexed(place, call) for place, call in enumerate(calls)]
    told = [{"tool_calls": [call]} for call in opened]
    for place in range(len(content) + 1):
        yield [thinking, {"content": content[:place]}, {"content": content[place:]}, *told]
    for number, call in enumerate(opened):
        arguments = call["function"].get("arguments")
        for place in range(1, len(arguments) if isinstance(arguments, str) else 0):
            first, second = copy.deepcopy(call), {"index": number, "function": {"arguments": arguments[place:]}}
            first["function"]["arguments"] = arguments[:place]
            pieces = [{"tool_calls": [first]}, {"tool_calls": [second]}]
            yield [thinking, {"content": content}, *told[:number], *pieces, *told[number + 1 :]]


def indexed(place: int, call: Any) -> dict[str, Any]:
    call = copy.deepcopy(call) or {}
    return {"index": place, "function": {}, **call}
