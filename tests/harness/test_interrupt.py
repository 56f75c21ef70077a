"""Stop on request: one signal ends the run after the current step, two at once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import interrupt
from harness.interrupt import Stopping, StopRequested
from runs.events.registry import ModelFailed, Paused, RunEnded
from tests.playing import engineer, events_of, harness_here, only_run, start_harness, turns_asked, wait_until
from tests.servers.chat_server import ChatServer, Exchange, Fault

LOCAL = ["--sandbox", "local", "--plain"]


@pytest.fixture(autouse=True)
def hup_is_not_ignored() -> Iterator[None]:
    """Under `nohup` it is, and a run keeps that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def scripted(server: ChatServer) -> list[str]:
    return ["--model", "scripted", "--base-url", server.url, *LOCAL]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves_a_resumable_run(digits_home: Path, tmp_path: Path, how: signal.Signals) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with ChatServer(engineer(marks, seconds=0.3), piece=1000) as server:
        process = start_harness(digits_home, "run", "digits", "--attempts", "1", *scripted(server))
        wait_until(lambda: (marks / "a1-train").exists())
        start = time.monotonic()
        os.kill(process.pid, how)
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - start < 10
        assert process.returncode == 3, printed
        assert "harness resume" in printed
        assert any(isinstance(event, Paused) for event in events_of(only_run(digits_home)))
        code, printed = harness_here(digits_home, "resume", "last", "--plain")
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    assert isinstance(events[-1], RunEnded)
    assert all(mark.read_text() == "x\n" for mark in marks.iterdir())


def test_several_terms_at_once_are_one_request_and_a_later_one_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Stopping(30.0)
    with stopping.watching():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopRequested):
            stopping.check()
        monkeypatch.setattr(interrupt, "REPEATED_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_hup_that_was_ignored_at_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopping = Stopping(1.0)
        with stopping.watching():
            os.kill(os.getpid(), signal.SIGHUP)
            stopping.check()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_two_ctrl_c_stop_at_once_and_lose_nothing(digits_home: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with ChatServer(engineer(marks, seconds=20.0), piece=1000) as server:
        process = start_harness(digits_home, "run", "digits", "--attempts", "1", *scripted(server))
        wait_until(lambda: (marks / "a1-look").exists())
        before = events_of(only_run(digits_home))
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGINT)
        start = time.monotonic()
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - start < 5
    assert process.returncode == 3
    assert "Traceback" not in printed
    assert events_of(only_run(digits_home))[: len(before)] == before


def long_reply(exchange: Exchange) -> None:
    exchange.start()
    while exchange.pause(0.1):
        exchange.event(exchange.chunk({"index": 0, "delta": {"content": "and so on, "}, "finish_reason": None}))


@pytest.mark.parametrize("answer", [long_reply, Exchange.stall])
def test_ctrl_c_during_a_request_is_not_an_endpoint_failure(
    digits_home: Path, tmp_path: Path, answer: Callable[[Exchange], None]
) -> None:
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", seconds=0.01), piece=1000) as server:
        server.faults = lambda _: Fault(answer) if len(turns_asked(server)) == 2 else ""
        process = start_harness(digits_home, "run", "digits", "--attempts", "1", *scripted(server))
        wait_until(lambda: len(turns_asked(server)) == 3)
        start = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - start < 10
        assert process.returncode == 3, printed
        assert "harness resume" in printed and "Traceback" not in printed
        events = events_of(only_run(digits_home))
        assert isinstance(events[-1], Paused) and events[-1].why == "stopped by Ctrl-C"
        failed = [event.error for event in events if isinstance(event, ModelFailed)]
        # The prompt may cost something, so the request is recorded, but not as an error of the endpoint.
        assert len(failed) == 1 and failed[0].startswith("interrupted before its reply")
        server.faults = lambda _: ""
        code, printed = harness_here(digits_home, "resume", "last", "--plain")
    assert code == 0, printed
    assert isinstance(events_of(only_run(digits_home))[-1], RunEnded)
