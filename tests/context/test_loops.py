"""An agent that goes round in circles is told so, then given a clean window, then its attempt ends."""

from __future__ import annotations

import json

from context.loops import END, EPOCH, NOTE, LoopWatch
from runs.events import AttemptStarted, Call, EpochStarted, ModelReplied, ToolFinished


def do(watch: LoopWatch, name: str, argument: str, content: str) -> str:
    """One turn with one call; the note that goes with its result."""
    arguments = json.dumps({"command": argument})
    watch.apply(ModelReplied(request=1, message="{}", calls=[Call(id="c", name=name, arguments=arguments)]))
    note = watch.note("c", name, content)
    watch.apply(ToolFinished(call="c", name=name, content=content + (f"\n<harness>{note}</harness>" if note else "")))
    return note


def test_the_same_call_with_the_same_result_is_a_loop_at_the_fourth_time() -> None:
    watch = LoopWatch()
    notes = [do(watch, "bash", "ls", f"exit 0 after 0.{n} s\na.py") for n in range(12)]
    assert [bool(note) for note in notes] == [n in (3, 7, 11) for n in range(12)]
    assert "4 times `bash" in notes[3] and "Do something else" in notes[3]
    assert "The attempt ends" in notes[11]
    assert watch.level == END


def test_another_result_or_another_call_breaks_the_loop() -> None:
    watch = LoopWatch()
    assert not any(do(watch, "bash", "tail log", f"exit 0\nepoch {n}") for n in range(20))
    assert not any(do(watch, "bash", f"head -{n} x", "exit 0\nsame") for n in range(20))


def test_waiting_for_a_job_that_runs_is_no_loop() -> None:
    watch = LoopWatch()
    assert not any(do(watch, "wait", "00001-0", "job 00001-0: running for 600 s\nepoch 1") for _ in range(30))


def test_the_same_error_three_times_is_a_loop_even_with_other_work_between() -> None:
    watch = LoopWatch()
    notes = []
    for n in range(6):
        notes.append(do(watch, "bash", f"python a{n}.py", "exit 1 after 1.0 s\nValueError: bad column"))
        do(watch, "edit_file", f"try {n}", f"wrote a.py: {n} bytes")
    assert [bool(note) for note in notes] == [False, False, True, False, False, True]
    assert "ValueError: bad column" in notes[2]
    assert watch.owes_epoch and watch.level == EPOCH


def test_another_error_begins_anew() -> None:
    watch = LoopWatch()
    assert not any(do(watch, "bash", f"python {n}.py", f"exit 1\nValueError: column {n}") for n in range(12))


def test_two_calls_in_turn_are_a_loop_at_the_sixth_time() -> None:
    watch = LoopWatch()
    notes = []
    for _ in range(6):
        notes += [do(watch, "bash", "a", "exit 0\nA"), do(watch, "bash", "b", "exit 0\nB")]
    assert [n for n, note in enumerate(notes) if note] == [11]
    assert "6 times the same two calls" in notes[11]


def test_replies_that_call_nothing_are_a_loop_at_the_third_time() -> None:
    watch = LoopWatch()
    for number in range(1, 10):
        watch.apply(ModelReplied(request=number, message="{}"))
        assert watch.level == number // 3
    assert watch.level == END


def test_a_declared_epoch_settles_what_was_owed_and_a_new_attempt_forgets_all() -> None:
    watch = LoopWatch()
    for _ in range(8):
        do(watch, "bash", "ls", "exit 0")
    assert watch.owes_epoch
    watch.apply(EpochStarted(reason="compaction", system="", tools="", user="", stage="alone"))
    assert not watch.owes_epoch and watch.level == EPOCH
    watch.apply(AttemptStarted(parent=None))
    assert watch.level == 0 and NOTE == 1


def test_commands_that_fail_without_a_word_are_not_one_error() -> None:
    watch = LoopWatch()
    assert not any(do(watch, "bash", f"grep column_{n} data.csv", f"exit 1 after 0.{n} s") for n in range(12))
