"""The loop of a run: lanes are played on where the last evaluation gives time back."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.events.registry import RunEnded
from tests.harness.judged_runs import GUESS, side, two_numbers
from tests.playing import call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message

METRIC = """import pathlib, time
def score(answers, predictions, targets):
    mark = pathlib.Path({mark!r})
    if mark.exists():
        mark.unlink()
        time.sleep(17)
    return float((answers[targets[0]] == predictions[targets[0]]).mean())
"""
"""It is slow once after the solution has run."""


@pytest.mark.slow
def test_lanes_are_played_on_where_the_first_score_gives_time_back(tmp_path: Path) -> None:
    own = '{function: "metric.py:score", direction: higher, needs: labels}'
    task = two_numbers(tmp_path / "task", side, metric=own)
    mark = tmp_path / "mark"
    (task.parent / "metric.py").write_text(METRIC.format(mark=str(mark)))

    def play(request: dict[str, object]) -> Message:
        messages = request["messages"]
        assert isinstance(messages, list)
        step = sum(message["role"] == "assistant" for message in messages)
        begun = [
            call("write_file", path="solution.py", content=GUESS.format(guess="1")),
            call("evaluate", command=f"python solution.py; touch '{mark}'", wait_seconds=0),
        ]
        return reply("step", [*begun, call("bash", command="sleep 1")][min(step, 2)], tag=str(step))

    with ChatServer(play, piece=1000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--parallel", "1"]
        options += ["--hours", "0.01", "--set", "kept_back_share=0.5", "--set", "fold_share=0", "--trust-task"]
        code, printed = harness_here(tmp_path / "home", "run", str(task), *options)
    assert code == 0, printed
    events = events_of(only_run(tmp_path / "home"))
    assert isinstance(events[-1], RunEnded)
