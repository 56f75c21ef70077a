"""`harness evolve`: a proposal goes through its trial, is kept only if it is better, and can be resumed at any run."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from context.playbook import versions
from context.playbook.trial import Result, TaskRange, Trial, Wanted, next_run, standing
from context.playbook.versions import PlaybookError, load_playbook, shipped_playbook
from context.window import prompt, use_prompts
from harness import errors
from harness.cli import main
from harness.cli.options import make_parser
from harness.commands.evolve import evolve, results_of, trials
from harness.commands.evolve_runs import Played
from harness.settings import Settings
from runs.events.registry import RunCreated
from tests.playing import call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def proposal(folder: Path, text: str = "Check the shape of every table first.") -> Path:
    """A folder with a changed move prompt and a setting."""
    (folder / "moves").mkdir(parents=True)
    shipped = shipped_playbook().texts["moves/draft"]
    (folder / "moves" / "draft.md").write_text(f"{shipped}\n\n{text}\n")
    (folder / "settings.toml").write_text("temperature = 0.7\n")
    return folder


def options(*words: str) -> argparse.Namespace:
    return make_parser().parse_args(["evolve", *words])


def player(gain: float, mechanism: float, spread: float = 0.1) -> Callable[[Trial, Wanted, str, Settings], Played]:
    """Simulated runs: the new version changes score and mechanism by this much."""

    def play(trial: Trial, wanted: Wanted, version: str, settings: Settings) -> Played:
        luck = random.Random(f"{wanted}")
        is_new = version == trial.new
        score = min(1.0, max(0.0, luck.gauss(0.6 + gain * is_new, spread)))
        value = min(1.0, max(0.0, luck.gauss(0.5 - mechanism * is_new, 0.1)))
        name = f"{wanted.stage}-{wanted.pair}-{wanted.arm}"
        result = Result(stage=wanted.stage, pair=wanted.pair, arm=wanted.arm, run=name, score=score, value=value)
        return Played(name, result)

    return play


def proposed(home: Path, tmp_path: Path, text: str = "Look first.") -> Trial:
    words = ["propose", str(proposal(tmp_path / text.replace(" ", "_"), text)), "--measure", "failed_attempts"]
    assert main(["evolve", *words, "--task", "digits=0.5:1", "--task", "diabetes=80:50"]) == errors.DONE
    return trials(home)[-1]


@pytest.mark.parametrize(
    ("gain", "mechanism", "outcome"),
    [(0.15, 0.3, "kept"), (-0.1, 0.3, "reverted"), (0.2, -0.2, "reverted"), (0.0, 0.3, "harmless")],
)
def test_a_trial_ends_with_its_outcome(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], gain: float, mechanism: float, outcome: str
) -> None:
    old = load_playbook(home).name
    trial = proposed(home, tmp_path)
    said = capsys.readouterr().out
    assert "100 full runs" in said and "moves/draft, temperature" in said
    settings = Settings(home)
    assert evolve(options("run", trial.name, "--yes"), settings, player(gain, mechanism)) == errors.DONE
    assert f"{trial.name}: {outcome}" in capsys.readouterr().out
    assert load_playbook(home).name == (trial.new if outcome in ("kept", "harmless") else old)
    assert standing(trial, results_of(home, trial.name)).outcome == outcome
    assert evolve(options("list"), settings) == errors.DONE
    assert outcome in capsys.readouterr().out


def test_a_trial_is_started_only_after_its_cost_was_accepted(home: Path, tmp_path: Path) -> None:
    trial = proposed(home, tmp_path)
    assert main(["evolve", "run", trial.name]) == errors.INPUT
    assert results_of(home, trial.name) == []


def test_a_trial_stopped_anywhere_plays_the_same_runs(home: Path, tmp_path: Path) -> None:
    whole, parts = proposed(home, tmp_path), proposed(home, tmp_path, "Look twice.")
    settings, play = Settings(home), player(0.15, 0.3)
    evolve(options("run", whole.name, "--yes"), settings, play)
    assert evolve(options("run", parts.name, "--yes", "--runs", "3"), settings, play) == errors.STOPPED
    path = home / "evolve" / parts.name / "results.jsonl"
    path.write_text(path.read_text() + '{"stage": "mecha')  # a crash in the middle of a line
    while evolve(options("run", parts.name, "--runs", "7"), settings, play) == errors.STOPPED:
        pass
    assert results_of(home, parts.name) == results_of(home, whole.name)


def test_tasks_take_turns_and_both_arms_play_the_same_seed() -> None:
    tasks = [TaskRange(task=name, low=0, high=1) for name in ("a", "b")]
    fixed = {"name": "t", "number": 1, "old": "o", "new": "n", "changed": ["x"], "measure": "failed_attempts"}
    trial = Trial.model_validate({**fixed, "tasks": tasks, "spread": 0.1, "floor": 0})
    results: list[Result] = []
    seen = []
    for _ in range(8):
        wanted = next_run(trial, results)
        assert wanted is not None
        seen.append((wanted.pair, wanted.arm, wanted.task, wanted.seed))
        results.append(Result(stage=wanted.stage, pair=wanted.pair, arm=wanted.arm, run="r", value=0.5))
    assert seen == [
        *((0, "old", "a", 1000), (0, "new", "a", 1000), (1, "new", "b", 1000), (1, "old", "b", 1000)),
        *((2, "old", "a", 1001), (2, "new", "a", 1001), (3, "new", "b", 1001), (3, "old", "b", 1001)),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["propose"],
        ["propose", "nowhere", "--measure", "failed_attempts", "--task", "digits=0:1"],
        ["propose", "same", "--measure", "failed_attempts", "--task", "digits=0:1"],
        ["propose", "new", "--measure", "beauty", "--task", "digits=0:1"],
        ["propose", "new", "--measure", "failed_attempts"],
        ["propose", "new", "--measure", "failed_attempts", "--task", "digits"],
        ["propose", "new", "--measure", "failed_attempts", "--task", "digits=1:1"],
        ["propose", "unknown", "--measure", "failed_attempts", "--task", "digits=0:1"],
        ["run", "001"],
        ["use", "abc"],
    ],
)
def test_a_wrong_proposal_is_a_message(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    proposal(tmp_path / "new")
    (tmp_path / "same").mkdir()
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "poem.md").write_text("Roses are red")
    assert main(["evolve", *words]) == errors.INPUT
    assert "Traceback" not in capsys.readouterr().err
    assert trials(home) == []


def test_a_stored_version_that_was_edited_is_refused(home: Path, tmp_path: Path) -> None:
    playbook = load_playbook(home, f"{proposal(tmp_path / 'new')}/")
    folder = versions.store_playbook(home, playbook)
    assert load_playbook(home, playbook.name) == playbook
    (folder / "system.md").write_text("You are somebody else.")
    with pytest.raises(PlaybookError, match="edited"):
        versions.store_playbook(home, playbook)
    versions.keep_playbook(home, playbook.name)
    assert main(["evolve"]) == errors.INPUT
    assert main(["evolve", "use", "shipped"]) == errors.DONE
    assert load_playbook(home) == shipped_playbook()


@pytest.mark.parametrize("name", ["trial.json", "results.jsonl"])
def test_a_trial_edited_into_something_else_is_a_message(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    trial = proposed(home, tmp_path)
    path = home / "evolve" / trial.name / name
    path.write_text('{"number": 1,\n')
    assert main(["evolve", "list"]) == errors.INPUT
    assert str(path) in capsys.readouterr().err


def test_a_run_records_its_playbook_and_a_later_edit_does_not_reach_it(digits_home: Path, tmp_path: Path) -> None:
    folder = proposal(tmp_path / "new", "A sentence of its own.")
    words = ["--sandbox", "local", "--plain", "--set", "fold_share=0", "--playbook", f"{folder}/"]
    try:
        code, printed = harness_here(digits_home, "run", "digits", "--attempts", "1", *words)
        assert code == errors.DONE, printed
        run = only_run(digits_home)
        created = events_of(run)[0]
        assert isinstance(created, RunCreated)
        assert created.settings.temperature == 0.7
        assert "A sentence of its own." in created.prompts["moves/draft"]
        assert created.playbook == load_playbook(digits_home, f"{folder}/").digest
        (folder / "moves" / "draft.md").write_text("edited")
        use_prompts(created.prompts)
        assert "A sentence of its own." in prompt("moves/draft")
        assert created.playbook[:12] in (run / "report.md").read_text()
    finally:
        use_prompts({})


def test_a_playbook_edited_in_the_middle_of_a_run_does_not_reach_it_even_if_it_is_resumed(
    digits_home: Path, tmp_path: Path
) -> None:
    folder = proposal(tmp_path / "new", "A sentence of its own.")
    draft = folder / "moves" / "draft.md"

    def script(request: dict[str, Any]) -> Message:
        if "# State" in str(request["messages"][-1]["content"]):
            draft.write_text(draft.read_text().replace("of its own", "that was edited"))
        return reply("done", call("finish", did="nothing yet"))

    def drafts_asked(server: ChatServer) -> list[str]:
        return [one.json["messages"][1]["content"] for one in server.received if b"# State" in one.body]

    try:
        with ChatServer(script, piece=100_000) as server:
            words = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--no-ledger"]
            options = ["--attempts", "2", "--set", "fold_share=0", "--playbook", f"{folder}/"]
            code, printed = harness_here(digits_home, "run", "digits", *words, *options)
            assert code == errors.DONE, printed
            run = only_run(digits_home).name
            assert harness_here(digits_home, "extend", run, "--attempts", "1")[0] == errors.DONE
            code, printed = harness_here(digits_home, "resume", run, "--plain")
            assert code == errors.DONE, printed
            texts = drafts_asked(server)
    finally:
        use_prompts({})
    assert "that was edited" in draft.read_text()
    assert len(texts) == 3
    assert all("A sentence of its own." in text and "edited" not in text for text in texts)
