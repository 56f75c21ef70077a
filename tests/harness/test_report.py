"""prepare, score, report and submit on one competition, through the command line."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cli, errors
from harness.commands.medal_curve import Step, medal_rate
from harness.commands.submit import submit_run
from harness.settings import load_settings
from runs.events.registry import EvaluationFinished, EvaluationStarted, Event, SubmissionChosen
from tasks.catalog import find_task
from tests.servers.kaggle_server import KaggleServer, serving

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tasks" / "mlebench")]

from raw_files import raw  # noqa: E402
from run_folders import a_run, an_attempt, ended  # noqa: E402

NAME = "spaceship-titanic"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def prepared(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    files = raw(NAME, tmp_path / "kaggle")
    assert cli.main(["prepare", NAME, "--raw", str(files), "--accept-differences"]) == errors.DONE
    capsys.readouterr()
    return home


def answers(home: Path, right: int) -> str:
    """A submission whose first `right` rows of nine are correct."""
    header, *rows = (home / "data" / NAME / "prepared/private/test.csv").read_text().splitlines()
    lines = ["PassengerId,Transported"]
    for index, row in enumerate(rows):
        cells = row.split(",")
        truth = cells[header.split(",").index("Transported")]
        lines.append(f"{cells[0]},{truth if index < right else 'False' if truth == 'True' else 'True'}")
    return "\n".join(lines) + "\n"


def a_graded_run(home: Path, run_id: str, right: int, seed: int = 0) -> Path:
    task = find_task(NAME, home)
    text = answers(home, right)
    known = {"task_id": NAME, "task_path": str(task.path), "task_digest": task.digest, "seed": seed}
    folder = a_run(home, run_id, ended(*an_attempt(0.75, text)), text, **known)
    assert cli.main(["score", run_id]) == errors.DONE
    return folder


def test_prepare_reports_checks_and_the_next_command(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = raw(NAME, tmp_path / "kaggle")
    assert cli.main(["prepare", NAME, "--raw", str(files)]) == errors.INPUT
    printed = capsys.readouterr()
    assert "public/train.csv: expected md5 564a1614ecef9d9611cec4efdce4c412" in printed.err
    assert cli.main(["prepare", NAME, "--raw", str(files), "--accept-differences"]) == errors.DONE
    printed = capsys.readouterr()
    assert "0 of 4 known checksums" in printed.out and f"harness run {NAME}" in printed.out
    assert "reading train.csv" in printed.err
    rates = dict(re.findall(r"^(.+): ([0-9.]+) MB in [0-9.]+ s, [0-9.]+ MB/s$", printed.out, re.MULTILINE))
    public = ("train.csv", "test.csv", "sample_submission.csv")
    assert set(rates) == {
        "reading train.csv",
        "writing private/test.csv",
        *(f"writing public/{file}" for file in public),
        "all raw files, some of them in an earlier start",
    }
    assert printed.out.splitlines()[-1].startswith("all raw files, some of them in an earlier start: ")
    assert cli.main(["prepare", NAME]) == errors.DONE
    assert "is prepared already" in capsys.readouterr().out
    assert cli.main(["prepare", "spaceship"]) == errors.INPUT
    assert "Did you mean spaceship-titanic" in capsys.readouterr().err
    assert cli.main(["prepare", "digits"]) == errors.INPUT
    assert cli.main(["prepare", NAME, "--raw", str(tmp_path / "nowhere")]) == errors.INPUT


def test_tasks_of_a_split_show_defects_and_sources(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tasks", "--split", "low"]) == errors.DONE
    listed = capsys.readouterr().out
    assert "random-acts-of-pizza" in listed and "leak" in listed and "22 competitions" in listed
    assert cli.main(["tasks", "--split", "all"]) == errors.DONE
    assert "needs mlebench" in capsys.readouterr().out
    assert cli.main(["tasks", "random-acts-of-pizza"]) == errors.DONE
    shown = capsys.readouterr().out
    assert "leak (listed upstream): giver_username_if_known" in shown
    assert "official leaderboard" in shown and "harness prepare random-acts-of-pizza" in shown


def test_report_averages_seeds_and_lists_remarks(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_graded_run(prepared, "run-a", 9, seed=0)
    a_graded_run(prepared, "run-b", 5, seed=1)
    capsys.readouterr()
    output = tmp_path / "report"
    assert cli.main(["report", "run-a", "run-b", "--split", "dev", "--output", str(output)]) == errors.DONE
    text = (output / "report.md").read_text()
    assert "no complete seed" in text and "No run of 6 of 7 competitions" in text
    command = ["report", "run-a", "run-b", "--split", "dev", "--pad-missing", "--json", "--output", str(output)]
    assert cli.main(command) == errors.DONE
    found = json.loads((output / "report.json").read_text())
    medal = found["official"]["metrics"]["any_medal_percentage"]
    assert found["official"]["num_seeds_averaged"] == 2
    assert medal["mean"] == pytest.approx(100 / 7 / 2)
    assert medal["standard_error"] == pytest.approx(100 / 7 / 2)
    for option in ("--seeds=-1", "--seeds -1"):
        assert cli.main([*command, *option.split()]) == errors.DONE
        assert json.loads((output / "report.json").read_text()) == found
    rows = list(csv.DictReader((output / "report.csv").open()))
    assert [(row["run"], row["medal"]) for row in rows] == [("run-a", "gold"), ("run-b", "none")]
    text = (output / "report.md").read_text()
    assert "not comparable: 4 files differ" in text and "demo model, not an LLM" in text
    assert "at least three seeds" in text and "24 hours, 36 vCPUs" in text


def test_report_files_count_as_seeds(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_graded_run(prepared, "run-a", 9)
    assert cli.main(["score", "run-a", "--output", str(tmp_path)]) == errors.DONE
    (file,) = tmp_path.glob("*_grading_report.json")
    capsys.readouterr()
    assert cli.main(["report", str(file), "--split", "dev", "--pad-missing"]) == errors.DONE
    assert "14.3 ± 0.0 % any medal" in capsys.readouterr().out
    assert cli.main(["report", str(tmp_path / "nothing.json")]) == errors.INPUT


def test_report_files_are_ordered_by_their_paths_as_text(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / group / "report.json" for group in ("group", "group-2", "group10")]
    for file, score in zip(files, (0.1, 0.2, 0.3), strict=True):
        file.parent.mkdir()
        flags = dict.fromkeys(("any_medal", "gold_medal", "silver_medal", "bronze_medal", "above_median"), False)
        one = {"competition_id": NAME, "score": score, "valid_submission": True, "submission_exists": True, **flags}
        file.write_text(json.dumps({"competition_reports": [one]}))
    assert cli.main(["report", *map(str, files), "--split", "dev", "--pad-missing", "--json"]) == errors.DONE
    found = json.loads(capsys.readouterr().out)
    assert [one["report"]["score"] for one in found["entries"]] == [0.2, 0.1, 0.3]
    files[0].write_text('{"competition_reports": [7]}')
    assert cli.main(["report", str(files[0]), "--split", "dev"]) == errors.INPUT
    assert "invalid report" in capsys.readouterr().err


def test_ungraded_run_is_refused(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_run(prepared, "run-c", ended(*an_attempt()), task_id=NAME)
    assert cli.main(["report", "run-c", "--split", "dev"]) == errors.INPUT
    assert "harness score run-c" in capsys.readouterr().err


def an_evaluation(name: str, score: float) -> list[Event]:
    where = {"evaluation": name, "commit": "c0ffee", "tree": "7ree", "attempt": 1}
    return [
        EvaluationStarted.model_validate({**where, "call": name, "command": "python solve.py", "job": f"e-{name}"}),
        EvaluationFinished.model_validate({**where, "status": "scored", "score": score, "submission": "ab"}),
    ]


def test_medal_curve_grades_every_evaluation(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = find_task(NAME, prepared)
    known = {"task_id": NAME, "task_path": str(task.path), "task_digest": task.digest}
    first = an_attempt()[:2]
    # The second evaluation is better on held-out rows and worse on the private ones.
    chosen = SubmissionChosen(evaluation="001-2", sha256="ab", why="best", attempt=1)
    events = [*first, *an_evaluation("001-1", 0.6), *an_evaluation("001-2", 0.9), chosen]
    folder = a_run(prepared, "run-a", ended(*events), answers(prepared, 5), **known)
    for name, right in (("001-1", 9), ("001-2", 5)):
        (folder / "evaluations" / name).mkdir(parents=True)
        (folder / "evaluations" / name / "submission.csv").write_text(answers(prepared, right))
    assert cli.main(["score", "run-a"]) == errors.DONE
    assert cli.main(["report", "run-a", "--split", "dev", "--curve", "--output", str(tmp_path / "r")]) == errors.DONE
    rows = list(csv.DictReader((tmp_path / "r" / "medals_over_time.csv").open()))
    assert [(row["way"], row["evaluation"], row["medal"]) for row in rows] == [
        ("any", "001-1", "gold"),
        ("search", "001-1", "gold"),
        ("search", "001-2", ""),
        ("chosen", "001-2", ""),
    ]
    assert (tmp_path / "r" / "medals_over_time.svg").read_text().startswith("<svg")
    kept = prepared / "grades" / "run-a.attempts.json"
    assert kept.stat().st_mode & 0o077 == 0


def test_medal_rate_changes_when_a_run_gains_or_loses_a_medal() -> None:
    def step(run: str, hours: float, medal: str) -> Step:
        return Step(run, "search", hours, "x", 0.5, medal)

    steps = [step("a", 1.0, ""), step("a", 2.0, "gold"), step("b", 3.0, "bronze"), step("a", 4.0, "")]
    assert medal_rate(steps, 2, "search") == [(0.0, 0.0), (2.0, 50.0), (3.0, 100.0), (4.0, 50.0)]
    assert medal_rate(steps, 2, "any") == [(0.0, 0.0)]


# -------------------------------------------------------------------------------------------------------------- Kaggle


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    for name in ("HOME", "KAGGLE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    with serving(KaggleServer(final={"status": "COMPLETE", "publicScore": "0.8", "privateScore": "0.79"})) as running:
        yield running


def test_submission_is_stored_with_the_grades_not_in_the_journal(
    home: Path, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(home, "run-a", ended(*an_attempt()))
    journal = (folder / "events.jsonl").read_bytes()
    settings = load_settings()
    assert submit_run("run-a", settings, "titanic", server.base, pause=0.01) == errors.DONE
    printed = capsys.readouterr().out
    assert "submission 4711" in printed and "private score 0.79" in printed
    (kept,) = json.loads((home / "grades" / "run-a.kaggle.json").read_text())
    assert (kept["ref"], kept["public_score"], kept["private_score"]) == (4711, 0.8, 0.79)
    assert (folder / "events.jsonl").read_bytes() == journal
    assert server.uploaded == (folder / "submission.csv").read_bytes()
    assert cli.main(["resume", "run-a"]) == errors.INPUT
    assert "can no longer be resumed" in capsys.readouterr().err


def test_pending_submission_is_stored(home: Path, server: KaggleServer) -> None:
    server.polls_until_scored = 10**6
    a_run(home, "run-a", ended(*an_attempt()))
    assert submit_run("run-a", load_settings(), "titanic", server.base, seconds=0.05, pause=0.02) == errors.STOPPED
    (kept,) = json.loads((home / "grades" / "run-a.kaggle.json").read_text())
    assert (kept["ref"], kept["status"]) == (4711, "PENDING")


def test_benchmark_runs_are_not_submitted_without_a_competition(
    home: Path, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(home, "run-a", ended(*an_attempt()), task_id=NAME)
    assert cli.main(["submit", "run-a"]) == errors.INPUT
    assert "the benchmark's own test rows" in capsys.readouterr().err
    a_run(home, "run-b", ended(*an_attempt()))
    assert cli.main(["submit", "run-b"]) == errors.INPUT
    assert "--competition NAME" in capsys.readouterr().err
    assert server.requests == []
