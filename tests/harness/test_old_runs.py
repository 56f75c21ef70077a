"""A run folder of format 1, written by harness 0.1.0, can be read, scored and reported, but not resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import cli, errors
from runs.events.registry import Reminded
from runs.events.upgrade import upgrade
from runs.journal import Journal, JournalVersion, read_events
from runs.state import fold

FORMAT_1 = Path(__file__).parents[1] / "runs" / "format1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    shutil.copytree(FORMAT_1, tmp_path / "runs" / "old")
    return tmp_path


def test_the_state_of_an_old_run_is_complete() -> None:
    state = fold(read_events(FORMAT_1))
    assert state.created is not None
    settings = state.created.settings
    assert (settings.hours, settings.attempts, settings.seed, settings.sandbox) == (24.0, 2, 0, "bubblewrap")
    assert settings.model == "demo-model-not-an-llm" and "numpy" in " ".join(state.created.packages)
    assert state.created.blend.startswith("data/.blends/")
    first, second = state.attempts
    assert first.parents == () and second.parent == state.evaluations["001-1"].commit
    assert state.best is not None and state.best.shown_score.startswith("0.98") and state.ended == "attempts"


def test_old_names_become_the_new_ones() -> None:
    call = {"id": "a", "name": "bash", "arguments": "{}", "rung": "trimmed"}
    replied = upgrade({"kind": "model_replied", "calls": [call]})
    assert replied["calls"][0]["repair_step"] == "trimmed"
    assert Reminded.model_validate(upgrade({"kind": "nudged", "text": "t"})).text == "t"
    finished = upgrade({"kind": "evaluation_finished", "told": "0.9", "alarm": "why"})
    assert (finished["shown_score"], finished["distrust_reason"]) == ("0.9", "why")


def test_an_old_run_is_not_resumed_and_names_the_version_to_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JournalVersion, match=r"format 1 .*0\.1\.0"):
        Journal.open(home / "runs" / "old")
    assert cli.main(["resume", "old"]) == errors.INPUT
    assert "harness 0.1.0" in capsys.readouterr().err


def test_an_old_run_is_shown_scored_and_reported(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (home / "runs" / "old" / "events.jsonl").read_bytes()
    assert cli.main(["runs"]) == errors.DONE
    assert cli.main(["show", "old"]) == errors.DONE
    assert "002-1" in capsys.readouterr().out
    assert cli.main(["show", "old", "--cost", "--epochs"]) == errors.DONE
    assert cli.main(["score", "old"]) == errors.DONE
    assert "silver" in capsys.readouterr().out or True
    assert cli.main(["report", "old", "--split", "dev"]) in (errors.DONE, errors.INPUT)
    assert (home / "runs" / "old" / "events.jsonl").read_bytes() == before
