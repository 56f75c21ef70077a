"""A harness killed at any instant loses nothing: the resumed run equals a run that was never interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from runs.events.registry import EndpointProbed, Event, ModelAsked, ModelFailed, ModelReplied, RunEnded
from runs.state import fold
from runs.usage.cost import sum_usage
from runs.views.final_choice import members_of_record
from tests.harness.kills import play_and_kill, refs_and_files
from tests.playing import (
    engineer,
    events_of,
    harness_here,
    jobs_of,
    normalised,
    only_run,
    start_harness,
    turns_asked,
    with_digits,
)
from tests.servers.chat_server import ChatServer, wait_until

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


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    home = with_digits(tmp_path_factory.mktemp("unbroken") / "home")
    (home / "marks").mkdir()
    with ChatServer(engineer(home / "marks"), piece=1000) as server:
        code, printed = harness_here(home, "run", "digits", *flags(server))
    assert code == 0, printed
    return home, events_of(only_run(home))


def test_recorded_command_makes_the_submission_again_in_a_clone(
    unbroken: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    home, events = unbroken
    folder, state = only_run(home), fold(events)
    assert list(refs_and_files(folder)) == [
        *("refs/heads/attempt/001", "refs/heads/attempt/002", "refs/heads/main"),
        *("refs/tags/evaluation/001-1", "refs/tags/evaluation/002-1"),
    ]
    subprocess.run(["git", "clone", "--quiet", folder / "repo.git", tmp_path / "winner"], check=True)
    assert state.created is not None
    (tmp_path / "winner" / "data").symlink_to(home / state.created.blend / "public")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    code = 'sh -c "$(git log -1 --format=%b)"'
    subprocess.run(["sh", "-c", code], cwd=tmp_path / "winner", env={**os.environ, "PATH": path}, check=True)
    made = set((tmp_path / "winner" / "submission.csv").read_text().splitlines())
    (winner,) = (e for e in state.evaluations.values() if e.id in members_of_record(state))
    kept = (folder / "evaluations" / winner.id / "fold0" / "submission.csv").read_text().splitlines()
    assert len(kept) > 1 and set(kept) <= made
    assert "solution.py" in winner.command and winner.command in (folder / "report.md").read_text()


@pytest.mark.timeout(1200)
def test_run_killed_at_random_instants_equals_an_unbroken_run(
    unbroken: tuple[Path, list[Event]], full: bool, tmp_path: Path
) -> None:
    """5 kills, which is one or two runs; 50 kills, which are closer to each other, with `--full`."""
    count, most_seconds = (50, 1.5) if full else (5, 3.0)
    model_home, model_events = unbroken
    chance = random.Random(20260711)
    kills = 0
    for number in range(count):
        home = with_digits(tmp_path / str(number))
        marks = home / "marks"
        marks.mkdir(parents=True)
        with ChatServer(engineer(marks), piece=1000) as server:
            start = ["run", "digits", *flags(server)]
            killed, printed = play_and_kill(home, start, chance, count - kills, most_seconds)
            kills += killed
            events = events_of(only_run(home))
            story = f"home {number}, killed {killed} times\n{printed}"
            assert normalised(events, home) == normalised(model_events, model_home), story
            assert jobs_of(events) == jobs_of(model_events), story
            assert isinstance(events[-1], RunEnded), story
            assert refs_and_files(only_run(home)) == refs_and_files(only_run(model_home)), story
            assert [event.seq for event in events] == list(range(len(events)))
            replies = Counter(event.request for event in events if isinstance(event, ModelReplied))
            asked = [event.request for event in events if isinstance(event, ModelAsked)]
            assert max(replies.values()) == 1, "a recorded reply was requested again"
            assert len(asked) - len(replies) <= killed, "more than the open request was repeated"
            assert len(turns_asked(server)) <= len(asked)
            assert all(mark.read_text() == "x\n" for mark in marks.iterdir()), "a job ran twice"
            names = {mark.name for mark in (model_home / "marks").iterdir()}
            assert {mark.name for mark in marks.iterdir()} == names, "the unbroken run ran other jobs"
        if kills >= count:
            return
    raise AssertionError(f"only {kills} kills")


PRICE = 1000.0
"""Dollars a million tokens, so that a prompt of this run costs a few dollars."""


def killed_while_asking(home: Path, server: ChatServer, *arguments: str, how: tuple[signal.Signals, ...]) -> None:
    """Start a harness and end it while it waits for a request that the server does not answer."""

    def unanswered() -> int:
        return sum(one.fault == "stall_unanswered" for one in server.received)

    before = unanswered()
    process = start_harness(home, *arguments)
    try:
        assert wait_until(lambda: unanswered() > before, 30)
        for number in how:
            os.kill(process.pid, number)
            time.sleep(0.2)
        process.communicate(timeout=60)
    finally:
        process.kill()


def test_request_open_at_a_crash_is_paid_once_in_the_resumed_run(tmp_path: Path) -> None:
    with_digits(tmp_path)
    (tmp_path / "marks").mkdir()
    (tmp_path / "models.toml").write_text(f"[scripted]\nprices = {{input = {PRICE}, output = {PRICE}}}\n")
    cut = {2: "stall_unanswered", 3: "stall_unanswered"}
    with ChatServer(engineer(tmp_path / "marks", seconds=0.01), piece=1000) as server:
        server.faults = lambda one: cut.get(len(turns_asked(server)) + 1, "") if "attempt: " in str(one) else ""
        first, twice = (signal.SIGKILL,), (signal.SIGINT, signal.SIGINT)
        killed_while_asking(tmp_path, server, "run", "digits", *flags(server), "--turns", "2", how=first)
        assert not [one for one in events_of(only_run(tmp_path)) if isinstance(one, ModelFailed)]
        killed_while_asking(tmp_path, server, "resume", "last", "--plain", how=twice)
        code, printed = harness_here(tmp_path, "resume", "last", "--plain")
    assert code == 0, printed
    events = events_of(only_run(tmp_path))
    state = fold(events)
    sizes = {event.request: event.size for event in events if isinstance(event, ModelAsked)}
    lost = [event for event in events if isinstance(event, ModelFailed)]
    assert [event.request for event in lost] == [2, 3], "once each, however often the run was resumed"
    for event in lost:
        assert event.cost == pytest.approx(sizes[event.request] / 3 * PRICE / 1e6, rel=0.01)
    paid = sum(event.cost for event in events if isinstance(event, (EndpointProbed, ModelReplied)))
    spend = sum_usage(events).total
    assert state.cost == pytest.approx(paid + sum(event.cost for event in lost)) == spend.cost
    assert state.is_cost_estimated and spend.is_estimated
    probed = sum(event.cost for event in events if isinstance(event, EndpointProbed))
    assert sum(attempt.cost for attempt in state.attempts) == pytest.approx(state.cost - probed)
    assert "2 requests without" in harness_here(tmp_path, "show", "last", "--cost")[1]


def test_request_lost_in_a_crash_counts_against_the_cost_limit(tmp_path: Path) -> None:
    with_digits(tmp_path)
    (tmp_path / "marks").mkdir()
    (tmp_path / "models.toml").write_text(f"[scripted]\nprices = {{input = {PRICE}, output = {PRICE}}}\n")
    with ChatServer(engineer(tmp_path / "marks", seconds=0.01), piece=1000) as server:
        start = ["run", "digits", *flags(server), "--cost", "0.5"]
        assert harness_here(tmp_path, *start, "--turns", "1")[0] == 0  # now the endpoint is probed
        asked, earlier = len(turns_asked(server)), only_run(tmp_path)
        server.faults = lambda _: "stall_unanswered" if len(turns_asked(server)) == asked else ""
        killed_while_asking(tmp_path, server, *start, how=(signal.SIGKILL,))
        code, printed = harness_here(tmp_path, "resume", "last", "--plain")
        assert code == 0, printed
        assert len(turns_asked(server)) == asked + 1, "no further request"
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path != earlier)
    end = events_of(folder)[-1]
    assert isinstance(end, RunEnded) and end.why == "cost"
