"""Plays a run in each dialect on a server of a model that recites (recitals.py), and checks every call."""

from __future__ import annotations

import json
from pathlib import Path

from runs.events.registry import Event, ModelFailed, ModelReplied, RunEnded, ToolFinished
from runs.state import fold
from tests.harness.judged_runs import coin, two_numbers
from tests.playing import events_of, harness_here
from tests.servers.recitals import LOOK, PLAYED, WRITE


def play_each(home: Path, port: int, model: str, turns: int) -> None:
    """Play the runs and check them. The first one probes the server for all."""
    home.mkdir()
    (home / "models.toml").write_text('[tiny]\nkind = "openai"\ncontext_tokens = 24000\noutput_tokens = 64\n')
    for name in PLAYED:
        code, printed = play(home, port, model, name, turns)
        assert code == 0, f"{name}: {printed}"
        (folder,) = (one for one in (home / "runs").iterdir() if f"_{name}_0_" in one.name)
        check_calls(name, events_of(folder), turns)


def play(home: Path, port: int, model: str, dialect: str, turns: int) -> tuple[int, str]:
    """A run of a task whose description asks for a dialect: its exit code and what it printed."""
    task = two_numbers(home.parent / "tasks" / dialect, coin, train=60, test=20)
    task.with_name("description.md").write_text(f"Predict y. Recite {dialect}.\n")
    return harness_here(
        home, "run", str(task), "--model", model, "--base-url", f"http://127.0.0.1:{port}/v1", "--plain",
        "--sandbox", "local", "--no-ledger", "--no-knowledge", "--accept-lost-thinking",
        "--parallel", "1", "--turns", str(turns),
    )  # fmt: skip


def check_calls(name: str, events: list[Event], turns: int) -> None:
    """Each reply was read as the call it is, its thought was taken off, and its result came back."""
    assert isinstance(events[-1], RunEnded) and events[-1].why == "turns"
    assert fold(events).breaches == 0 and not any(isinstance(event, ModelFailed) for event in events)
    replies = [event for event in events if isinstance(event, ModelReplied)]
    calls = [[(call.name, json.loads(call.arguments)) for call in reply.calls] for reply in replies]
    expected = [WRITE if number % 2 else LOOK for number in range(1, turns + 1)]
    assert calls == [[(tool, arguments)] for tool, arguments in expected], name
    assert not any(call.problem for reply in replies for call in reply.calls), name
    histories = [json.loads(reply.message) for reply in replies]
    assert not any(history["content"] for history in histories), name
    results = [event for event in events if isinstance(event, ToolFinished)]
    assert len(results) == turns and not any(result.failed for result in results[1:]), name
    assert all('next = "<b> & c"' in result.content for result in results[1::2]), name
