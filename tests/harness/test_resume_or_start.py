"""`harness run --resume-or-start`: a command that a scheduler may start again, and more than once at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from harness.request_slots import SharedSlots
from runs.events.registry import AttemptStarted, JobFinished, Resumed, RunCreated, RunEnded
from tests.playing import events_of, harness, harness_here, start_harness, wait_until

QUICK = ("--sandbox", "local", "--set", "fold_share=0", "--set", "finalists=1", "--set", "kept_back_share=0")
RUN = ("run", "digits", "--plain", *QUICK, "--attempts", "1", "--resume-or-start", "lite.digits.s0")


def test_a_killed_run_is_continued_by_the_same_command_and_an_ended_one_is_left_alone(digits_home: Path) -> None:
    folder = digits_home / "runs" / "lite.digits.s0"
    process = start_harness(digits_home, *RUN)
    wait_until(lambda: (folder / "events.jsonl").is_file() and b'"tool_finished"' in _journal(folder))
    process.kill()
    process.communicate()
    code, printed = harness(digits_home, *RUN)
    assert code == 0, printed
    events = events_of(folder)
    kinds = [type(event) for event in events]
    assert (kinds.count(RunCreated), kinds.count(Resumed), kinds.count(RunEnded)) == (1, 1, 1)
    assert kinds.count(AttemptStarted) == 1, "the budget is that of the run, not of each start"
    jobs = [event.job for event in events if isinstance(event, JobFinished)]
    assert len(jobs) == len(set(jobs))
    before = _journal(folder)
    assert harness_here(digits_home, *RUN)[0] == 0
    assert _journal(folder) == before
    assert harness_here(digits_home, *RUN[:-1], "lite.digits.s0", "--seed", "1")[0] == 2, "another seed is another run"


def test_of_two_processes_that_start_a_run_at_once_one_plays_it(digits_home: Path) -> None:
    processes = [start_harness(digits_home, *RUN) for _ in range(2)]
    ends = [(process.communicate()[0], process.returncode) for process in processes]
    assert sorted(code for _, code in ends) == [0, 2], ends
    assert any("drives the run" in printed for printed, code in ends if code == 2)
    assert [type(event) for event in events_of(digits_home / "runs" / "lite.digits.s0")].count(RunCreated) == 1


@pytest.mark.parametrize("name", ["", "../outside", ".hidden", "a b", "x" * 151])
def test_an_id_that_is_not_a_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    assert harness_here(tmp_path, *RUN[:-1], name)[0] == 2
    assert not (tmp_path / "runs").exists()


def _journal(folder: Path) -> bytes:
    return (folder / "events.jsonl").read_bytes()


# ------------------------------------------------------------------------------------------------- shared slots


def _hold(home: Path, limit: int, taken: multiprocessing.Queue[int], seconds: float) -> None:
    with SharedSlots(home).take("http://127.0.0.1:1/v1", limit, lambda: None):
        taken.put(os.getpid())
        time.sleep(seconds)


def test_all_processes_of_a_home_share_the_slots_and_a_killed_one_frees_its_own(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken: multiprocessing.Queue[int] = context.Queue()
    processes = [context.Process(target=_hold, args=(tmp_path, 2, taken, 60.0)) for _ in range(2)]
    for process in processes:
        process.start()
    assert {taken.get(timeout=30), taken.get(timeout=30)} == {process.pid for process in processes}
    waits: list[float] = []

    def on_wait() -> None:
        waits.append(time.monotonic())
        if len(waits) == 2:
            os.kill(processes[0].pid or 0, signal.SIGKILL)

    with SharedSlots(tmp_path).take("http://127.0.0.1:1/v1", 2, on_wait):
        assert len(waits) >= 2, "both slots were taken"
        with (
            SharedSlots(tmp_path).take("http://127.0.0.1:2/v1", 2, on_wait),
            SharedSlots(tmp_path).take("x", None, on_wait),
        ):
            pass
    for process in processes:
        process.kill()
        process.join()
