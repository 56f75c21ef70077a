"""`harness runs`, `show` and `tasks` over run folders, complete and broken ones."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands.show import find_run, run_folders
from harness.errors import UsageError
from harness.settings import Settings
from runs.events.registry import (
    AttemptStarted,
    EndpointProbed,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    Paused,
    Warned,
)
from runs.journal import Journal, is_driven
from tests.harness.run_folders import a_run, an_attempt, ended


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def lines_of(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines() if line}


def test_list_shows_the_status_of_every_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(home, "1-ended", ended(*an_attempt()))
    a_run(home, "2-paused", [*an_attempt(), Paused(why="Ctrl-C: see the log")])
    a_run(home, "3-open", an_attempt(), protects_labels=False, sandbox="local")
    a_run(home, "4-played")
    (home / "grades").mkdir()
    (home / "grades" / "1-ended.json").write_text("{}")
    with Journal.open(home / "runs" / "4-played"):
        rows = lines_of(printed(capsys, "runs"))
    assert list(rows) == ["run", "1-ended", "2-paused", "3-open", "4-played"]
    assert "ended: attempts, graded" in rows["1-ended"] and "0.750" in rows["1-ended"]
    assert "silver" in rows["1-ended"] and "demo model, not an LLM" in rows["1-ended"]
    assert " paused " in rows["2-paused"]
    assert " stopped " in rows["3-open"] and rows["3-open"].endswith("labels unprotected")
    assert " running " in rows["4-played"] and "labels unprotected" not in rows["4-played"]


def test_summary_older_than_the_journal_is_ignored(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(home, "r", an_attempt())
    fields = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**fields, "task": "from the summary"}))
    assert "from the summary" in printed(capsys, "runs")
    before = time.time() - 60
    os.utime(folder / "summary.json", (before, before))
    assert "letters" in printed(capsys, "runs")
    (folder / "summary.json").unlink()
    assert "letters" in printed(capsys, "runs")


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"status": 3}'])
def test_unreadable_summary_is_replaced_by_the_journal(
    home: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    folder = a_run(home, "one", ended(*an_attempt()))
    (folder / "summary.json").write_text(content)
    assert "0.75" in lines_of(printed(capsys, "runs"))["one"]
    assert "medal (estimate)" in printed(capsys, "runs")


def test_broken_folders_are_listed_with_the_reason(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(home, "fine", ended(*an_attempt()))
    for name, journal in {"damaged": b"no json\n", "newer": b'{"kind":"run_created","format":99,"seq":0}\n'}.items():
        (home / "runs" / name).mkdir()
        (home / "runs" / name / "events.jsonl").write_bytes(journal)
    (home / "runs" / "empty").mkdir()
    (home / "runs" / ".draft").mkdir()
    (home / "runs" / "a file").write_text("")
    odd = a_run(home, "odd-summary", an_attempt())
    (odd / "summary.json").write_text('{"task": 3}')
    rows = lines_of(printed(capsys, "runs"))
    assert set(rows) == {"run", "fine", "damaged", "newer", "empty", "odd-summary"}
    assert "ended" in rows["fine"]
    assert all("broken" in rows[name] for name in ("damaged", "newer", "empty"))
    assert "99" in rows["newer"]


def test_two_hundred_runs_are_listed_quickly(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(home, "000", ended(*an_attempt()))
    for number in range(1, 200):
        other = home / "runs" / f"{number:03d}"
        other.mkdir()
        for name in ("events.jsonl", "summary.json"):
            (other / name).write_bytes((folder / name).read_bytes())
    printed(capsys, "runs")
    started = time.process_time()
    assert len(printed(capsys, "runs").splitlines()) == 201
    assert time.process_time() - started < 0.5


def test_find_run_accepts_id_part_folder_and_last(home: Path, tmp_path: Path) -> None:
    settings = Settings(home)
    first, second = a_run(home, "20260801_digits_0_ab"), a_run(home, "20260802_digits_0_cd")
    assert find_run("last", settings) == second
    assert find_run("20260801", settings) == first
    assert find_run("cd", settings) == second
    assert find_run(str(first), settings) == first
    assert find_run("20260801_digits_0_ab", settings) == first
    with pytest.raises(UsageError, match=r"2 runs: .*20260801_digits_0_ab, 20260802_digits_0_cd"):
        find_run("digits", settings)
    with pytest.raises(UsageError, match="no run is called"):
        find_run("", settings)


def test_exact_id_wins_over_longer_ones(home: Path) -> None:
    short, long = a_run(home, "a"), a_run(home, "ab")
    assert find_run("a", Settings(home)) == short
    assert find_run("ab", Settings(home)) == long
    assert len(run_folders(Settings(home))) == 2


def test_is_driven_leaves_the_lock_unchanged(home: Path) -> None:
    folder = a_run(home, "r")
    assert not is_driven(folder)
    with Journal.open(folder):
        assert is_driven(folder)
    assert not is_driven(folder)
    with Journal.open(folder):
        pass


def test_transcript_is_shown_without_control_sequences(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(home, "r", [*an_attempt(), Warned(message="a \x1b[31mred\x1b[0m word")])
    text = printed(capsys, "show", "r")
    assert "Attempt 1" in text and "guessed the letters" in text and "0.75" in text
    assert "a red word" in text and "\x1b" not in text
    assert main(["show", "r", "--attempt", "2"]) == 2
    assert "there is no attempt 2" in capsys.readouterr().err
    assert "guessed the letters" in printed(capsys, "show", "r", "--attempt", "1", "--full")


def test_damaged_run_is_refused_without_a_traceback(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(home, "r", an_attempt())
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join([*lines[:2], b"{torn in the middle\n", *lines[3:]]))
    assert main(["show", "r"]) == 2
    assert "line 3" in capsys.readouterr().err


def test_an_empty_list_of_runs_is_not_an_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "harness run digits" in printed(capsys, "runs")


def test_tasks_are_listed_and_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = lines_of(printed(capsys, "tasks"))
    assert {"digits", "breast-cancer", "diabetes"} <= set(rows)
    assert "accuracy" in rows["digits"] and "lower" in rows["diabetes"]
    assert not (home / "data").exists(), "listing prepares nothing"
    shown = printed(capsys, "tasks", "digits")
    assert "accuracy, higher is better" in shown and "leaderboard of" in shown and "8 x 8" in shown


@pytest.mark.parametrize("command", [("show", "1-unpriced", "--cost"), ("show", "1-unpriced"), ("runs",), ("status",)])
def test_spend_that_is_unknown_is_shown_as_no_sum(
    home: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    prices = {"input": 0.0, "cached": 0.0, "output": 0.0, "source": ""}
    asked, replied = (
        ModelAsked(request=1, messages=1, size=9, attempt=1),
        ModelReplied(request=1, message="{}", attempt=1),
    )
    probed = EndpointProbed(when="now", findings=[], calls=9)
    events = [probed, AttemptStarted(attempt=1), asked, replied, ModelFailed(request=2, error="gone", attempt=1)]
    a_run(home, "1-unpriced", events, prices=prices)
    with Journal.open(home / "runs" / "1-unpriced"):  # as while it is played
        text = printed(capsys, *command)
    assert "unknown" in text
    assert "$0" not in text and "0.0000" not in text
