"""A harness killed during a compaction compacts the window once, as an uninterrupted run does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from runs.events.registry import CheckpointTaken, EpochStarted, Event, RunEnded, ToolFinished
from runs.usage.cache import measure_cache
from tests.long_play import ASKED, Calls, Worker, engine_of
from tests.playing import call, events_of, harness_here, normalised, only_run, start_harness, with_digits
from tests.servers.chat_server import Message

TURNS = 30
LIMITS = "context_tokens = 20000\noutput_tokens = 5000\n[scripted.prices]\ncached = 0.25\n"
"""A window that fills within ten turns, and so expensive to read that compaction pays off within a few turns."""


class Engineer(Worker):
    """Reads rows each turn. Next to a checkpoint it starts a command of half a second, so that the epoch closes later.

    `victim` is a process to kill when a checkpoint is first requested.
    """

    marks: Path
    victim: subprocess.Popen[str] | None = None

    def __call__(self, request: dict[str, Any]) -> Message:
        is_asked = ASKED in str(request["messages"][-1]["content"])
        if is_asked and self.victim:
            os.kill(self.victim.pid, signal.SIGKILL)
            self.victim = None
        return super().__call__(request)

    def _calls(self, turn: int, messages: list[dict[str, Any]]) -> Calls:
        calls = super()._calls(turn, messages)
        if calls[0]["function"]["name"] != "checkpoint":
            return calls
        return [*calls, call("bash", command=f"echo x >> {self.marks}/beside_{turn}; sleep 0.5")]


def reading(turn: int) -> Calls:
    return [call("read_file", path="data/train.csv", offset=2 + turn * 37 % 1_000, limit=30)]


def engineer(home: Path) -> Engineer:
    worker = Engineer(reading)
    worker.marks = home / "marks"
    worker.marks.mkdir(parents=True)
    return worker


def flags(home: Path, url: str) -> list[str]:
    settings = home / "models.toml"
    settings.write_text(settings.read_text() + LIMITS)
    # Lessons differ from run to run, and windows must not.
    plain = ["--plain", "--no-ledger", "--no-knowledge"]
    return [*plain, "--turns", str(TURNS), "--model", "scripted", "--base-url", url, "--sandbox", "local"]


def kill_once_recorded(process: subprocess.Popen[str], home: Path, kind: str) -> None:
    """Kill a process as soon as its run has an event of a kind."""
    until = time.monotonic() + 60
    journal = only_run(home) / "events.jsonl"
    while kind not in journal.read_text() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def windows(events: list[Event], home: Path) -> list[tuple[Any, ...]]:
    """Checkpoints and compactions, without times and event numbers, which differ in an interrupted run."""
    changes: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, CheckpointTaken):
            changes.append(("taken", event.call, event.turn, event.done, event.decided, event.todo, event.closes))
        elif isinstance(event, EpochStarted) and event.stage:
            stubs = [re.sub(r"event \d+|[\d.]+ s$", "#", stub.replace(str(home), "HOME")) for stub in event.stubs]
            changes.append((event.stage, event.kept, stubs, event.facts, event.rejected))
    return changes


def test_run_killed_twice_during_a_checkpoint_equals_an_unbroken_run(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "split"  # names of equal length, so that windows have equal sizes
    for home in (whole, broken):
        with_digits(home)
    with engine_of(whole, engineer(whole)) as (_, url):
        code, printed = harness_here(whole, "run", "digits", *flags(whole, url))
    assert code == 0, printed

    worker = engineer(broken)
    with engine_of(broken, worker) as (_, url):
        process = worker.victim = start_harness(broken, "run", "digits", *flags(broken, url))
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        events = events_of(only_run(broken))
        assert [e for e in events if isinstance(e, ToolFinished) and e.asks], "it died after the request"
        assert not any(isinstance(event, CheckpointTaken) for event in events)

        kill_once_recorded(start_harness(broken, "resume", "last", "--plain"), broken, "checkpoint_taken")
        events = events_of(only_run(broken))
        assert any(isinstance(event, CheckpointTaken) for event in events)
        assert "checkpoint" not in [e.stage for e in events if isinstance(e, EpochStarted)], "it died before the epoch"

        code, printed = harness_here(broken, "resume", "last", "--plain")
    assert code == 0, printed

    events, unbroken = events_of(only_run(broken)), events_of(only_run(whole))
    assert isinstance(events[-1], RunEnded)
    assert "checkpoint" in [change[0] for change in windows(unbroken, whole)]
    assert windows(events, broken) == windows(unbroken, whole)
    assert normalised(events, broken) == normalised(unbroken, whole)
    assert measure_cache(events).flushes == 0
    assert {mark.name for mark in worker.marks.iterdir()} == {mark.name for mark in (whole / "marks").iterdir()}
    assert all(mark.read_text() == "x\n" for mark in worker.marks.iterdir()), "a command ran twice"
