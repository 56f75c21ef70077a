"""An evaluation runs while the model thinks: its result comes later, and an attempt may end before it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from harness import errors, leasing
from harness.startup import sandbox_setup
from runs.events.registry import (
    AttemptEnded,
    EvaluationFinished,
    Event,
    JobFinished,
    RunEnded,
    SubmissionChosen,
    TaskDescribed,
    ToolFinished,
    ToolStarted,
)
from runs.state import fold
from sandboxes.gpus import Look
from sandboxes.leases.amounts import Priority
from sandboxes.leases.leases import Leases
from tests.playing import SOLUTION, call, events_of, harness_here, only_run, reply, start_harness, wait_until
from tests.servers.chat_server import ChatServer, Message, Script


def guess(number: int | str) -> dict[str, Any]:
    return call("write_file", path="solution.py", content=SOLUTION.replace("GUESS = 0", f"GUESS = {number}"))


def evaluation(seconds: float, mark: Path | None = None) -> dict[str, Any]:
    note = f"echo x >> {mark}-$(cksum < data/train.csv | cut -c1-6); " if mark else ""
    return call("evaluate", command=f"{note}sleep {seconds}; python solution.py", wait_seconds=0)


def playing(turns: list[list[dict[str, Any]]], awaits: bool = False) -> Script:
    """The same turns in each attempt; `EVALUATION` in a call is the id that the last result names.

    With `awaits` the last turn waits for a score.
    """

    def script(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
        if not found:
            return {"content": "ok"}  # a request of the probe
        step = sum(message["role"] == "assistant" for message in messages)
        named = re.findall(r"evaluation (\d+-\d+)", str(messages[-1]["content"]))
        calls = [{**one, "function": dict(one["function"])} for one in turns[min(step, len(turns) - 1)]]
        if awaits and step >= len(turns) - 1 and not any("scored" in str(one["content"]) for one in messages[3:]):
            calls = [call("bash", command=f"sleep 0.5; echo step {step}")]
        for one in calls:
            arguments = one["function"]["arguments"].replace("EVALUATION", named[-1] if named else "none")
            one["function"]["arguments"] = arguments.replace("ATTEMPT", found[-1])
        return reply(f"step {step}", *calls, tag=f"{found[-1]}_{step}")

    return script


def played(
    home: Path, turns: list[list[dict[str, Any]]], attempts: int = 1, *more: str, awaits: bool = False
) -> list[Event]:
    with ChatServer(playing(turns, awaits), piece=100_000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain"]
        code, printed = harness_here(home, "run", "digits", *options, *more, "--attempts", str(attempts))
    assert code == errors.DONE, printed
    return events_of(only_run(home))


def test_result_comes_with_a_later_tool_result_once(digits_home: Path) -> None:
    turns = [
        [guess(1), evaluation(0.5)],
        [call("bash", command="echo beside")],
        [call("finish", did="guessed")],
    ]
    events = played(digits_home, turns, awaits=True)
    results = [event for event in events if isinstance(event, ToolFinished)]
    assert "evaluation 001-1: running" in results[1].content and results[1].results == []
    (telling,) = (event for event in results if event.results)
    assert telling.name == "bash" and telling.content.startswith("exit 0")
    assert telling.results == ["001-1"] and "<harness>evaluation 001-1: scored" in telling.content


def test_evaluations_are_waited_for_and_killed_by_their_ids(digits_home: Path) -> None:
    turns = [
        [guess(1), evaluation(0.5)],
        [call("wait", jobs=["EVALUATION"], seconds=60)],
        [guess(2), evaluation(60), guess(3), evaluation(61), guess(4), evaluation(62)],
        [call("kill", job="001-2"), call("kill", job="001-3")],
        [call("finish", did="guessed")],
    ]
    events = played(digits_home, turns)
    results = {event.call: event for event in events if isinstance(event, ToolFinished)}
    assert results["call_1_1_0"].content.startswith("evaluation 001-1: scored")
    assert results["call_1_3_0"].content.startswith("evaluation 001-2: failed")
    assert (results["call_1_1_0"].results, results["call_1_3_0"].results) == (["001-1"], ["001-2"])
    third = results["call_1_2_5"]
    assert third.failed and "001-2, 001-3 are still running" in third.content, "two may be open"
    (killed,) = (event for event in events if isinstance(event, JobFinished) and event.job == "e-001-2")
    assert killed.ended == "killed" and killed.seconds < 30


def test_an_attempt_may_end_before_its_evaluation(digits_home: Path) -> None:
    turns = [[guess(1), call("bash", command="echo ATTEMPT > n.py")], [evaluation(1)], [call("finish", did="guessed")]]
    events = played(digits_home, turns, attempts=2)
    state = fold(events)
    ends = [event.seq for event in events if isinstance(event, AttemptEnded)]
    finished = {event.evaluation: event for event in events if isinstance(event, EvaluationFinished)}
    assert finished["001-1"].seq > ends[0] and finished["001-1"].attempt == 1
    assert [e.status for e in state.evaluations.values()] == ["scored", "scored"]
    memory = (only_run(digits_home) / "memory.md").read_text()
    assert re.search(r"^evaluation 001-1: still running when the attempt ended", memory, re.MULTILINE)
    assert re.search(r"^after attempt 1 had ended: evaluation 001-1: scored", memory, re.MULTILINE)
    assert isinstance(events[-1], RunEnded) and state.chosen is not None and state.chosen.evaluation


def test_an_open_evaluation_survives_a_kill_of_the_harness_and_runs_once(digits_home: Path, tmp_path: Path) -> None:
    turns = [[guess(1)], [evaluation(3, tmp_path / "mark")], [call("bash", command="sleep 1")], [call("finish")]]
    with ChatServer(playing(turns), piece=100_000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        process = start_harness(digits_home, "run", "digits", *options)
        wait_until(lambda: any(tmp_path.glob("mark-*")))
        process.kill()
        process.wait()
        code, printed = harness_here(digits_home, "resume", "last", "--plain")
    assert code == errors.DONE, printed
    events = events_of(only_run(digits_home))
    assert [event.status for event in events if isinstance(event, EvaluationFinished)] == ["scored"]
    assert all(mark.read_text() == "x\n" for mark in tmp_path.glob("mark-*"))


def test_a_kill_between_a_result_and_its_submission_does_not_lose_the_submission(digits_home: Path) -> None:
    turns = [[guess(1)], [evaluation(0)], [call("bash", command="sleep 1")], [call("finish")]]
    with ChatServer(playing(turns, awaits=True), piece=100_000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        code, printed = harness_here(digits_home, "run", "digits", *options)
        assert code == errors.DONE, printed
        folder = only_run(digits_home)
        lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
        [last] = [number for number, event in enumerate(events_of(folder)) if isinstance(event, EvaluationFinished)]
        (folder / "events.jsonl").write_bytes(b"".join(lines[: last + 1]))
        code, printed = harness_here(digits_home, "resume", "last", "--plain")
    assert code == errors.DONE, printed
    kinds = [type(event) for event in events_of(folder)[last + 1 :]]
    assert kinds.index(SubmissionChosen) < kinds.index(AttemptEnded)


def test_evaluations_take_turns_where_lanes_share_a_gpu(digits_home: Path) -> None:
    turns = [[guess("ATTEMPT")], [evaluation(3)], [call("finish")]]
    one_gpu = contextlib.nullcontext(SimpleNamespace(gpus=("GPU-0",)))
    with (
        patch.object(sandbox_setup, "leased_gpus", lambda *_: one_gpu),
        patch.object(leasing, "look_at", lambda _: Look((), ())),
    ):
        events = played(digits_home, turns, 2, "--parallel", "2", "--set", "fold_share=0")
    assert next(event for event in events if isinstance(event, TaskDescribed)).card.count("use the same GPUs") == 1
    first = [event for event in events if isinstance(event, JobFinished) and event.job in ("e-001-1", "e-002-1")]
    (_, end), (start, _) = ((event.mono - event.seconds, event.mono) for event in first)
    assert end <= start, "the second evaluation waited for the first"


def test_an_evaluation_that_waits_for_a_lease_is_killed_at_once(digits_home: Path) -> None:
    leases = Leases(digits_home)
    turns = [[guess(1)], [evaluation(0.0)], [call("kill", job="EVALUATION")], [call("finish", did="gave up")]]
    whole = leases.machine.share(1)
    with leases.acquire(whole, Priority.INTERACTIVE):
        events = played(digits_home, turns)
    (finished,) = [event for event in events if isinstance(event, EvaluationFinished)]
    assert finished.status == "failed" and "killed" in finished.message
    kill = next(event for event in events if isinstance(event, ToolStarted) and event.name == "kill")
    told = next(event for event in events if isinstance(event, ToolFinished) and event.name == "kill")
    assert told.mono - kill.mono < 10 and "killed" in told.content
    assert not any(isinstance(event, JobFinished) and event.ended == "exited" for event in events), "its job never ran"
    ended = next(event for event in events if isinstance(event, AttemptEnded))
    assert ended.why == "finish"
