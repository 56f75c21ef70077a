"""The example tasks: the same bytes every time, no row told from another by its id, and boards fit for medals."""

from __future__ import annotations

import csv
import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.config.yaml_with_lines import TaskError
from tasks.examples.prepare import EXAMPLES, EXAMPLES_FOLDER, TASK_FILES, prepare_example
from tasks.metrics.medals import thresholds_from_leaderboard

NAMES = list(EXAMPLES)
FILES = {"public/train.csv", "public/test.csv", "public/sample_submission.csv", "public/description.md"}

KNOWN = {
    "digits": "6de87dc5017c744e338d79599e91052b99fd9458a8d3f3c17255f50a9cbeb107",
    "breast-cancer": "399f7018ebf97c1febb473a3a81d72d6642ebde2de121f29e1cb1660bab86a8d",
    "diabetes": "b118cde081d4f30fa4317a308e7f06e308c42a937928cc3ef22ffc390102b088",
}
"""sha256 over the tables: what runs were played on must stay the same on every machine and in every version."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name in NAMES:
        prepare_example(name, home)
    return home


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fingerprint(folder: Path) -> str:
    whole = hashlib.sha256()
    for name in ("public/train.csv", "public/test.csv", "public/sample_submission.csv", "private/answers.csv"):
        whole.update((folder / name).read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_prepared_bytes_are_the_known_ones(name: str, home: Path) -> None:
    assert fingerprint(home / "data" / name) == KNOWN[name]


@pytest.mark.parametrize("name", NAMES)
def test_preparing_twice_gives_the_same_bytes(name: str, home: Path, tmp_path: Path) -> None:
    first, again = home / "data" / name, prepare_example(name, tmp_path)
    found = {path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file()}
    assert found == FILES | {"private/answers.csv"} | set(TASK_FILES)
    for file in found:
        assert (first / file).read_bytes() == (again / file).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_train_test_and_answers_fit_together(name: str, home: Path) -> None:
    example, folder = EXAMPLES[name], home / "data" / name
    train, test = rows(folder / "public/train.csv"), rows(folder / "public/test.csv")
    sample, answers = rows(folder / "public/sample_submission.csv"), rows(folder / "private/answers.csv")
    assert (len(train), len(test)) == (example.train_rows, example.test_rows)
    assert len(test) / example.rows == pytest.approx(0.3, abs=0.01)
    ids = [row[example.id_column] for row in test]
    assert ids == [row[example.id_column] for row in sample] == [row[example.id_column] for row in answers]
    assert len({*ids, *(row[example.id_column] for row in train)}) == example.rows
    assert example.target not in test[0] and list(train[0]) == [*test[0], example.target]


@pytest.mark.parametrize("name", NAMES)
def test_ids_say_nothing_of_which_rows_are_test_rows(name: str, home: Path) -> None:
    example, folder = EXAMPLES[name], home / "data" / name
    train = [int(row[example.id_column]) for row in rows(folder / "public/train.csv")]
    test = [int(row[example.id_column]) for row in rows(folder / "public/test.csv")]
    assert all(100_000 <= number < 1_000_000 for number in train + test)
    # The share of (train, test) pairs in which the test id is the larger: one half where ids tell nothing.
    larger = sum(a < b for a in train for b in test) / (len(train) * len(test))
    assert larger == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_for_the_owner_only_and_not_in_public(name: str, home: Path) -> None:
    folder = home / "data" / name
    assert stat.S_IMODE((folder / "private").stat().st_mode) == 0o700
    assert {path.relative_to(folder).as_posix() for path in (folder / "public").iterdir()} == FILES


@pytest.mark.parametrize("name", NAMES)
def test_a_leaderboard_is_sorted_and_tells_four_lines_apart(name: str) -> None:
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


def test_what_is_prepared_keeps_its_data_and_takes_new_task_files(tmp_path: Path) -> None:
    folder = prepare_example("diabetes", tmp_path)
    (folder / "leaderboard.csv").write_text("old")
    (folder / "blends").mkdir()
    before = (folder / "public/train.csv").stat().st_mtime_ns
    assert prepare_example("diabetes", tmp_path) == folder
    assert (folder / "leaderboard.csv").read_text() != "old"
    assert (folder / "blends").is_dir() and (folder / "public/train.csv").stat().st_mtime_ns == before
    assert [path.name for path in folder.parent.iterdir()] == ["diabetes"]


def test_two_processes_that_prepare_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    code = "import sys, pathlib; from tasks.examples.prepare import *\n"
    code += "prepare_example('digits', pathlib.Path(sys.argv[1]))"
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["digits"]
    assert fingerprint(tmp_path / "data" / "digits") == KNOWN["digits"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(TaskError, match="cannot be prepared there"):
        prepare_example("diabetes", tmp_path)
