"""An agent that goes round in circles is told so, then given a clean window, then its attempt ends."""

from __future__ import annotations

import json

from context.loop_detection import END, EPOCH, NOTE, LoopDetector
from runs.events.registry import (
    AttemptStarted,
    Call,
    EpochStarted,
    EvaluationFinished,
    JobFinished,
    ModelReplied,
    ToolFinished,
    ToolStarted,
)

LOG = "/workspace/.jobs/00001-0/log"


def do(watch: LoopDetector, name: str, argument: str, content: str) -> str:
    """One turn with one call; the note that goes with its result."""
    arguments = json.dumps({"command": argument})
    watch.apply(ModelReplied(request=1, message="{}", calls=[Call(id="c", name=name, arguments=arguments)]))
    note = watch.warning_for("c", name, content)
    watch.apply(ToolFinished(call="c", name=name, content=content + (f"\n<harness>{note}</harness>" if note else "")))
    return note


def test_the_same_call_with_the_same_result_is_a_loop_at_the_fourth_time() -> None:
    watch = LoopDetector()
    notes = [do(watch, "bash", "ls", f"exit 0 after 0.{n} s\na.py") for n in range(12)]
    assert [bool(note) for note in notes] == [n in (3, 7, 11) for n in range(12)]
    assert "4 times `bash" in notes[3] and "Do something else" in notes[3]
    assert "The attempt ends" in notes[11]
    assert watch.level == END


def test_another_result_or_another_call_breaks_the_loop() -> None:
    watch = LoopDetector()
    assert not any(do(watch, "bash", "tail log", f"exit 0\nepoch {n}") for n in range(20))
    assert not any(do(watch, "bash", f"head -{n} x", "exit 0\nsame") for n in range(20))


def training() -> LoopDetector:
    """A watch that saw a long job begin."""
    watch = LoopDetector()
    watch.apply(ToolStarted(call="first", name="bash", job="00001-0"))
    return watch


def test_waiting_for_an_open_job_is_no_loop_by_whatever_tool() -> None:
    for name, argument, content in (
        ("wait", "00001-0", "job 00001-0: running for 600 s\nepoch 1"),
        ("read_file", LOG, "epoch 1\n[lines 1 to 1 of 1]"),
        ("bash", f"sleep 60; tail -1 {LOG}", "exit 0 after 60 s\nepoch 1"),
        ("bash", f"timeout 9 tail -f {LOG}", "exit 124 after 9 s\nepoch 1"),
        ("bash", "sleep 60; tail -1 train.log", "exit 0 after 60 s\nepoch 1"),
        ("bash", "grep -c 'fold 3' train.log", "exit 1 after 0.1 s"),
        (
            "bash",
            "tail -1 t.log",
            "exit 1 after 0.1 s\ntail: cannot open 't.log' for reading: No such file or directory",
        ),
        ("read_file", "model.pt", "error: there is no file model.pt"),
        ("bash", "nvidia-smi", "exit 0 after 0.2 s\n97 %"),
    ):
        watch = training()
        assert not any(do(watch, name, argument, content) for _ in range(30)), argument
        assert watch.level == 0
    watch = training()
    looks = [("read_file", LOG), ("bash", "tail -1 train.log")]
    assert not any(do(watch, *looks[n % 2], "exit 0 after 1.0 s\nepoch 1") for n in range(60))


def test_once_the_job_has_ended_looking_again_and_again_is_a_loop() -> None:
    watch = training()
    for _ in range(10):
        do(watch, "read_file", LOG, "epoch 1")
    watch.apply(JobFinished(job="00001-0", ended="exited", exit_code=0))
    assert [n for n in range(8) if do(watch, "read_file", LOG, "epoch 1")] == [3, 7]


def test_an_open_job_excuses_no_repeated_error_and_no_repeated_work() -> None:
    watch = training()
    error = "exit 1 after 1.0 s\nValueError: bad column"
    assert [n for n in range(6) if do(watch, "bash", f"python a{n}.py", error)] == [2, 5]
    watch = training()
    error = "exit 1 after 1.0 s\nFileNotFoundError: [Errno 2] No such file or directory: 'a.csv'"
    assert [n for n in range(6) if do(watch, "bash", "python a.py", error)] == [2, 5]
    watch = training()
    assert [n for n in range(4) if do(watch, "write_file", "a.py", "wrote a.py: 7 bytes")] == [3]
    watch = training()
    for number in range(4):
        watch.apply(ToolStarted(call="c", name="bash", job=f"0000{number + 2}-0"))
        note = do(watch, "bash", "python train.py &", f"still running as job 0000{number + 2}-0 after 0 s")
    assert "4 times" in note, "starting it again is no waiting"


