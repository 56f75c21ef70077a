"""A live competition end to end, against a loopback server that speaks Kaggle's requests: make, run, submit, score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cli, errors
from harness.cli.options import make_parser
from harness.commands.new_task import new_task
from harness.commands.submit import submit_run
from harness.settings import load_settings
from tasks.errors import TaskError
from tests.servers.kaggle_server import KaggleServer, serving
from tests.tasks.kaggle_folders import wine_folder

NAME = "which-wine"
LIVE: dict[str, Any] = {
    "ref": f"https://www.kaggle.com/competitions/{NAME}",
    "title": "Which wine?",
    "description": "Tell the cultivar of a wine.",
    "evaluationMetric": "Categorization Accuracy",
    "isKernelsSubmissionsOnly": False,
    "userHasEntered": True,
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    wine = wine_folder()
    with serving(KaggleServer(zip=wine.zipped(), competitions=[LIVE], score=wine.accuracy)) as running:
        yield running


def make(server: KaggleServer, *options: str) -> int:
    arguments = make_parser().parse_args(["new-task", "--kaggle", NAME, *options])
    return new_task(arguments, load_settings(), server.base)


@pytest.mark.slow
def test_live_competition_is_made_run_submitted_and_scored(
    server: KaggleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(server) == errors.DONE
    printed = capsys.readouterr().out
    assert f"made {NAME}" in printed and "48 rows are to be predicted" in printed
    options = ["--attempts", "1", "--sandbox", "local", "--plain", "--set", "finalists=1"]
    assert cli.main(["run", NAME, *options]) == errors.DONE
    last = capsys.readouterr().out.strip().splitlines()[-1]
    run = last.rpartition("harness submit ")[2]
    assert run != last and "harness score" not in last
    assert submit_run(run, load_settings(), endpoint=server.base, pause=0.01) == errors.DONE
    (kept,) = json.loads((tmp_path / "home/grades" / f"{run}.kaggle.json").read_text())
    assert (kept["competition"], kept["status"]) == (NAME, "COMPLETE")
    assert kept["public_score"] > 0.9
    assert cli.main(["score", run]) == errors.INPUT
    assert f"harness submit {run}" in capsys.readouterr().err


def test_download_is_kept_for_a_repetition_with_another_metric(server: KaggleServer, tmp_path: Path) -> None:
    server.competitions = [{**LIVE, "evaluationMetric": "Luck of the Draw"}]
    with pytest.raises(TaskError, match=r"scored by 'Luck of the Draw', which is not known here.*--metric"):
        make(server)
    assert make(server, "--metric", "macro_f1") == errors.DONE
    assert make(server, "--metric", "acc", "--into", "again") == errors.DONE
    assert server.calls().count("DownloadDataFiles") == 1
    assert 'metric: "f1_macro"' in (tmp_path / NAME / "task.yaml").read_text()


@pytest.mark.parametrize(
    ("changes", "refusals", "message"),
    [
        ({"isKernelsSubmissionsOnly": True}, {}, "takes only notebooks"),
        ({}, {"DownloadDataFiles": (403, "You must accept this competition's rules")}, f"kaggle.com/c/{NAME}/rules"),
        ({}, {"ListCompetitions": (401, "Unauthenticated")}, "create an API token"),
        ({"ref": "https://www.kaggle.com/competitions/other"}, {}, "does not tell its metric"),
    ],
)
def test_competition_that_cannot_be_a_task_is_refused_and_leaves_no_folder(
    changes: dict[str, Any], refusals: dict[str, tuple[int, str]], message: str, server: KaggleServer, tmp_path: Path
) -> None:
    server.competitions, server.refusals = [{**LIVE, **changes}], refusals
    with pytest.raises(TaskError, match=message):
        make(server)
    assert not (tmp_path / NAME).exists()


def test_prepare_names_the_command_for_live_competitions(
    server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["prepare", "titanic"]) == errors.INPUT
    assert "harness new-task --kaggle titanic" in capsys.readouterr().err
