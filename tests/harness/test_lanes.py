"""Several attempts at once: each lane works as one lane alone does, and nothing is lost or done twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from harness import errors
from runs.events.registry import (
    AttemptStarted,
    Event,
    JobFinished,
    ModelAsked,
    ModelReplied,
    RunEnded,
    ToolStarted,
)
from runs.state import fold
from tests.harness.kills import play_and_kill, refs_and_files
from tests.playing import engineer, events_of, harness_here, only_run, turns_asked, with_digits
from tests.servers.chat_server import ChatServer

LOCAL = ["--sandbox", "local", "--plain"]


def options(server: ChatServer, parallel: int, attempts: int) -> list[str]:
    model = ["--model", "scripted", "--base-url", server.url]
    return ["digits", *model, *LOCAL, "--parallel", str(parallel), "--attempts", str(attempts)]


def check_whole(events: list[Event], attempts: int) -> None:
    """Every attempt was played to its end in one lane, and each of its jobs and evaluations ran once."""
    state = fold(events)
    assert [attempt.ended for attempt in state.attempts] == ["finish"] * attempts
    assert [attempt.turns for attempt in state.attempts] == [7] * attempts
    assert sorted(state.evaluations) == [f"{number:03d}-1" for number in range(1, attempts + 1)]
    assert state.breaches == 0
    jobs = Counter(event.job for event in events if isinstance(event, JobFinished))
    assert set(jobs.values()) == {1}
    started = Counter(event.job for event in events if isinstance(event, ToolStarted) and event.job)
    assert set(started.values()) == {1}
    for event in events:
        if event.attempt:
            assert state.attempts[event.attempt - 1].lane == event.lane, event


def test_two_lanes_play_all_attempts_once_each_in_a_workspace_of_its_own(digits_home: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", 0.1), piece=100_000) as server:
        code, printed = harness_here(digits_home, "run", *options(server, 2, 4))
        asked = turns_asked(server)
    assert code == errors.DONE, printed
    folder = only_run(digits_home)
    events = events_of(folder)
    check_whole(events, 4)
    assert isinstance(events[-1], RunEnded) and events[-1].why == "attempts"
    assert {event.lane for event in events if isinstance(event, AttemptStarted)} == {0, 1}
    assert len({request.body for request in asked}) == len(asked) == 4 * 7
    assert (folder / "workspace" / "solution.py").exists()
    assert (folder / "lanes" / "1" / "workspace" / "solution.py").exists()
    for mark in (tmp_path / "marks").iterdir():
        # A solution runs once on each split, and its file is named by the split.
        assert mark.read_text() == "x\n", mark


@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize("kills", [12, 50])
def test_three_lanes_killed_at_random_instants_lose_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    chance, done, attempts, lanes = random.Random(kills), 0, 6, 3
    expected: dict[str, str] = {}
    for number in range(kills + 1):
        home = with_digits(tmp_path / str(number))
        (home / "marks").mkdir()
        with ChatServer(engineer(home / "marks", 0.1), piece=1000) as server:
            start = ["run", *options(server, lanes, attempts)]
            # The first run is not killed: the others must do as much.
            killed, printed = play_and_kill(home, start, chance, min(4, kills - done) if number else 0, 2.5)
            asked = turns_asked(server)
        done += killed
        events = events_of(only_run(home))
        assert isinstance(events[-1], RunEnded), printed
        assert [event.seq for event in events] == list(range(len(events)))
        check_whole(events, attempts)
        tags = {ref: files for ref, files in refs_and_files(only_run(home)).items() if "tags/" in ref}
        expected = expected or tags
        assert tags == expected
        assert all(mark.read_text() == "x\n" for mark in (home / "marks").iterdir()), "a job ran twice"
        replies = Counter(event.request for event in events if isinstance(event, ModelReplied))
        requests = [event.request for event in events if isinstance(event, ModelAsked)]
        assert set(replies.values()) == {1} and len(set(requests)) == len(requests)
        assert len(requests) - len(replies) <= lanes * killed, "more than the requests in flight were repeated"
        assert len(asked) <= len(requests)
        if done >= kills:
            return
    raise AssertionError(f"only {done} kills")