def test_a_second_loop_that_has_nothing_to_do_with_the_first_gets_a_note_of_its_own() -> None:
    watch = LoopDetector()
    notes = [do(watch, "bash", "ls", "exit 0\na.py") for _ in range(4)]
    notes += [do(watch, "bash", "pwd", "exit 0\n/workspace") for _ in range(4)]
    assert [n for n, note in enumerate(notes) if note] == [3, 7]
    assert "`bash" in notes[7] and "pwd" in notes[7]
    assert watch.level == NOTE and not watch.needs_epoch


def test_a_loop_taken_up_again_after_other_work_goes_a_step_further() -> None:
    watch = LoopDetector()
    levels = []
    for round_number in range(3):
        for _ in range(4):
            do(watch, "bash", "ls", "exit 0\na.py")
        levels.append(watch.level)
        do(watch, "bash", f"python {round_number}.py", "exit 0\nfine")
    assert levels == [NOTE, EPOCH, END]


def test_a_score_for_a_new_solution_settles_every_loop_and_the_same_solution_again_none() -> None:
    def scored(tree: str) -> EvaluationFinished:
        return EvaluationFinished(evaluation="1", status="scored", commit="c", tree=tree)

    watch = LoopDetector()
    for tree in ("a", "b"):
        for _ in range(4):
            do(watch, "bash", "ls", "exit 0\na.py")
        assert watch.level == NOTE
        watch.apply(scored(tree))
        assert watch.level == 0
    for _ in range(4):
        do(watch, "bash", "pwd", "exit 0")
    watch.apply(scored("a"))
    assert watch.level == NOTE


def test_a_crash_before_the_clean_window_does_not_cancel_it() -> None:
    watch = LoopDetector()
    for _ in range(8):
        do(watch, "bash", "ls", "exit 0")
    watch.apply(EpochStarted(reason="resume", system="", tools="", user="", keeps_tail=True))
    assert watch.needs_epoch


def test_the_same_error_three_times_is_a_loop_even_with_other_work_between() -> None:
    watch = LoopDetector()
    notes = []
    for n in range(6):
        notes.append(do(watch, "bash", f"python a{n}.py", "exit 1 after 1.0 s\nValueError: bad column"))
        do(watch, "edit_file", f"try {n}", f"wrote a.py: {n} bytes")
    assert [bool(note) for note in notes] == [False, False, True, False, False, True]
    assert "ValueError: bad column" in notes[2]
    assert watch.needs_epoch and watch.level == EPOCH


def test_another_error_begins_anew() -> None:
    watch = LoopDetector()
    assert not any(do(watch, "bash", f"python {n}.py", f"exit 1\nValueError: column {n}") for n in range(12))


def test_two_calls_in_turn_are_a_loop_at_the_sixth_time() -> None:
    watch = LoopDetector()
    notes = []
    for _ in range(6):
        notes += [do(watch, "bash", "a", "exit 0\nA"), do(watch, "bash", "b", "exit 0\nB")]
    assert [n for n, note in enumerate(notes) if note] == [11]
    assert "6 times the same two calls" in notes[11]


def test_replies_that_call_nothing_are_a_loop_at_the_third_time() -> None:
    watch = LoopDetector()
    for number in range(1, 10):
        watch.apply(ModelReplied(request=number, message="{}"))
        assert watch.level == number // 3
    assert watch.level == END


def test_a_declared_epoch_settles_what_was_owed_and_a_new_attempt_forgets_all() -> None:
    watch = LoopDetector()
    for _ in range(8):
        do(watch, "bash", "ls", "exit 0")
    assert watch.needs_epoch
    watch.apply(EpochStarted(reason="compaction", system="", tools="", user="", stage="alone"))
    assert not watch.needs_epoch and watch.level == EPOCH
    watch.apply(AttemptStarted(parent=None))
    assert watch.level == 0 and NOTE == 1


def test_commands_that_fail_without_a_word_are_not_one_error() -> None:
    watch = LoopDetector()
    assert not any(do(watch, "bash", f"grep column_{n} data.csv", f"exit 1 after 0.{n} s") for n in range(12))
