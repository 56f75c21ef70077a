"""Loops get a warning, then a new epoch, then end the attempt; waiting for a job is no loop."""

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


def do(detector: LoopDetector, name: str, argument: str, content: str) -> str:
    """Play one turn with one call; returns the warning for its result."""
    arguments = json.dumps({"command": argument})
    detector.apply(ModelReplied(request=1, message="{}", calls=[Call(id="c", name=name, arguments=arguments)]))
    warning = detector.warning_for("c", name, content)
    detector.apply(
        ToolFinished(call="c", name=name, content=content + (f"\n<harness>{warning}</harness>" if warning else ""))
    )
    return warning


def test_same_call_with_same_result_is_a_loop_at_the_fourth_time() -> None:
    detector = LoopDetector()
    warnings = [do(detector, "bash", "ls", f"exit 0 after 0.{n} s\na.py") for n in range(12)]
    assert [bool(warning) for warning in warnings] == [n in (3, 7, 11) for n in range(12)]
    assert "4 times `bash" in warnings[3] and "Do something else" in warnings[3]
    assert "attempt ends" in warnings[11]
    assert detector.level == END


def test_different_results_or_calls_are_not_a_loop() -> None:
    detector = LoopDetector()
    assert not any(do(detector, "bash", "tail log", f"exit 0\nepoch {n}") for n in range(20))
    assert not any(do(detector, "bash", f"head -{n} x", "exit 0\nsame") for n in range(20))


def training() -> LoopDetector:
    """A detector with an open job."""
    detector = LoopDetector()
    detector.apply(ToolStarted(call="first", name="bash", job="00001-0"))
    return detector


def test_waiting_for_an_open_job_is_not_a_loop_with_any_tool() -> None:
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
        ("read_file", "model.pt", "error: there is no file model.pt; `ls` shows what there is"),
        ("bash", "nvidia-smi", "exit 0 after 0.2 s\n97 %"),
    ):
        detector = training()
        assert not any(do(detector, name, argument, content) for _ in range(30)), argument
        assert detector.level == 0
    detector = training()
    checks = [("read_file", LOG), ("bash", "tail -1 train.log")]
    assert not any(do(detector, *checks[n % 2], "exit 0 after 1.0 s\nepoch 1") for n in range(60))


def test_reading_the_log_of_an_ended_job_repeatedly_is_a_loop() -> None:
    detector = training()
    for _ in range(10):
        do(detector, "read_file", LOG, "epoch 1")
    detector.apply(JobFinished(job="00001-0", ended="exited", exit_code=0))
    assert [n for n in range(8) if do(detector, "read_file", LOG, "epoch 1")] == [3, 7]


def test_open_job_does_not_excuse_repeated_errors_or_work() -> None:
    detector = training()
    error = "exit 1 after 1.0 s\nValueError: bad column"
    assert [n for n in range(6) if do(detector, "bash", f"python a{n}.py", error)] == [2, 5]
    detector = training()
    error = "exit 1 after 1.0 s\nFileNotFoundError: [Errno 2] No such file or directory: 'a.csv'"
    assert [n for n in range(6) if do(detector, "bash", "python a.py", error)] == [2, 5]
    detector = training()
    assert [n for n in range(4) if do(detector, "write_file", "a.py", "wrote a.py: 7 bytes")] == [3]
    detector = training()
    for number in range(4):
        detector.apply(ToolStarted(call="c", name="bash", job=f"0000{number + 2}-0"))
        warning = do(detector, "bash", "python train.py &", f"still running as job 0000{number + 2}-0 after 0 s")
    assert "4 times" in warning, "starting the command again is not waiting"


def test_each_loop_has_its_own_level() -> None:
    detector = LoopDetector()
    warnings = [do(detector, "bash", "ls", "exit 0\na.py") for _ in range(4)]
    warnings += [do(detector, "bash", "pwd", "exit 0\n/workspace") for _ in range(4)]
    assert [n for n, warning in enumerate(warnings) if warning] == [3, 7]
    assert "`bash" in warnings[7] and "pwd" in warnings[7]
    assert detector.level == NOTE and not detector.needs_epoch


def test_loop_resumed_after_other_work_rises_a_level() -> None:
    detector = LoopDetector()
    levels = []
    for round_number in range(3):
        for _ in range(4):
            do(detector, "bash", "ls", "exit 0\na.py")
        levels.append(detector.level)
        do(detector, "bash", f"python {round_number}.py", "exit 0\nfine")
    assert levels == [NOTE, EPOCH, END]


def test_score_for_a_new_solution_resets_levels_but_a_repeated_one_does_not() -> None:
    def scored(tree: str) -> EvaluationFinished:
        return EvaluationFinished(evaluation="1", status="scored", commit="c", tree=tree)

    detector = LoopDetector()
    for tree in ("a", "b"):
        for _ in range(4):
            do(detector, "bash", "ls", "exit 0\na.py")
        assert detector.level == NOTE
        detector.apply(scored(tree))
        assert detector.level == 0
    for _ in range(4):
        do(detector, "bash", "pwd", "exit 0")
    detector.apply(scored("a"))
    assert detector.level == NOTE


def test_resume_keeps_a_pending_epoch() -> None:
    detector = LoopDetector()
    for _ in range(8):
        do(detector, "bash", "ls", "exit 0")
    detector.apply(EpochStarted(reason="resume", system="", tools="", user="", keeps_tail=True))
    assert detector.needs_epoch


def test_same_error_three_times_is_a_loop_despite_other_work() -> None:
    detector = LoopDetector()
    warnings = []
    for n in range(6):
        warnings.append(do(detector, "bash", f"python a{n}.py", "exit 1 after 1.0 s\nValueError: bad column"))
        do(detector, "edit_file", f"try {n}", f"wrote a.py: {n} bytes")
    assert [bool(warning) for warning in warnings] == [False, False, True, False, False, True]
    assert "ValueError: bad column" in warnings[2]
    assert detector.needs_epoch and detector.level == EPOCH


def test_different_errors_are_not_a_loop() -> None:
    detector = LoopDetector()
    assert not any(do(detector, "bash", f"python {n}.py", f"exit 1\nValueError: column {n}") for n in range(12))


def test_two_alternating_calls_are_a_loop_at_the_sixth_time() -> None:
    detector = LoopDetector()
    warnings = []
    for _ in range(6):
        warnings += [do(detector, "bash", "a", "exit 0\nA"), do(detector, "bash", "b", "exit 0\nB")]
    assert [n for n, warning in enumerate(warnings) if warning] == [11]
    assert "6 times the same two calls" in warnings[11]


def test_replies_without_calls_are_a_loop_at_the_third_time() -> None:
    detector = LoopDetector()
    for number in range(1, 10):
        detector.apply(ModelReplied(request=number, message="{}"))
        assert detector.level == number // 3
    assert detector.level == END


def test_new_epoch_clears_the_request_and_new_attempt_clears_levels() -> None:
    detector = LoopDetector()
    for _ in range(8):
        do(detector, "bash", "ls", "exit 0")
    assert detector.needs_epoch
    detector.apply(EpochStarted(reason="compaction", system="", tools="", user="", stage="automatic"))
    assert not detector.needs_epoch and detector.level == EPOCH
    detector.apply(AttemptStarted())
    assert detector.level == 0 and NOTE == 1


def test_silent_failures_of_different_commands_are_not_a_loop() -> None:
    detector = LoopDetector()
    assert not any(do(detector, "bash", f"grep column_{n} data.csv", f"exit 1 after 0.{n} s") for n in range(12))
