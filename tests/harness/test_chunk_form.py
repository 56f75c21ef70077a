"""Chunks that differ in one text only are read together, with the result of reading each by itself."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.endpoint.chunk_form import form_of
from harness.endpoint.errors import TransientFailure
from harness.endpoint.stream import ReplyReader

BASE = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    return json.dumps(BASE | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | more).encode()


def spliced(inside: str) -> bytes:
    """A chunk with these characters between the quotes of its text, whether or not it is JSON then."""
    return chunk({"content": "~"}).replace(b"~", inside.encode("utf-8", "surrogatepass"))


def result_of(events: list[bytes], cuts: list[int], name: bytes = b"") -> Any:
    """The reply that the events make in reads cut at these places, or how it failed."""
    sent = b"".join(name + event for event in events)
    at = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    reader = ReplyReader()
    try:
        for start, end in pairwise(at):
            reader.feed(sent[start:end])
        raw = reader.finish()
    except TransientFailure as failure:
        return str(failure), failure.was_cut
    return raw.message, raw.finish_reason, raw.usage, raw.has_done


END = b"data: " + chunk({}, "stop") + b"\n\n"
PIECES = st.one_of(
    st.sampled_from(["a", " b", "x", "\\n", '\\"', "\\\\", "\\ud83d", "\\ude00", "é", '","', "a\\", '"', "", "\ud83d"]),
    st.text(max_size=6).map(lambda text: json.dumps(text)[1:-1]),
    st.integers(250, 300).map(lambda length: "long " * (length // 5)),
)
EVENTS = st.one_of(
    PIECES.map(spliced),
    st.sampled_from([
        chunk({"reasoning_content": "hm"}), chunk({"content": "a"}, usage={"completion_tokens": 3}), b"ping", b"{",
        chunk({"content": "a", "reasoning": "b"}), chunk({"tool_calls": [{"index": 0, "function": {"name": "bash"}}]}),
        chunk({"content": "last"}, "stop"), chunk({"content": "b"}, created=2), b'{"error": {"message": "no"}}',
    ]),
).map(lambda data: b"data: " + data + b"\n\n")  # fmt: skip


@given(st.lists(EVENTS, max_size=12), st.lists(st.integers(0, 3000), max_size=6))
@example([b"data: " + spliced(text) + b"\n\n" for text in ("x", "a\\", 'b","c')], [])
@example([b"data: " + spliced("x") + b"\n\n", b": ping\n\n", b"data: " + spliced("y") + b"\nid: 1\n\n"], [])
@example([b"data: " + chunk({"content": "x"}, "stop") + b"\n\n"] * 2, [])
def test_reading_together_gives_the_same_reply(events: list[bytes], cuts: list[int]) -> None:
    together = result_of([*events, END], cuts)
    # An event with a name is always read by itself.
    assert together == result_of([*events, END], [], name=b"event: message\n")


def test_cumulative_and_doubled_chunks_are_recognised_in_chunks_read_together() -> None:
    def of(texts: list[str], ends: int = 1) -> Any:
        return result_of([b"data: " + chunk({"content": text}) + b"\n\n" for text in texts] + [END] * ends, [])[0]

    assert of(["pl", "plan", "plan b", "plan b, then c"])["content"] == "plan b, then c"
    assert of([f"word {number // 2} " for number in range(8)], ends=2)["content"] == "word 0 word 1 word 2 word 3 "


def test_the_form_is_used_from_the_second_chunk_on() -> None:
    reader = ReplyReader()
    for number in range(50):
        reader.feed(b"data: " + chunk({"content": f"word {number} "}) + b"\n\n")
        assert reader._events.form is not None
    assert reader._parsed == 0  # the counter of chunks parsed one by one since the last that were read together


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices": [{"delta": {"content": "a", "content": "b"}}]}',
        b'{"content": "a", "choices": [{"delta": {"content": ["b"]}}]}',
        b'{"choices": [{"delta": {"content": null}}]}',
    ],
)
def test_chunk_whose_text_cannot_be_told_has_no_form(data: bytes) -> None:
    assert form_of(data, "content") is None


def test_form_keeps_every_byte_around_the_text() -> None:
    data = chunk({"content": 'a "quoted" \\ text'})
    form = form_of(data, "content")
    assert form is not None
    assert re.fullmatch(re.escape(form.head) + rb".*" + re.escape(form.tail), b"data: " + data)
    sent = [form.head + b"b" + form.tail, b"", form.head + b"c" + form.tail, b"id: 1", b""]
    assert form.texts(b"\n".join(sent), 0) == (["b"], len(form.head) + 1 + len(form.tail) + 2)
