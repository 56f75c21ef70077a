"""Several attempts at once: each lane works as one lane alone does, and nothing is lost or done twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from context.window import Window
from harness import errors, lanes
from harness.startup import open_run
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EvaluationFinished,
    Event,
    JobFinished,
    LanesChanged,
    ModelAsked,
    ModelReplied,
    Paused,
    RunEnded,
    ToolFinished,
    ToolStarted,
    Warned,
)
from runs.state import fold
from runs.usage.cache import measure_cache
from sandboxes.base import JobRequest, Sandbox, SandboxFailed, SandboxPaths
from sandboxes.select import open_sandbox
from tests.harness.decisions import assert_decisions_repeat
from tests.harness.kills import play_and_kill, refs_and_files
from tests.playing import (
    engineer,
    events_of,
    harness_here,
    only_run,
    start_harness,
    turns_asked,
    wait_until,
    with_digits,
)
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
    assert measure_cache(events).flushes == 0
    for lane in {event.lane for event in events}:
        window = Window()
        for event in events:
            if event.lane == lane:
                window.apply(event)
        assert window.breaches == 0, "a request of this lane was not rebuilt as it was sent"


def test_two_lanes_play_all_attempts_once_each_in_a_workspace_of_its_own(digits_home: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", 0.1), piece=100_000) as server:
        code, printed = harness_here(digits_home, "run", *options(server, 2, 4))
        asked = turns_asked(server)
    assert code == errors.DONE, printed
    folder = only_run(digits_home)
    events = events_of(folder)
    assert_decisions_repeat(folder, events)
    check_whole(events, 4)
    assert isinstance(events[-1], RunEnded) and events[-1].why == "attempts"
    assert {event.lane for event in events if isinstance(event, AttemptStarted)} == {0, 1}
    assert len({request.body for request in asked}) == len(asked) == 4 * 7
    assert (folder / "workspace" / "solution.py").exists()
    assert (folder / "lanes" / "1" / "workspace" / "solution.py").exists()
    for mark in (tmp_path / "marks").iterdir():
        # A solution runs once on each split, and its file is named by the split.
        assert mark.read_text() == "x\n", mark
    check_news(events)


def check_news(events: list[Event]) -> None:
    """A new best of another lane was told once, on a tool result."""
    told = [event for event in events if isinstance(event, ToolFinished) and "new best" in event.content]
    best = [event for event in events if isinstance(event, EvaluationFinished) and event.promoted]
    for event in told:
        assert any(f"evaluation {one.evaluation}" in event.content and one.lane != event.lane for one in best)
    assert 1 <= len(told) <= len(best)


def test_refusals_for_too_many_requests_take_lanes_away(digits_home: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    left = iter(["429_retry_after_ms"] * 6)
    with ChatServer(engineer(tmp_path / "marks", 0.01), piece=100_000) as server:
        server.faults = lambda one: next(left, "") if "attempt: " in str(one) else ""
        code, printed = harness_here(digits_home, "run", *options(server, 3, 5))
    assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    check_whole(events, 5)
    assert [event.parallel for event in events if isinstance(event, LanesChanged)] == [2, 1]
    assert "attempts at once from now on: 1" in printed
    last = max(event.seq for event in events if isinstance(event, LanesChanged))
    assert len({e.lane for e in events if isinstance(e, AttemptStarted) and e.seq > last}) <= 1


def test_a_lane_comes_back_after_a_while_without_refusals_also_in_a_resumed_run(
    digits_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "marks").mkdir()
    left = iter(["429_retry_after_ms"] * 3 + ["401"] * 1000)
    with ChatServer(engineer(tmp_path / "marks", 0.01), piece=100_000) as server:
        server.faults = lambda one: next(left, "") if "attempt: " in str(one) else ""
        code, printed = harness_here(digits_home, "run", *options(server, 2, 5), "--set", "model_denied_seconds=1")
        assert code == errors.ENDPOINT, printed
        server.faults = lambda one: ""
        with patch.object(lanes, "QUIET_SECONDS", 0.5):
            code, printed = harness_here(digits_home, "resume", "last", "--plain")
    assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    check_whole(events, 5)
    changes = [event for event in events if isinstance(event, LanesChanged)]
    assert [(event.parallel, event.refused) for event in changes] == [(1, 1), (2, 0)]
    after = {e.lane for e in events if isinstance(e, AttemptStarted) and e.seq > changes[1].seq}
    assert after == {0, 1}


class Broken:
    """A sandbox whose jobs cannot be started any more."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def start(self, request: JobRequest) -> None:
        raise SandboxFailed("the daemon is gone")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox, name)


def test_a_lane_whose_sandbox_fails_does_not_end_the_others(digits_home: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()

    def opened(kind: str, paths: SandboxPaths) -> Any:
        sandbox = open_sandbox(kind, paths)
        return Broken(sandbox) if "lanes" in paths.workspace.parts else sandbox

    with (
        ChatServer(engineer(tmp_path / "marks", 0.01), piece=100_000) as server,
        patch.object(open_run, "open_sandbox", opened),
    ):
        code, printed = harness_here(digits_home, "run", *options(server, 2, 3))
    assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    ended = {(event.lane, event.why) for event in events if isinstance(event, AttemptEnded)}
    assert ended == {(0, "finish"), (1, "stopped")}
    assert [event for event in events if isinstance(event, Warned) and "the daemon is gone" in event.message]


def test_ctrl_c_stops_all_lanes_and_a_resume_may_change_their_number(digits_home: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with ChatServer(engineer(marks, 0.3), piece=1000) as server:
        hangs = iter(["stall_unanswered"])
        server.faults = lambda one: next(hangs, "") if "\nattempt: 2\n" in str(one["messages"]) else ""
        process = start_harness(digits_home, "run", *options(server, 3, 4))
        wait_until(lambda: (marks / "a1-train").exists() and (marks / "a3-train").exists())
        start = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
        assert time.monotonic() - start < 10
        assert process.returncode == errors.STOPPED, printed
        events = events_of(only_run(digits_home))
        assert isinstance(events[-1], Paused) and len(fold(events).open_attempts) == 3
        code, printed = harness_here(digits_home, "resume", "last", "--plain", "--parallel", "1")
    assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    check_whole(events, 4)
    assert [event.parallel for event in events if isinstance(event, LanesChanged)] == [1]
    assert all(mark.read_text() == "x\n" for mark in marks.iterdir())


def test_lanes_pass_the_cap_by_at_most_one_call_each(digits_home: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    (digits_home / "models.toml").write_text("[scripted]\nprices = {input = 1000, output = 1000}\n")
    with ChatServer(engineer(tmp_path / "marks", 0.01), piece=100_000) as server:
        code, printed = harness_here(digits_home, "run", *options(server, 3, 9), "--cost", "20")
    assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    calls = [event.cost for event in events if isinstance(event, ModelReplied)]
    assert 20 <= fold(events).cost <= 20 + 3 * max(calls)
    assert isinstance(events[-1], RunEnded) and events[-1].why == "cost"


def test_no_lane_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        harness_here(Path("unused"), "run", "digits", "--parallel", "0")
    assert refusal.value.code == errors.INPUT


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_three_lanes_killed_at_random_instants_lose_and_repeat_nothing(full: bool, tmp_path: Path) -> None:
    """12 kills; 50 with `--full`."""
    kills, attempts, lanes = 50 if full else 12, 6, 3
    chance, done = random.Random(kills), 0
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
        assert_decisions_repeat(only_run(home), events)
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
