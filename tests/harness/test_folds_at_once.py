"""The other folds of an evaluation run at once: a failure ends the others, and an interruption repeats none."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.leasing import fold_share
from runs.events.registry import AttemptEnded, Event, FoldFinished, FoldStarted, JobFinished, StepResult, ToolFinished
from sandboxes.leases.amounts import this_machine
from sandboxes.leases.leases import Leases
from tests.harness.judged_runs import evaluated, evaluations, guessing, played, script, side, two_numbers
from tests.playing import call, events_of, harness, only_run, reply, start_harness, wait_until
from tests.servers.chat_server import ChatServer, Message

AT_ONCE = ("--set", "jobs_at_once=2", "--parallel", "1")
SPLIT = "fold=$(cksum < data/train.csv | cut -c1-6)"
"""Sets a shell variable that differs from fold to fold."""
GOOD = guessing("int(float(row['a']) > 0)")
needs_cores = pytest.mark.skipif(this_machine().cores < 2, reason="folds run at once on two cores or more")


def marked(marks: Path, seconds: float, then: str = "python solution.py") -> str:
    """A command that writes when it started and ended on a fold, one line each, into a file of that fold."""
    marks.mkdir()
    mark = f"date +%s.%N >> {marks}/$fold"
    return f"{SPLIT}; {mark}; sleep {seconds}; {then} || exit 3; {mark}"


def intervals(marks: Path) -> list[tuple[float, float]]:
    """When each fold started and ended. Fails for one that did not run exactly once."""
    times = [[float(line) for line in path.read_text().split()] for path in marks.iterdir()]
    assert all(len(each) == 2 for each in times), times
    return sorted((first, last) for first, last in times)


def most_at_once(found: list[tuple[float, float]]) -> int:
    return max(sum(first <= start < last for first, last in found) for start, _ in found)


def folds_of(events: list[Event]) -> list[FoldFinished]:
    return [event for event in events if isinstance(event, FoldFinished) and not event.fold.startswith("fresh")]


@needs_cores
def test_folds_run_at_once_as_far_as_leases_allow(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    steps = evaluated(GOOD, marked(marks, 1.0))
    events = played(tmp_path, two_numbers(tmp_path / "side", side), steps, flags=(*AT_ONCE, "--set", "finalists=1"))
    (evaluation,) = evaluations(events)
    assert (evaluation.status, evaluation.folds) == ("scored", 5)
    folds = folds_of(events)
    assert {fold.status for fold in folds} == {"scored"} and len(folds) == 4
    share = 1 / 2 if this_machine().cores % 2 == 0 else folds[0].share
    assert {fold.share for fold in folds} == {share}, "time that folds share counts once"
    assert most_at_once(intervals(marks)) == 2
    assert Leases(tmp_path).held() == {}


@needs_cores
def test_a_fold_that_fails_ends_the_others(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    # The first fold succeeds, one of the others hangs, and one that starts beside it fails.
    command = (
        f"mkdir -p {marks}; if mkdir {marks}/0; then python solution.py; exit; fi; "
        f"if mkdir {marks}/1; then sleep 300; else sleep 1; exit 9; fi"
    )
    began = time.monotonic()
    events = played(tmp_path, two_numbers(tmp_path / "side", side), evaluated(GOOD, command), flags=AT_ONCE)
    assert time.monotonic() - began < 200
    (evaluation,) = evaluations(events)
    assert evaluation.distrust_reason and evaluation.promoted is False
    started = [event.fold for event in events if isinstance(event, FoldStarted)]
    assert sorted(started) == ["fold1", "fold2"], "the others do not start"
    assert sorted(fold.status for fold in folds_of(events)) == ["failed", "stopped"]


@needs_cores
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_folds_go_on_after_an_interruption_and_none_runs_twice(tmp_path: Path, how: signal.Signals) -> None:
    marks = tmp_path / "marks"
    task = two_numbers(tmp_path / "side", side)
    with ChatServer(script(evaluated(GOOD, marked(marks, 2.0))), piece=1000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        process = start_harness(tmp_path, "run", str(task), *options, *AT_ONCE, "--set", "finalists=1")
        wait_until(lambda: marks.exists() and len(list(marks.iterdir())) == 3)
        began = time.monotonic()
        os.kill(process.pid, how)
        process.communicate(timeout=30)
        assert time.monotonic() - began < 10
        open_folds = len([event for event in events_of(only_run(tmp_path)) if isinstance(event, FoldStarted)])
        assert open_folds == 2
        code, printed = harness(tmp_path, "resume", "last", "--plain")
    assert code == 0, printed
    events = events_of(only_run(tmp_path))
    (evaluation,) = evaluations(events)
    assert evaluation.folds == 5 and [fold.status for fold in folds_of(events)] == ["scored"] * 4
    assert len([event for event in events if isinstance(event, FoldStarted) and event.fold.startswith("fold")]) == 4
    intervals(marks)


@pytest.mark.parametrize("strict", [True, False])
def test_strict_pauses_the_jobs_of_the_agent_while_folds_run(tmp_path: Path, strict: bool) -> None:
    marks, ticks = tmp_path / "marks", tmp_path / "ticks"
    counting = call("bash", command=f"while :; do date +%s.%N >> {ticks}; sleep 0.05; done", wait_seconds=0)
    steps = [[counting], evaluated(GOOD, marked(marks, 0.7)), [call("bash", command="sleep 1")]]
    flags = (*AT_ONCE, "--set", "finalists=1", *(["--strict"] if strict else []))
    events = played(tmp_path, two_numbers(tmp_path / "side", side), *steps, flags=flags)
    (evaluation,) = evaluations(events)
    assert evaluation.folds == 5
    _, *others = intervals(marks)
    first, last = others[0][0], max(end for _, end in others)
    times = [float(line) for line in ticks.read_text().split()]
    during = [moment for moment in times if first <= moment <= last]
    assert bool(during) is not strict
    assert any(moment > last for moment in times), "it goes on afterwards"
    assert Leases(tmp_path).held() == {}


def test_a_lane_does_not_pause_the_job_whose_lease_it_waits_for(tmp_path: Path) -> None:
    mark = tmp_path / "first-fold"
    command = f"[ -e {mark} ] || {{ touch {mark}; sleep 2; }}; python solution.py"
    turns = {"1": evaluated(GOOD, command), "2": [call("bash", command="sleep 6; echo slept", wait_seconds=20)]}

    def play(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        attempt = re.findall(r"^attempt: (\d+)$", str(messages[1]["content"] if messages[1:] else ""), re.MULTILINE)
        step = sum(message["role"] == "assistant" for message in messages)
        if not attempt:
            return {"content": "ok"}
        if attempt[-1] == "2" and step == 0:
            wait_until(mark.exists)  # so that its command waits for the lease of the first fold
        calls = turns[attempt[-1]] if step == 0 else [call("finish", did="all")]
        return reply("step", *calls, tag=f"{attempt[-1]}_{step}")

    task = two_numbers(tmp_path / "side", side)
    flags = ["--attempts", "2", "--parallel", "2", "--set", "jobs_at_once=1", "--set", "finalists=1", "--strict"]
    with ChatServer(play, piece=100_000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain"]
        code, printed = harness(tmp_path, "run", str(task), *options, *flags)
    assert code == 0, printed
    events = events_of(only_run(tmp_path))
    assert any("slept" in event.content for event in events if isinstance(event, ToolFinished))
    assert not any(event.killed_jobs for event in events if isinstance(event, AttemptEnded))
    assert evaluations(events)[0].folds == 5


def test_an_evaluation_that_does_nothing_is_ended_and_the_model_is_told_so(tmp_path: Path) -> None:
    flags = ("--set", "evaluation_idle_seconds=2")
    steps = [evaluated(GOOD, "echo begun; sleep 600"), [call("bash", command="sleep 3; echo awake")]]
    events = played(tmp_path, two_numbers(tmp_path / "side", side), *steps, flags=flags)
    (evaluation,) = evaluations(events)
    assert evaluation.status == "failed" and "idle" in evaluation.message
    ended = {event.job: event.ended for event in events if isinstance(event, JobFinished)}
    assert ended["e-001-1"] == "idle"
    assert [how for job, how in ended.items() if job != "e-001-1"] == ["exited"], "commands of the agent may sleep"
    told = " ".join(event.content for event in events if isinstance(event, ToolFinished))
    assert "idle for 2 s" in told and "awake" in told


def test_folds_that_need_most_of_the_memory_run_one_after_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    leases = Leases(folder)
    run = SimpleNamespace(leases=leases, settings=SimpleNamespace(job_gpus=0), jobs_at_once=lambda: 4)
    lane: Any = SimpleNamespace(run=run, sandbox=SimpleNamespace(paths=SimpleNamespace(gpus=("a", "b", "c", "d"))))
    memory = leases.machine.memory

    def at_once(*peaks: int) -> int:
        return fold_share(lane, 4, [StepResult(job="j", peak_bytes=peak) for peak in peaks]).at_once

    assert at_once(memory) == 1, "without job_gpus, each fold has all GPUs"
    lane.sandbox.paths.gpus = ()
    assert at_once(memory // 2) == at_once(memory) == 1
    assert at_once(memory // 4, memory // 100) == 3
    assert at_once(memory // 100, 0) == 4, "not measured"
    run.settings.job_gpus, lane.sandbox.paths.gpus = 2, ("a", "b", "c", "d")
    assert at_once(1000) == 2
    assert fold_share(lane, 4, []).gpus_of(1) == ("c", "d")
