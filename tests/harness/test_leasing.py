"""Jobs of a run lease their share of the machine: they wait for it, and the wait is recorded and is not the job's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from runs.events.registry import JobFinished, RunEnded, ToolStarted, Waited
from sandboxes.leases.amounts import Priority, Request
from sandboxes.leases.leases import Leases, folder_of
from tests.playing import SOLUTION, call, events_of, harness_here, only_run, reply, start_harness, wait_until
from tests.servers.chat_server import ChatServer, Message

LOCAL = ["--sandbox", "local", "--plain", "--attempts", "1"]


def one_command(request: dict[str, object]) -> Message:
    """A model that runs one command and finishes."""
    messages = request["messages"]
    assert isinstance(messages, list)
    step = sum(message["role"] == "assistant" for message in messages)
    steps = [call("bash", command="echo threads $OMP_NUM_THREADS"), call("finish", did="all")]
    return reply("step", steps[min(step, 1)], tag=str(step))


def test_a_command_waits_for_its_lease_and_the_wait_is_not_its_own(digits_home: Path) -> None:
    leases = Leases(digits_home)
    everything = leases.acquire(Request(cores=10**6), Priority.INTERACTIVE)
    with ChatServer(one_command, piece=1000) as server:
        process = start_harness(digits_home, "run", "digits", "--model", "m", "--base-url", server.url, *LOCAL)
        waiting = folder_of(digits_home) / "waiting"
        wait_until(lambda: any(waiting.iterdir()))
        time.sleep(1.5)
        everything.release()
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    folder = only_run(digits_home)
    events = events_of(folder)
    [wait] = [event for event in events if isinstance(event, Waited) and event.seconds]
    [job] = [event for event in events if isinstance(event, JobFinished)]
    assert wait.seconds >= 1.5 and job.job in wait.on
    assert job.seconds < 1.5 and job.ended == "exited"
    log = (folder / "jobs" / job.job / "log").read_text()
    assert log == f"threads {leases.machine.cores}\n", "a job that is alone may use the whole machine"
    assert leases.held() == {}


def test_a_run_that_waits_for_a_lease_can_be_stopped_and_resumed(digits_home: Path) -> None:
    with ChatServer(one_command, piece=1000) as server:
        with Leases(digits_home).acquire(Request(cores=10**6), Priority.INTERACTIVE):
            process = start_harness(digits_home, "run", "digits", "--model", "m", "--base-url", server.url, *LOCAL)
            wait_until(lambda: any((folder_of(digits_home) / "waiting").iterdir()))
            began = time.monotonic()
            os.kill(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
            assert process.returncode == 3 and time.monotonic() - began < 10
        code, printed = harness_here(digits_home, "resume", "last", "--plain")
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    assert [event.ended for event in events if isinstance(event, JobFinished)] == ["exited"]
    assert sum(isinstance(event, ToolStarted) for event in events) >= 1


def test_a_run_ends_in_time_though_another_one_keeps_the_machine(digits_home: Path) -> None:
    def evaluating(request: dict[str, object]) -> Message:
        messages = request["messages"]
        assert isinstance(messages, list)
        step = sum(message["role"] == "assistant" for message in messages)
        steps = [
            call("write_file", path="solution.py", content=SOLUTION),
            call("evaluate", command="python solution.py"),
        ]
        return reply("step", [*steps, call("bash", command="sleep 100")][min(step, 2)], tag=str(step))

    with (
        ChatServer(evaluating, piece=1000) as server,
        Leases(digits_home).acquire(Request(cores=10**6), Priority.INTERACTIVE),
    ):
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--hours", "0.004"]
        process = start_harness(digits_home, "run", "digits", *options)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    events = events_of(only_run(digits_home))
    assert isinstance(events[-1], RunEnded) and events[-1].why == "hours"
