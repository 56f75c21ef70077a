"""The sentinel knows a task's ids by their column, and sees labels that a solution carries in its source."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.evaluation.leak_checks import check_solution
from tasks.holdout.blend import make_blend
from tasks.io.csv_text import write_rows
from tasks.leakage.statistics import Finding
from tasks.task import load_task


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A run's task in which the id is the second column; only what the sentinel asks of a run is there."""
    draw, folder = random.Random(0), tmp_path / "task"
    (folder / "public").mkdir(parents=True)
    rows = [[str(draw.randrange(2)), str(name)] for name in draw.sample(range(10_000, 99_999), 1000)]
    write_rows(folder / "public/train.csv", [["left", "customer", "age"], *([*row, "7"] for row in rows[:600])])
    write_rows(folder / "public/test.csv", [["customer", "age"], *([row[1], "7"] for row in rows[600:])])
    write_rows(folder / "public/sample.csv", [["left", "customer"], *(["0", row[1]] for row in rows[600:])])
    (folder / "description.md").write_text("Who leaves?\n")
    (folder / "task.yaml").write_text(
        "id: churn\ndescription: description.md\nmetric: accuracy\ndata: {public: public/}\n"
        "submission: {sample: public/sample.csv, id: customer, target: left}\n"
        "labels: {file: public/train.csv, id: customer, target: left}\n"
    )
    task = load_task(folder)
    created = SimpleNamespace(sample=str(task.submission.sample), task_path=str(task.path))
    return SimpleNamespace(blend=make_blend(task, 0, tmp_path / "blend"), created=created)


def look(run: Any, folder: Path, **files: str) -> list[Finding]:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return check_solution(run, folder, folder / "submission.csv")


def shown(run: Any, name: str, column: int) -> list[str]:
    return [line.split(",")[column] for line in (run.blend.public / name).read_text().splitlines()[1:]]


def test_a_table_of_noughts_and_ones_holds_no_ids(run: Any, tmp_path: Path) -> None:
    flags = "flag\n" + "\n".join(str(at % 2) for at in range(500))
    assert look(run, tmp_path / "w", flags_csv=flags, solve_py="DEPTHS = [0, 1, 2, 3]\n") == []


def test_predictions_brought_along_are_found_by_the_column_of_ids(run: Any, tmp_path: Path) -> None:
    table = "left,customer\n" + "\n".join(f"1,{name}" for name in shown(run, "sample.csv", 1))
    (found,) = look(run, tmp_path / "w", mine_csv=table)
    assert found.kind == "predictions brought along"


def test_labels_of_training_rows_in_the_source_are_found(run: Any, tmp_path: Path) -> None:
    known = dict(zip(shown(run, "train.csv", 1)[::3], shown(run, "train.csv", 0)[::3], strict=True))
    (found,) = look(run, tmp_path / "w", solve_py=f"import csv\nKNOWN = {known}\n")
    assert found.kind == "labels in the code"
    assert f"line 2 contains {len(known)} ids of training rows" in found.message
    (found,) = look(run, tmp_path / "v", solve_py=f"KNOWN = '''{';'.join(map('='.join, known.items()))}'''\n")
    assert found.kind == "labels in the code"


def test_a_source_too_long_to_be_one_is_found(run: Any, tmp_path: Path) -> None:
    (found,) = look(run, tmp_path / "w", solve_py="X = 1\n" * 60_000)
    assert found.message == "solve.py has 360000 bytes: source so long holds data"
