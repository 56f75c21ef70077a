"""The example tasks: the same bytes every time, ids that reveal nothing, leaderboards with four distinct thresholds."""

from __future__ import annotations

import csv
import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import TaskError
from tasks.examples.prepare import EXAMPLES, EXAMPLES_FOLDER, TASK_FILES, prepare_example
from tasks.metrics.medals import thresholds_from_leaderboard

NAMES = list(EXAMPLES)
FILES = {"public/train.csv", "public/test.csv", "public/sample_submission.csv", "public/description.md"}

KNOWN = {
    "digits": "6de87dc5017c744e338d79599e91052b99fd9458a8d3f3c17255f50a9cbeb107",
    "breast-cancer": "399f7018ebf97c1febb473a3a81d72d6642ebde2de121f29e1cb1660bab86a8d",
    "diabetes": "b118cde081d4f30fa4317a308e7f06e308c42a937928cc3ef22ffc390102b088",
}
"""SHA-256 over the tables, which must be the same on every machine and in every version."""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fingerprint(folder: Path) -> str:
    whole = hashlib.sha256()
    for name in ("public/train.csv", "public/test.csv", "public/sample_submission.csv", "private/answers.csv"):
        whole.update((folder / name).read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_prepared_tables_have_the_known_hashes(name: str, examples_home: Path) -> None:
    assert fingerprint(examples_home / "data" / name) == KNOWN[name]


def test_preparing_again_keeps_the_data_and_replaces_the_task_files(examples_home: Path, tmp_path: Path) -> None:
    first, folder = examples_home / "data/diabetes", prepare_example("diabetes", tmp_path)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == FILES | {"private/answers.csv"} | set(TASK_FILES)
    for name in names:
        assert (first / name).read_bytes() == (folder / name).read_bytes()
    (folder / "leaderboard.csv").write_text("old")
    (folder / "blends").mkdir()
    before = (folder / "public/train.csv").stat().st_mtime_ns
    assert prepare_example("diabetes", tmp_path) == folder
    assert (folder / "leaderboard.csv").read_text() != "old"
    assert (folder / "blends").is_dir() and (folder / "public/train.csv").stat().st_mtime_ns == before
    assert [path.name for path in folder.parent.iterdir()] == ["diabetes"]


@pytest.mark.parametrize("name", NAMES)
def test_train_test_and_answers_are_consistent(name: str, examples_home: Path) -> None:
    example, folder = EXAMPLES[name], examples_home / "data" / name
    train, test = rows(folder / "public/train.csv"), rows(folder / "public/test.csv")
    sample, answers = rows(folder / "public/sample_submission.csv"), rows(folder / "private/answers.csv")
    assert (len(train), len(test)) == (example.train_rows, example.test_rows)
    assert len(test) / example.rows == pytest.approx(0.3, abs=0.01)
    ids = [row[example.id_column] for row in test]
    assert ids == [row[example.id_column] for row in sample] == [row[example.id_column] for row in answers]
    assert len({*ids, *(row[example.id_column] for row in train)}) == example.rows
    assert example.target not in test[0] and list(train[0]) == [*test[0], example.target]


@pytest.mark.parametrize("name", NAMES)
def test_ids_do_not_reveal_the_test_rows(name: str, examples_home: Path) -> None:
    example, folder = EXAMPLES[name], examples_home / "data" / name
    train = [int(row[example.id_column]) for row in rows(folder / "public/train.csv")]
    test = [int(row[example.id_column]) for row in rows(folder / "public/test.csv")]
    assert all(100_000 <= number < 1_000_000 for number in train + test)
    # The share of (train, test) pairs in which the test id is larger; one half if ids reveal nothing.
    larger = sum(a < b for a in train for b in test) / (len(train) * len(test))
    assert larger == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_readable_by_the_owner_only_and_not_public(name: str, examples_home: Path) -> None:
    folder = examples_home / "data" / name
    assert stat.S_IMODE((folder / "private").stat().st_mode) == 0o700
    assert {path.relative_to(folder).as_posix() for path in (folder / "public").iterdir()} == FILES


@pytest.mark.parametrize("name", NAMES)
def test_a_leaderboard_is_sorted_and_has_four_distinct_thresholds(name: str) -> None:
    board = rows(EXAMPLES_FOLDER / name / "leaderboard.csv")
    scores = [float(row["score"]) for row in board]
    lower = name == "diabetes"
    assert len(board) >= 40 and len({row["team"] for row in board}) == len(board)
    assert scores == sorted(scores, reverse=not lower)
    lines = thresholds_from_leaderboard(scores, lower)
    assert len({lines.gold, lines.silver, lines.bronze, lines.median}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_the_description_does_not_name_the_package_with_the_answers(name: str) -> None:
    text = (EXAMPLES_FOLDER / name / "description.md").read_text().lower()
    assert "scikit" not in text and "sklearn" not in text and "load_" not in text


def test_two_processes_at_once_leave_one_complete_folder(tmp_path: Path) -> None:
    code = "import sys, pathlib; from tasks.examples.prepare import *\n"
    code += "prepare_example('digits', pathlib.Path(sys.argv[1]))"
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["digits"]
    assert fingerprint(tmp_path / "data" / "digits") == KNOWN["digits"]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(TaskError, match="data"):
        prepare_example("diabetes", tmp_path)
