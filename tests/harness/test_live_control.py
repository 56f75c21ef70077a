"""A person pauses, steers, extends and stops a run while it is played; nothing is asked while it is paused.

The person acts when the scripted model is asked a certain turn, so that each story is the same every time.
"""

from __future__ import annotations

import itertools
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import errors
from runs.control import inbox
from runs.control.ask import ControlRefused, ask
from runs.control.requests import Continue, Extend, Pause, Steer, Stop
from runs.events.registry import (
    AttemptStarted,
    BudgetExtended,
    Event,
    JobFinished,
    ModelAsked,
    MoveChosen,
    Paused,
    PlayContinued,
    PlayPaused,
    RequestRefused,
    RunEnded,
    Steered,
    StopAsked,
    ToolFinished,
)
from runs.state import fold
from tests.playing import SOLUTION, call, events_of, harness_here, only_run, reply, wait_until
from tests.servers.chat_server import ChatServer, Message, Script

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
GUESS = [
    [call("bash", command="cat data/train.csv | wc -l")],
    [call("write_file", path="solution.py", content=SOLUTION)],
    [call("evaluate", command="python solution.py")],
    [call("finish", did="guessed")],
]


def playing(turns: list[list[dict[str, Any]]], acts: dict[tuple[int, int], Callable[[], object]]) -> Script:
    """The same turns in each attempt. At the first request of (attempt, step) a person does what `acts` says."""

    def script(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
        if not found:
            return {"content": "ok"}  # a request of the probe
        attempt, step = int(found[-1]), sum(message["role"] == "assistant" for message in messages)
        if act := acts.pop((attempt, step), None):
            act()
        calls = [{**one, "function": dict(one["function"])} for one in turns[min(step, len(turns) - 1)]]
        for one in calls:
            one["function"]["arguments"] = one["function"]["arguments"].replace("GUESS = 0", f"GUESS = {attempt}")
        return reply(f"step {step}", *calls, tag=f"{attempt}_{step}")

    return script


def play(
    home: Path,
    acts: dict[tuple[int, int], Callable[[], object]],
    *more: str,
    sandbox: str = "bubblewrap",
    turns: list[list[dict[str, Any]]] | None = None,
) -> tuple[int, list[Event]]:
    with ChatServer(playing(turns or GUESS, acts), piece=100_000) as server:
        model = ["--model", "scripted", "--base-url", server.url]
        code, printed = harness_here(home, "run", "digits", *model, "--sandbox", sandbox, "--plain", *more)
    assert "Traceback" not in printed, printed
    return code, events_of(only_run(home))


def of_kind(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def beside(act: Callable[[], object]) -> Callable[[], object]:
    """Act in a thread, since the run goes on only when the model has answered."""
    return lambda: threading.Thread(target=act, daemon=True).start()


@needs_bubblewrap
def test_a_hint_rides_on_the_next_tool_result_and_the_run_stays_marked(digits_home: Path) -> None:
    home = digits_home
    said: list[str] = []

    def steer() -> None:
        said.append(ask(only_run(home), Steer(hint="predict the digit 7 for every row")))

    code, events = play(home, {(1, 1): steer}, "--attempts", "2")
    assert code == errors.DONE
    (steered,) = of_kind(events, Steered)
    told = [event for event in of_kind(events, ToolFinished) if "predict the digit 7" in event.content]
    assert len(told) == 1 and "<harness>" in told[0].content
    assert told[0].seq == min(event.seq for event in of_kind(events, ToolFinished) if event.seq > steered.seq)
    assert said and "steered" in said[0]
    folder = only_run(home)
    assert "steered" in (folder / "report.md").read_text()
    for command in (["runs"], ["show", "last"]):
        assert "steered" in harness_here(home, *command)[1], command
    assert inbox.received(folder) == []


@needs_bubblewrap
def test_the_next_attempt_starts_from_the_evaluation_that_a_person_names(digits_home: Path) -> None:
    def steer() -> None:
        ask(only_run(digits_home), Steer(evaluation="001-1"))

    code, events = play(digits_home, {(2, 1): steer}, "--attempts", "3")
    assert code == errors.DONE
    moves = of_kind(events, MoveChosen)
    state = fold(events)
    assert [move.policy for move in moves] == ["tree", "tree", "person"]
    assert moves[2].parents == [state.evaluations["001-1"].commit]
    assert of_kind(events, AttemptStarted)[2].parents == moves[2].parents


@needs_bubblewrap
def test_nothing_is_asked_and_no_time_passes_while_a_run_is_paused(digits_home: Path) -> None:
    folder: list[Path] = []

    def person() -> None:
        folder.append(only_run(digits_home))
        ask(folder[0], Pause())
        asked = len(of_kind(events_of(folder[0]), ModelAsked))
        time.sleep(2.0)
        assert len(of_kind(events_of(folder[0]), ModelAsked)) == asked
        with pytest.raises(ControlRefused):
            ask(folder[0], Pause())
        assert ask(folder[0], Continue()) == "the run continues"

    turns = [[call("bash", command="for i in $(seq 40); do date +%s.%N; sleep 0.1; done", wait_seconds=60)], *GUESS]
    code, events = play(digits_home, {(1, 0): lambda: later(person, 1.0)}, "--attempts", "1", turns=turns)
    assert code == errors.DONE
    (paused,), (continued,) = of_kind(events, PlayPaused), of_kind(events, PlayContinued)
    assert continued.seconds > 2.0
    assert continued.mono - paused.mono < 0.3, "the clock stood still"
    assert not [event for event in events if paused.seq < event.seq < continued.seq]
    log = next((folder[0] / "jobs" / ".logs").glob("*/log")).read_text()
    moments = [float(line) for line in log.split()]
    assert max(later - now for now, later in itertools.pairwise(moments)) > 1.5, "the job was stopped"
    job = of_kind(events, JobFinished)[0]
    assert job.seconds < moments[-1] - moments[0] - 1.5


def later(act: Callable[[], object], seconds: float) -> None:
    threading.Timer(seconds, act).start()


def test_stop_ends_a_run_with_its_final_selection(digits_home: Path) -> None:
    def stop() -> None:
        ask(only_run(digits_home), Stop())

    slow = [*GUESS[:3], [call("bash", command="sleep 60", wait_seconds=60)], GUESS[3]]
    acts: dict[tuple[int, int], Callable[[], object]] = {(1, 3): lambda: later(stop, 1.0)}
    start = time.monotonic()
    code, events = play(digits_home, acts, sandbox="local", turns=slow)
    assert code == errors.DONE
    assert time.monotonic() - start < 50, "a wait ends at once"
    assert isinstance(events[-1], RunEnded) and events[-1].why == "stopped"
    state = fold(events)
    assert state.attempts[0].ended == "stopped" and "record" in state.decisions
    assert of_kind(events, StopAsked)
    with pytest.raises(ControlRefused):
        ask(only_run(digits_home), Pause())


def test_stop_now_leaves_a_run_that_can_be_resumed(digits_home: Path) -> None:
    def stop() -> None:
        ask(only_run(digits_home), Stop(now=True))

    code, events = play(digits_home, {(1, 1): beside(stop)}, "--attempts", "1", sandbox="local")
    assert code == errors.STOPPED
    assert isinstance(events[-1], Paused) and "stop --now" in events[-1].why


def test_a_run_without_isolation_takes_no_hint_from_its_inbox(digits_home: Path) -> None:
    refused: list[str] = []

    def person() -> None:
        folder = only_run(digits_home)
        for request in (Steer(hint="x"), Extend(attempts=1)):
            with pytest.raises(ControlRefused) as caught:
                ask(folder, request)
            refused.append(str(caught.value))
        inbox.put(folder, Steer(hint="written by a command of the model"))
        (folder / "inbox" / "0-link").symlink_to("/etc/passwd")
        wait_until(lambda: len(of_kind(events_of(folder), RequestRefused)) == 2, 10)

    code, events = play(digits_home, {(1, 1): person}, "--attempts", "1", sandbox="local")
    assert code == errors.DONE
    assert len(refused) == 2 and all("does not isolate" in text for text in refused)
    assert not of_kind(events, Steered) and not fold(events).control.hints
    assert len(fold(events).attempts) == 1


def test_a_run_that_a_budget_ended_goes_on_when_it_is_extended(digits_home: Path) -> None:
    with ChatServer(playing(GUESS, {}), piece=100_000) as server:
        model = ["--model", "scripted", "--base-url", server.url, "--sandbox", "local", "--plain"]
        code, _ = harness_here(digits_home, "run", "digits", *model, "--attempts", "1")
        assert code == errors.DONE
        first = fold(events_of(only_run(digits_home)))
        assert harness_here(digits_home, "extend", "last", "--cost", "1")[0] == errors.INPUT, "there is no such limit"
        assert harness_here(digits_home, "extend", "last", "--hours", "1")[0] == errors.INPUT, "attempts ended it"
        code, printed = harness_here(digits_home, "extend", "last", "--attempts", "1")
        assert code == errors.DONE and "extended to 2 attempts" in printed
        between = fold(events_of(only_run(digits_home)))
        assert not between.ended and between.active_seconds >= first.active_seconds
        code, printed = harness_here(digits_home, "resume", "last", "--plain")
        assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    state = fold(events)
    assert len(state.attempts) == 2 and state.ended == "attempts"
    assert "record" in state.decisions, "the final selection was made again"
    assert len(of_kind(events, RunEnded)) == 2 and len(of_kind(events, BudgetExtended)) == 1
    assert harness_here(digits_home, "score", "last")[0] == errors.DONE
    for command in (["extend", "last", "--attempts", "1"], ["steer", "last", "more"], ["resume", "last"]):
        code, printed = harness_here(digits_home, *command)
        assert code == errors.INPUT and "graded" in printed


@needs_bubblewrap
def test_a_live_run_is_extended_before_its_last_attempt_ends(digits_home: Path) -> None:
    def extend() -> None:
        ask(only_run(digits_home), Extend(attempts=1, hours=1))

    code, events = play(digits_home, {(1, 2): extend}, "--attempts", "1", "--hours", "1")
    assert code == errors.DONE
    state = fold(events)
    assert len(state.attempts) == 2 and state.created is not None and state.created.settings.hours == 2
    told = [event for event in of_kind(events, ToolFinished) if "budget was extended" in event.content]
    assert len(told) == 1
