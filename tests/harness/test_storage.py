"""`harness du`, `rm` and `status`: what is removed is what was named, and what nothing else needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from runs.journal import Journal
from tests.harness.run_folders import a_run, an_attempt


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of one task that share a folder of data, and one run of another task."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    for run_id, data in (("20260801-120000_digits_0_aa11", "one"), ("20260802-120000_digits_1_bb22", "one")):
        a_run(tmp_path, run_id, an_attempt(), blend=f"data/.blends/{data}/v1")
    a_run(tmp_path, "20260803-120000_other_0_cc33", blend="data/.blends/two/v1", task_id="other")
    for data in ("one", "two"):
        folder = tmp_path / "data" / ".blends" / data / "v1"
        folder.mkdir(parents=True)
        (folder / "train.csv").write_bytes(b"x" * 2_000_000)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(words) == code
    out, errors = capsys.readouterr()
    return out + errors


def data_left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "data" / ".blends").iterdir())


def test_sizes_of_runs_and_data_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "du").splitlines()
    data = [line for line in lines if line.startswith("data")]
    assert len(data) == 2 and all("2.0 MB" in line for line in data)
    assert any("digits" in line and "of 2 runs" in line for line in data)
    assert sum(line.startswith("run ") for line in lines) == 3 and lines[-1].startswith("all")


def test_data_goes_with_the_last_run_that_uses_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "grades").mkdir()
    grade = home / "grades" / "20260801-120000_digits_0_aa11.json"
    grade.write_text("{}")
    shown = printed(capsys, "rm", "aa11")
    assert "--yes" in shown and (home / "runs" / grade.stem).exists()
    printed(capsys, "rm", "aa11", "--yes")
    assert not (home / "runs" / grade.stem).exists() and not grade.exists()
    assert data_left(home) == ["one", "two"]
    printed(capsys, "rm", "bb22", "--yes")
    assert data_left(home) == ["two"]
    assert [path.name for path in (home / "runs").iterdir()] == ["20260803-120000_other_0_cc33"]


def test_an_environment_goes_with_the_last_run_that_uses_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("k-used", "k-unused"):
        (home / "environments" / name).mkdir(parents=True)
        (home / "environments" / name / "packages.txt").write_bytes(b"x" * 3_000_000)
    for run_id in ("20260804-120000_more_0_dd44", "20260805-120000_more_0_ee55"):
        a_run(home, run_id, environment="environments/k-used", task_id="more")
    lines = [line for line in printed(capsys, "du").splitlines() if line.startswith("environment")]
    assert len(lines) == 2 and all("3.0 MB" in line for line in lines)
    assert any("k-used" in line and "of 2 runs" in line for line in lines)
    shown = printed(capsys, "rm", "dd44", "--yes")
    assert "k-unused" in shown and "k-used" not in shown
    assert [path.name for path in (home / "environments").iterdir()] == ["k-used"]
    assert "k-used" in printed(capsys, "rm", "ee55", "--yes")
    assert not list((home / "environments").iterdir())


def test_a_run_that_is_played_and_one_elsewhere_are_refused(
    home: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home / "runs" / "20260801-120000_digits_0_aa11"
    with Journal.open(folder):
        assert "being played" in printed(capsys, "rm", "aa11", "--yes", code=2)
        assert "aa11" in printed(capsys, "status")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = folder.rename(elsewhere / folder.name)
    assert "remove such a folder yourself" in printed(capsys, "rm", str(moved), "--yes", code=2)
    assert moved.exists() and "No run is being played" in printed(capsys, "status")


def test_data_of_a_run_that_cannot_be_read_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "runs" / "20260802-120000_digits_1_bb22" / "events.jsonl").write_text("not JSON\n")
    printed(capsys, "rm", "aa11", "cc33", "--yes")
    assert data_left(home) == ["one", "two"]


def test_runs_are_filtered_sorted_and_written_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in printed(capsys, "runs", "--json", "--task", "other").splitlines()]
    assert [(row["task"], row["state"], row["score"]) for row in rows] == [("other", "stopped", None)]
    names = [line.split()[0] for line in printed(capsys, "runs", "--sort", "score").splitlines()[1:]]
    assert names[-1] == "20260803-120000_other_0_cc33", "by task, then by score"
