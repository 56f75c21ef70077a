"""Grading ended runs: the official report, the stored grade, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.cli import main
from runs.journal import Journal
from tasks.task import Task
from tests.harness.run_folders import PERFECT, SAMPLE, a_run, a_task, an_attempt, ended

PER_COMPETITION = [
    "competition_id", "score", "gold_threshold", "silver_threshold", "bronze_threshold", "median_threshold",
    "any_medal", "gold_medal", "silver_medal", "bronze_medal", "above_median", "submission_exists",
    "valid_submission", "is_lower_better", "created_at", "submission_path",
]  # fmt: skip
AGGREGATE = [
    "total_runs", "total_runs_with_submissions", "total_valid_submissions", "total_medals", "total_gold_medals",
    "total_silver_medals", "total_bronze_medals", "total_above_median", "competition_reports",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return a_task(tmp_path / "letters")


def known(task: Task) -> dict[str, object]:
    return {"task_path": str(task.path), "task_digest": task.digest}


def test_official_report_has_exactly_its_keys(
    home: Path, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(home, "one", ended(*an_attempt()), **known(task))
    a_run(home, "two", ended(), SAMPLE, **known(task))
    assert main(["score", "one", "two", "one", "--json", "--output", str(tmp_path / "out")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == AGGREGATE
    assert [list(one) for one in printed["competition_reports"]] == [PER_COMPETITION] * 2
    assert [one["score"] for one in printed["competition_reports"]] == [1.0, 0.5]
    assert (printed["total_gold_medals"], printed["total_bronze_medals"], printed["total_runs"]) == (1, 1, 2)
    (file,) = (tmp_path / "out").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[A-Z]+_grading_report\.json", file.name)
    assert json.loads(file.read_text()) == printed


def test_table_shows_grade_and_estimate_and_marks_unprotected_runs(
    home: Path, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(home, "safe", ended(*an_attempt()), **known(task))
    a_run(home, "open", ended(*an_attempt(0.95, SAMPLE)), SAMPLE, **known(task), protects_labels=False, sandbox="local")
    assert main(["score", "safe", "open"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "1.00000" in rows["safe"] and "gold" in rows["safe"] and "0.750 ± 0.050 silver" in rows["safe"]
    assert "0.50000" in rows["open"] and "bronze" in rows["open"] and "0.950 ± 0.050 gold" in rows["open"]
    assert rows["open"].endswith("labels unprotected") and "unprotected" not in rows["safe"]
    assert "demo model, not an LLM" in out
    assert "can no longer be resumed" in out


def test_grade_is_private_and_prevents_resume(home: Path, task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(home, "r", ended(*an_attempt()), **known(task))
    main(["score", "r"])
    grade = home / "grades" / "r.json"
    assert grade.stat().st_mode & 0o777 == 0o600
    kept = json.loads(grade.read_text())
    assert (kept["run_id"], kept["report"]["score"], kept["held_out_score"]) == ("r", 1.0, 0.75)
    assert [path.name for path in grade.parent.iterdir()] == ["r.json"]
    capsys.readouterr()
    assert main(["resume", "r"]) == 2
    assert "no longer be resumed" in capsys.readouterr().err


def test_running_run_is_refused_without_anyway(home: Path, task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    folder = a_run(home, "open", an_attempt(), **known(task))
    assert main(["score", "open"]) == 2
    assert "--anyway" in capsys.readouterr().err
    with Journal.open(folder):
        assert main(["score", "open"]) == 2
        assert "another process" in capsys.readouterr().err
        assert not (home / "grades").exists()
        assert main(["score", "open", "--anyway"]) == 2
        assert not (home / "grades").exists()
    assert main(["score", "open", "--anyway"]) == 0
    assert "gold" in capsys.readouterr().out


def test_one_failing_run_does_not_stop_the_others(
    home: Path, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(home, "good", ended(*an_attempt()), **known(task))
    a_run(home, "lost", ended(*an_attempt()), task_path=str(tmp_path / "gone" / "task.yaml"))
    a_run(home, "changed", ended(*an_attempt()), task_path=str(task.path), task_digest="another")
    assert main(["score", "lost", "nobody", "changed", "good", "--json"]) == 2
    out, err = capsys.readouterr()
    assert [one["score"] for one in json.loads(out)["competition_reports"]] == [1.0]
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["lost", "nobody", "changed", "good"]
    assert err.splitlines()[-1] == "harness: good: demo model, not an LLM"
    assert "has changed since the run started" in err


@pytest.mark.parametrize("submission", ["", "id,label\n1,a\n", PERFECT.replace("a", "")])
def test_invalid_submission_is_graded_without_an_error(
    home: Path, task: Task, submission: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(home, "r", ended(*an_attempt(submission=submission)), submission, **known(task))
    assert main(["score", "r"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("r  "))
    assert "none" in row
    assert not json.loads((home / "grades" / "r.json").read_text())["report"]["valid_submission"]


def test_submission_changed_after_the_run_is_reported(
    home: Path, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(home, "r", ended(*an_attempt()), **known(task))
    (folder / "submission.csv").write_text(SAMPLE)
    assert main(["score", "r"]) == 0
    assert "was changed after" in capsys.readouterr().out
    (folder / "submission.csv").unlink()
    assert main(["score", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total_runs_with_submissions"] == 0


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"status": 3}', None])
def test_unreadable_summary_does_not_prevent_show_or_score(
    home: Path, task: Task, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(home, "one", ended(*an_attempt()), **known(task))
    (folder / "summary.json").unlink()
    if content is not None:
        (folder / "summary.json").write_text(content)
    assert main(["show", "one"]) == 0
    assert "guessed the letters" in capsys.readouterr().out
    assert main(["score", "one"]) == 0
    assert "gold" in capsys.readouterr().out


def test_linked_home_with_an_unusual_name_grades_once(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, link = tmp_path / "höme with späce 日本", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    a_run(real, "one", ended(*an_attempt()), **known(task))
    outputs = []
    for home in (link, real):
        monkeypatch.setenv("HARNESS_HOME", str(home))
        assert main(["score", "last"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert [path.name for path in (real / "grades").iterdir()] == ["one.json"]
    assert main(["resume", "last", "--plain"]) == 2
    assert "graded" in capsys.readouterr().err
