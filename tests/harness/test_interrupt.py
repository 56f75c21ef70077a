"""Stopping on request: one Ctrl-C leaves the step that would take longer, two leave at once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runs.events.registry import ModelFailed, Paused, RunEnded
from tests.playing import engineer, events_of, harness, only_run, start_harness, turns_asked, wait_until
from tests.servers.chat_server import ChatServer, Exchange, Fault

LOCAL = ["--sandbox", "local", "--plain"]


def scripted(server: ChatServer) -> list[str]:
    return ["--model", "scripted", "--base-url", server.url, *LOCAL]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_resumable_run_and_a_line_saying_how_to_go_on(tmp_path: Path, how: signal.Signals) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with ChatServer(engineer(marks, seconds=1.0), piece=1000) as server:
        process = start_harness(tmp_path, "run", "digits", "--attempts", "1", *scripted(server))
        wait_until(lambda: (marks / "a1-train").exists())
        begun = time.monotonic()
        os.kill(process.pid, how)
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - begun < 10
        assert process.returncode == 3, printed
        assert "harness resume" in printed
        assert any(isinstance(event, Paused) for event in events_of(only_run(tmp_path)))
        code, printed = harness(tmp_path, "resume", "last", "--plain")
    assert code == 0, printed
    events = events_of(only_run(tmp_path))
    assert isinstance(events[-1], RunEnded)
    assert all(mark.read_text() == "x\n" for mark in marks.iterdir())


def test_ctrl_c_twice_stops_at_once_and_loses_nothing(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with ChatServer(engineer(marks, seconds=20.0), piece=1000) as server:
        process = start_harness(tmp_path, "run", "digits", "--attempts", "1", *scripted(server))
        wait_until(lambda: (marks / "a1-look").exists())
        before = events_of(only_run(tmp_path))
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGINT)
        begun = time.monotonic()
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - begun < 5
    assert process.returncode == 3
    assert "Traceback" not in printed
    assert events_of(only_run(tmp_path))[: len(before)] == before


def a_long_reply(exchange: Exchange) -> None:
    exchange.start()
    while exchange.pause(0.1):
        exchange.event(exchange.chunk({"index": 0, "delta": {"content": "and so on, "}, "finish_reason": None}))


@pytest.mark.slow
@pytest.mark.parametrize("answer", [a_long_reply, Exchange.stall])
def test_ctrl_c_while_the_model_is_asked_is_no_failure_of_its_endpoint(
    tmp_path: Path, answer: Callable[[Exchange], None]
) -> None:
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", seconds=0.01), piece=1000) as server:
        server.faults = lambda _: Fault(answer) if len(turns_asked(server)) == 2 else ""
        process = start_harness(tmp_path, "run", "digits", "--attempts", "1", *scripted(server))
        wait_until(lambda: len(turns_asked(server)) == 3)
        begun = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - begun < 10
        assert process.returncode == 3, printed
        assert "harness resume" in printed and "Traceback" not in printed
        events = events_of(only_run(tmp_path))
        assert isinstance(events[-1], Paused) and events[-1].why == "stopped by Ctrl-C"
        failed = [event.error for event in events if isinstance(event, ModelFailed)]
        # Its prompt may have to be paid, so the request is on record; nothing is said against the endpoint.
        assert len(failed) == 1 and failed[0].startswith("interrupted before its reply")
        server.faults = lambda _: ""
        code, printed = harness(tmp_path, "resume", "last", "--plain")
    assert code == 0, printed
    assert isinstance(events_of(only_run(tmp_path))[-1], RunEnded)
