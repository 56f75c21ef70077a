"""A harness that is killed at any instant loses nothing: the resumed run is the run that was never interrupted."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from runs.events import Event, ModelAsked, ModelReplied, RunEnded
from tests.playing import engineer, events_of, harness, jobs_of, normalised, only_run, start_harness, turns_asked
from tests.servers.chat_server import ChatServer

KILLS = 50
ATTEMPTS = 2


def flags(server: ChatServer) -> list[str]:
    return [
        "--attempts",
        str(ATTEMPTS),
        "--model",
        "scripted",
        "--base-url",
        server.url,
        "--sandbox",
        "local",
        "--plain",
    ]


def folder_of(home: Path) -> Path | None:
    runs = home / "runs"
    found = [path for path in runs.iterdir() if not path.name.startswith(".")] if runs.is_dir() else []
    return found[0] if found else None


def recorded(home: Path) -> int:
    """How many events the run has by now."""
    folder = folder_of(home)
    return len(events_of(folder)) if folder else 0


def live_a_little(process: subprocess.Popen[str], home: Path, chance: random.Random) -> None:
    """Let a process begin to record, mostly, and then live for a random while."""
    before, until = recorded(home), time.monotonic() + 60
    is_early = chance.random() < 0.1
    while not is_early and process.poll() is None and recorded(home) <= before and time.monotonic() < until:
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0.0, 1.5))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    home = tmp_path_factory.mktemp("unbroken")
    (home / "marks").mkdir()
    with ChatServer(engineer(home / "marks"), piece=1000) as server:
        code, printed = harness(home, "run", "digits", *flags(server))
    assert code == 0, printed
    return home, events_of(only_run(home))


def play_and_kill(home: Path, server: ChatServer, chance: random.Random, most: int) -> tuple[int, str]:
    """Play a run to its end, killing the harness at random instants; how often, and what the last process printed."""
    kills = 0
    while True:
        again = ["resume", "last", "--plain"] if folder_of(home) else ["run", "digits", *flags(server)]
        process = start_harness(home, *again)
        if kills < most:
            live_a_little(process, home, chance)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
        printed, _ = process.communicate(timeout=120)
        if process.returncode != -signal.SIGKILL:
            return kills, printed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_killed_at_fifty_random_instants_is_the_run_that_was_never_killed(
    unbroken: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    model_home, model_events = unbroken
    chance = random.Random(20260711)
    kills = 0
    for number in range(KILLS):
        home = tmp_path / str(number)
        marks = home / "marks"
        marks.mkdir(parents=True)
        with ChatServer(engineer(marks), piece=1000) as server:
            killed, printed = play_and_kill(home, server, chance, KILLS - kills)
            kills += killed
            events = events_of(only_run(home))
            story = f"home {number}, killed {killed} times\n{printed}"
            assert normalised(events, home) == normalised(model_events, model_home), story
            assert jobs_of(events) == jobs_of(model_events), story
            assert isinstance(events[-1], RunEnded), story
            assert [event.seq for event in events] == list(range(len(events)))
            replies = Counter(event.request for event in events if isinstance(event, ModelReplied))
            asked = [event.request for event in events if isinstance(event, ModelAsked)]
            assert max(replies.values()) == 1, "a recorded reply was asked for again"
            assert len(asked) - len(replies) <= killed, "more was asked again than the request in flight"
            assert len(turns_asked(server)) <= len(asked)
            assert all(mark.read_text() == "x\n" for mark in marks.iterdir()), "a job ran twice"
            names = {mark.name for mark in (model_home / "marks").iterdir()}
            assert {mark.name for mark in marks.iterdir()} == names, "another job ran than in the unbroken run"
        if kills >= KILLS:
            return
    raise AssertionError(f"only {kills} kills")
