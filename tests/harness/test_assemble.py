"""Chunks of a stream are joined: deltas, cumulative chunks, wrong indexes, surrogate halves."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoint.assemble import assemble, join
from harness.endpoint.errors import TransientFailure
from harness.endpoint.stream import RawReply, ReplyReader

XML = '<minimax:tool_call>\n<invoke name="bash">\n<parameter name="command">ls</parameter>\n</invoke>'
ARGUMENTS = '{"command": "echo {\\"a\\": 1}", "wait_seconds": 30}'


def made(*deltas: dict[str, Any], usually: bool = False) -> dict[str, Any]:
    message, _ = assemble([(delta, "") for delta in deltas], "auto", usually)
    return {key: value for key, value in message.items() if value is not None}


def call(index: Any = 0, id: Any = None, name: Any = None, arguments: Any = "") -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}


def calls_of(message: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in message["tool_calls"]]


def read(*chunks: Any, usually: bool = False) -> RawReply:
    reader = ReplyReader(is_usually_delta=usually)
    for chunk in chunks:
        reader.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    return reader.finish()


def said(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_deltas_are_joined_in_order(text: str, cuts: list[int]) -> None:
    text = text.encode("utf-8", "replace").decode()
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(at)]
    assert join(pieces, "delta") == text


@pytest.mark.parametrize("text", [XML, ARGUMENTS, "I will look.", "The answer is 42.\n\n"])
def test_split_text_is_not_taken_for_cumulative(text: str) -> None:
    for at in range(1, len(text)):
        assert made({"content": text[:at]}, {"content": text[at:]})["content"] == text
        assert (
            calls_of(made(call(0, "c", "bash"), call(0, None, None, text[:at]), call(0, None, None, text[at:])))[0][2]
            == text
        )
    assert made(*({"content": letter} for letter in text))["content"] == text


def test_cumulative_chunks_are_replaced_not_joined() -> None:
    deltas = ({"reasoning_details": [{"text": "pl"}]}, {"reasoning_details": [{"text": "plan"}]})
    assert made(*deltas, {"content": "do"}, {"content": "done"}) == {
        "reasoning_details": [{"text": "plan"}],
        "content": "done",
    }


def test_two_matching_pieces_are_deltas_if_deltas_are_usual() -> None:
    assert made({"content": "ha"}, {"content": "haha!"}, usually=True)["content"] == "hahaha!"
    text = "A long first sentence that is said again."
    assert made({"content": text}, {"content": text + " And more."}, usually=True)["content"] == text + " And more."


def test_repeated_words_of_a_delta_stream_are_kept() -> None:
    assert made(*({"content": word} for word in ("no", " no", " no", "!", "!")))["content"] == "no no no!!"
    assert made({"content": "="}, {"content": "="}, {"content": "="})["content"] == "==="


def test_long_cumulative_stream_keeps_only_its_last_version() -> None:
    reader = ReplyReader()
    text = "word " * 4000
    for end in range(0, len(text), 20):
        reader.feed(f"data: {json.dumps(said(text[:end]))}\n\n".encode())
    reader.feed(f"data: {json.dumps(said(text, 'stop'))}\n\n".encode())
    assert reader.finish().message["content"] == text
    assert reader.held < 1_000_000


def test_pieces_without_name_and_id_are_one_call() -> None:
    message = made(call(0, "c1", "bash"), call(0, None, None, '{"com'), call(0, "", None, 'mand":"ls"}'))
    assert calls_of(message) == [("c1", "bash", '{"command":"ls"}')]


def test_nameless_entry_under_a_new_index_continues_the_last_call() -> None:
    message = made(call(0, "c1", "bash"), call(1, None, None, '{"command":"ls"}'))
    assert calls_of(message) == [("c1", "bash", '{"command":"ls"}')]


def test_calls_that_share_an_index_are_distinguished_by_id_and_name() -> None:
    message = made(call(0, "a", "bash", '{"command":"x"}'), call(0, "b", "bash", '{"command":"y"}'))
    assert calls_of(message) == [("a", "bash", '{"command":"x"}'), ("b", "bash", '{"command":"y"}')]


def test_a_name_sent_with_every_piece_is_one_name() -> None:
    message = made(call(0, "a", "bash", '{"command"'), call(0, "a", "bash", ':"x"}'))
    assert calls_of(message) == [("a", "bash", '{"command":"x"}')]


@pytest.mark.parametrize("repeats", [{"command": "ls"}, None, ["x"]])
def test_arguments_that_are_not_text_are_unchanged(repeats: Any) -> None:
    assert calls_of(made(call(0, "a", "bash", repeats)))[0][2] == repeats


def test_reasoning_in_two_fields_is_not_joined() -> None:
    message = made({"reasoning": "hm", "reasoning_content": "hm"}, {"reasoning": " so", "reasoning_content": " so"})
    assert message["reasoning"] == message["reasoning_content"] == "hm so"


def test_entries_of_reasoning_details_keep_their_fields_and_their_order() -> None:
    first = {"type": "reasoning.text", "id": "r1", "format": "m", "index": 0, "text": "a"}
    message = made({"reasoning_details": [first]}, {"reasoning_details": [{**first, "text": "b c"}]},
                   {"reasoning_details": [{"type": "reasoning.text", "index": 1, "text": "d"}]})  # fmt: skip
    assert json.dumps(message["reasoning_details"]) == json.dumps(
        [{**first, "text": "ab c"}, {"type": "reasoning.text", "index": 1, "text": "d"}]
    )


def test_surrogate_halves_in_two_chunks_are_joined() -> None:
    reader = ReplyReader()
    for half in ("\\ud83d", "\\ude00"):
        reader.feed(b'data: {"choices":[{"delta":{"content":"' + half.encode() + b'"}}]}\n\n')
    reader.feed(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
    assert reader.finish().message["content"] == "😀"


def test_reply_without_finish_reason_is_incomplete() -> None:
    with pytest.raises(TransientFailure) as cut:
        read(said("half an ans"))
    assert cut.value.was_cut
    with pytest.raises(TransientFailure) as empty:
        read({"choices": []})
    assert not empty.value.was_cut


def test_only_the_first_choice_is_read() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": "stop"}]}
    assert read(said("one"), other, said(" two", "stop")).message["content"] == "one two"


def test_duplicate_chunk_with_equal_usage_counts_once() -> None:
    def counted(text: str, tokens: int) -> dict[str, Any]:
        return said(text) | {"usage": {"completion_tokens": tokens}}

    reply = read(counted("a", 1), counted("b", 2), counted("b", 2), counted("b", 3), said("", "stop"))
    assert reply.message["content"] == "abb"


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_do_not_break_the_reader(data: bytes, in_stream: bool) -> None:
    reader = ReplyReader()
    try:
        reader.feed(b"data: " + data + b"\n\n" if in_stream else data)
        reader.finish()
    except TransientFailure:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(
            ["choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index",
             "reasoning_details", "text", "usage", "finish_reason", "error", "type", "id"]), inner, max_size=4)
    ),
    max_leaves=25,
)  # fmt: skip


@given(st.lists(json_values, max_size=4))
def test_arbitrary_json_does_not_break_the_reader(chunks: list[Any]) -> None:
    for whole in (chunks, [{"choices": [{"delta": chunk, "finish_reason": "stop"}]} for chunk in chunks],
                  [{"choices": [{"message": chunk, "finish_reason": "stop"}]} for chunk in chunks]):  # fmt: skip
        try:
            json.dumps(read(*whole).message)
        except TransientFailure:
            continue
