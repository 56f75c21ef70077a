"""Checkpoints with wrong types: what can be read is taken, the rest is refused, and the epoch closes either way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runs.events.registry import CheckpointTaken, ToolFinished
from runs.state import fold
from tests.context.test_long_window import SMALL, reading, stages
from tests.long_play import Worker, play, settings_of


def test_checkpoint_of_wrong_types_is_read_or_refused_and_the_run_continues(tmp_path: Path) -> None:
    worker = Worker(reading)

    def words(turn: int, todos: list[str]) -> dict[str, Any]:
        if worker.checkpoints == 1:
            return {"done": "read the rows, CV 0.91", "decided": None, "todo": "look at row 3"}
        return {"done": [["nested"], None], "decided": "", "todo": {"row": 1}}

    worker.words = words
    played = play(tmp_path, worker, 60, settings_of(tmp_path, window_tokens=SMALL))
    (taken,) = [event for event in played.events if isinstance(event, CheckpointTaken)]
    assert (taken.done, taken.decided, taken.todo) == (["read the rows, CV 0.91"], [], ["todo-1: look at row 3"])
    answers = [event for event in played.events if isinstance(event, ToolFinished) and event.name == "checkpoint"]
    assert len(answers) >= 3 and not answers[0].failed
    assert all(event.failed and "`done` must be an array" in event.content for event in answers[1:])
    assert stages(played.events)[:3] == ["mask", "checkpoint", "mask"] and "automatic" in stages(played.events)
    assert fold(played.events).turns == 60 and len(fold(played.events).attempts) == 1
