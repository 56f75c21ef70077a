"""The bytes of a request, and events read back from bytes that were split anywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from harness.endpoint.profiles import OPENAI, VLLM, profile_for
from harness.endpoint.request_body import AnsweredIds, optional_fields, request_body
from harness.endpoint.server_sent_events import EventReader, is_done, parse, read_chunks

MINIMAX = profile_for("https://api.minimax.io/v1", "MiniMax-M2.7", None)
USER = '{"role":"user","content":"Größe ☀️"}'.encode()
STREAM = (
    b"\xef\xbb\xbf: hello\r\n\r\nevent: message\nid: 7\ndata: {\"a\": \"caf\xc3\xa9 \xe2\x98\x80\"}\n\n"
    b"data:{\"b\":\rdata: 2}\r\rretry: 10\n\ndata: [DONE]\r\n\r\n"
)  # fmt: skip


def events_of(pieces: list[bytes]) -> list[bytes]:
    reader = EventReader()
    found = [event for piece in pieces for event in reader.feed(piece)]
    return [event.data for event in [*found, *reader.close()]]


def body_of(*arguments: Any, **named: Any) -> bytes:
    """The whole body of a request."""
    body = request_body(*arguments, **named)
    assert len(body) == len(bytes(body))
    assert b"".join(body) == bytes(body)
    return bytes(body)


def test_large_body_is_sent_in_equal_parts() -> None:
    message = b'{"role":"user","content":"' + b"x" * 3000 + b'"}'
    body = request_body(OPENAI, b"", b"[]", [message] * 500)
    parts = list(body)
    assert b"".join(parts) == bytes(body)
    assert max(map(len, parts)) < 110_000
    assert len(json.loads(bytes(body))["messages"]) == 500


def test_body_joins_fragments_messages_first() -> None:
    profile = replace(VLLM, model="m", temperature=1.0, top_k=40)
    body = body_of(profile, b'{"role":"system","content":""}', b'[{"x":1}]', [USER, USER])
    assert body.startswith(
        b'{"messages":[{"role":"system","content":""},' + USER + b"," + USER + b'],"tools":[{"x":1}]'
    )
    rest = json.loads(body)
    assert (rest["model"], rest["stream"], rest["temperature"], rest["top_k"]) == ("m", True, 1.0, 40)
    assert rest["max_tokens"] == VLLM.output_tokens


def test_bodies_of_one_epoch_share_their_prefix() -> None:
    first = body_of(OPENAI, b"", b"[]", [USER])
    second = body_of(OPENAI, b"", b"[]", [USER, USER])
    shared = first[: first.index(b"]")]
    assert second.startswith(shared)


def test_no_tools_means_no_tools_field() -> None:
    assert b'"tools"' not in body_of(OPENAI, b"", b"[]", [USER])
    assert b'"tools"' not in body_of(OPENAI, b"", b"", [USER])


def test_sampling_is_clamped_to_accepted_ranges() -> None:
    hot = replace(MINIMAX, temperature=3.0, top_p=0.0)
    body = json.loads(body_of(hot, b"", b"", [USER]))
    assert body["temperature"] == 1.0 and body["top_p"] == 0.01 and body["reasoning_split"] is True


def test_refused_fields_are_left_out_except_the_model() -> None:
    body = json.loads(body_of(MINIMAX, b"", b"", [USER], dropped={"top_k", "reasoning_split", "model", "stream"}))
    assert "top_k" not in body and "reasoning_split" not in body and body["model"] and body["stream"]
    assert {"top_k", "stream_options", "max_completion_tokens"} <= optional_fields(MINIMAX)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@example(list(range(len(STREAM))))
def test_split_position_of_bytes_does_not_matter(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(at)]
    expected = ['{"a": "café ☀"}'.encode(), b'{"b":\n2}', b"[DONE]"]
    assert events_of(pieces) == expected


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_arbitrary_bytes_do_not_break_the_reader(pieces: list[bytes]) -> None:
    for data in events_of(pieces):
        read_chunks(data)
        is_done(data)


def test_chunks_separated_by_one_line_end_are_split() -> None:
    assert read_chunks(b'{"a":1}\n{"b":2}\n[DONE]') == [{"a": 1}, {"b": 2}]
    assert is_done(b'{"a":1}\n[DONE]') and not is_done(b'{"a":"[DONE]"}')


def test_null_and_invalid_data_are_not_chunks() -> None:
    assert read_chunks(b"null") == []
    assert read_chunks(b"{broken") is None
    assert read_chunks(b'{"a":1}\n{broken') is None


def test_json_is_read_leniently() -> None:
    assert parse(b'{"a":"x\ny","b":NaN}') == {"a": "x\ny", "b": None}


def test_ids_of_answered_calls_are_found_once() -> None:
    ids = AnsweredIds()
    messages = [USER, b'{"role":"tool","tool_call_id":"c1","content":"\\"tool_call_id\\":\\"no\\""}']
    assert ids.of(messages) == {"c1"}
    messages.append(b'{"role":"tool","content":"","tool_call_id": "c2"}')
    assert ids.of(messages) == {"c1", "c2"}
    assert ids.of([USER]) == set()


def test_turn_with_calls_gets_the_empty_reasoning_field_that_deepseek_wants() -> None:
    call = b'{"role":"assistant","content":"","tool_calls":[{"id":"c","type":"function","function":{}}]}'
    said = b'{"role":"assistant","content":"\\"tool_calls\\": none"}'
    thought = b'{"role":"assistant","content":"","reasoning_content":"hm","tool_calls":[]}'
    profile = profile_for("https://api.deepseek.com", "deepseek-flash", None)
    sent = json.loads(body_of(profile, b"", b"", [USER, call, said, thought]))["messages"]
    assert [message.get("reasoning_content") for message in sent] == [None, "", None, "hm"]
    assert {**sent[1], "reasoning_content": None} == {**json.loads(call), "reasoning_content": None}
    assert call in body_of(OPENAI, b"", b"", [USER, call])
