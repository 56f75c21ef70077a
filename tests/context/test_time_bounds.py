"""Whatever the agent writes, an event costs bounded time: its text may be hostile, and the loop reads it itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context.compaction.close_epoch import plan_close
from context.notebook import Notebook
from context.recall.index import Recall
from context.truncation.truncate import truncate, truncate_output
from context.window import Window, strip_harness_note
from harness.parsing.repair_history import repair_messages
from harness.parsing.reply import MOST_CALLS, canonical_message, read_reply
from harness.tools.registry import specs
from runs.events.registry import (
    AttemptStarted,
    Call,
    CheckpointTaken,
    EpochStarted,
    Event,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)
from runs.state import State
from runs.views.format import printable
from tests.runs.run_stories import created, new_run, stamp

EVENT_SECONDS = 2.0
"""Processor time; a linear reading of these texts takes about 20 ms."""
SIZE = 20_000
UNITS = (
    *("a", "a/", "a.", "-", ".", "/", " ", "\n", "\n\t", "1", "1.", "a=1 ", "--a=1 ", "é", "_", "\r", "\x1b[", "\x1b]"),
    *("\n<harness>", "</harness>", "a.A", "AError: ", "cv ", "cv 1.1", "valid", "job `1", "save a.py ", "nan ", "W"),
    *("Warning", "1%", "todo-1,", "exit 1", "No such file or directory", "there is no file a ", "12345-1 ", "1 s "),
    *(
        "abcdef1 ",
        "x.y/",
        "Traceback (most recent call last)\n",
        "acc: .5\n",
        "out of memory\n",
        "1e-",
        "x = 1",
        "\u202e",
    ),
)
START = "a ="


def texts_of(unit: str) -> Iterator[str]:
    text = (unit * SIZE)[:SIZE]
    yield from (f"{START}{text}x\n</harness>", f"exit 1 {text}")


def events_with(text: str) -> list[Event]:
    """One turn in which the agent writes `text` wherever it can."""
    arguments = {"command": text, "path": text, "query": text}
    calls = [
        Call(id=f"c{n}", name=name, arguments=json.dumps(arguments)) for n, name in enumerate(("bash", "read_file"))
    ]
    message = {
        "role": "assistant",
        "content": text,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ],
    }
    return [
        ModelReplied(request=1, message=json.dumps(message), calls=calls),
        ToolStarted(call="c0", name="bash", job="00001-0"),
        ToolFinished(call="c0", name="bash", content=text),
        ToolFinished(call="c1", name="read_file", content=text, failed=True),
        CheckpointTaken(call="c2", turn=1, done=[text], decided=[text], todo=[text], closes=False),
    ]


class Reader:
    """What reads events in the process of the loop: new parts for each text, and one index for all."""

    def __init__(self, folder: Path) -> None:
        new_run(folder)
        self.recall, self.seq = Recall(folder), 0
        self.recall.search("word", 100)

    def read(self, event: Event) -> None:
        self.seq += 1
        written = stamp(event, self.seq)
        for part in (self.state, self.window, self.notebook):
            part.apply(written)
        self.recall.note(written)

    def play(self, text: str) -> None:
        """Read a turn and answer from it; each step within its time."""
        self.state, self.window, self.notebook = State(), Window(), Notebook()
        self.read(created())
        self.read(AttemptStarted(attempt=1))
        self.read(EpochStarted(reason="attempt", system="s", tools="[]", user="u"))
        for event in events_with(text):
            within(lambda event=event: self.read(event))  # type: ignore[misc]
        within(lambda: self.recall.search(text, 500))
        within(lambda: self.recall.path(text, 500))
        within(lambda: self.notebook.loops.warning_for("c0", "bash", text))
        within(lambda: self.notebook.unmentioned_todos([text]))
        within(lambda: self.notebook.merge_todos([text], [text]))
        within(lambda: plan_close(self.window, self.notebook, stage="automatic", dropped=1, masked=0))
        within(lambda: plan_close(self.window, self.notebook, stage="mask", dropped=0, masked=1))
        within(lambda: (strip_harness_note(text), printable(text)))
        within(lambda: truncate(text, 500, "rest"))
        within(lambda: truncate_output(text.encode(errors="replace"), len(text), 500, "rest"))


def within(step: object, seconds: float = EVENT_SECONDS) -> None:
    began = time.process_time()
    step()  # type: ignore[operator]
    assert time.process_time() - began < seconds


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("unit", UNITS)
def test_reading_repeated_text_takes_bounded_time(unit: str, reader: Reader) -> None:
    for text in texts_of(unit):
        reader.play(text)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.one_of(st.sampled_from(UNITS), st.text(min_size=1, max_size=6)), st.integers(1, SIZE // 4)),
        max_size=4,
    )
)
def test_reading_any_text_takes_bounded_time(reader: Reader, parts: list[tuple[str, int]]) -> None:
    reader.play("".join(unit * (count // len(unit)) for unit, count in parts))


@pytest.mark.parametrize(
    "line", [b"\n", b"a\n", b"x\n\n", b"auc 0.5\n", b"\r", b"\x1b]\n", b"Traceback (most recent call last)\n"]
)
def test_truncating_a_large_output_takes_bounded_time(line: bytes) -> None:
    raw = line * (20_000_000 // len(line))
    within(lambda: truncate_output(raw, len(raw), 2_000, "rest"), 5.0)


def test_lines_that_are_not_read_are_counted() -> None:
    raw = b"start\n" + b"1\n2\n" * 1_000_000 + b"auc 0.5\nend"
    shown = truncate_output(raw, len(raw), 100, "rest")
    assert shown.startswith("start")
    assert "auc 0.5\nend" in shown
    assert "to 1999" in shown  # the last line number left out


@pytest.mark.parametrize("name", ["c", "", "c{}"])
def test_many_calls_in_one_reply_take_bounded_time(name: str) -> None:
    calls = [
        {"id": name.format(n), "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
        for n in range(10_000)
    ]
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": name.format(n), "content": "done"} for n in range(10_000)]
    within(lambda: repair_messages([message, *results]))
    within(lambda: read_reply(message, "tool_calls", specs()))
    read = read_reply(message, "tool_calls", specs())
    assert len(read.calls) == len(canonical_message(read)["tool_calls"]) == MOST_CALLS + 1
    assert [bool(call.problem) for call in read.calls] == [False] * MOST_CALLS + [True]
    assert "10000" in read.calls[-1].problem
