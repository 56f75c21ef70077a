"""Train and test tables without a sample: test rows with labels are private, those without are to be predicted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_tasks import Row, read_table, write_table

from tests.tasks.new_tasks import made, perfect_scores

HEADER = ["id", "price", "shop", "day", "left"]


def write_parts(folder: Path, label: str = "", late: bool = False) -> dict[str, Path]:
    """200 rows to train and 60 to test, with prices in dollars and labels; `label` replaces those of test."""
    draw, rows = random.Random(3), []
    for number in range(260):
        day = number if late else draw.randrange(300)
        price = f"$ {draw.uniform(1, 9):.2f}"
        rows.append([str(number), price, f"s{draw.randrange(30)}", str(day), draw.choice(["no", "yes"])])
    test = [[*row[:-1], label or row[-1]] for row in rows[200:]]
    write_table(folder / "train.csv", [HEADER, *rows[:200]])
    write_table(folder / "test.csv", [HEADER, *test])
    return {"train": folder / "train.csv", "test": folder / "test.csv"}


def without_label(rows: list[Row], where: int, label: str) -> list[Row]:
    """The rows with this label in every seventh."""
    return [[*row[:where], label, *row[where + 1 :]] if number % 7 == 1 else row for number, row in enumerate(rows)]


@pytest.mark.parametrize("label", ["NA", " "])
@pytest.mark.parametrize("named", [("left",), ()])
def test_target_that_is_empty_in_all_test_rows_is_to_be_predicted(
    label: str, named: tuple[str, ...], tmp_path: Path
) -> None:
    task, _ = made(None, *named, id="id", **write_parts(tmp_path, label))
    assert task.answers is None and task.submission.targets == ("left",)
    assert read_table(task.public / "test.csv")[0] == HEADER[:-1]
    assert len(read_table(task.public / "sample_submission.csv")) == 61


def test_rows_whose_labels_types_correct_stay_in_their_part(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    for path in parts.values():
        header, *rows = read_table(path)
        write_table(path, [header, *without_label(rows, 1, "N/A")])
    known = [row[0] for row in read_table(parts["test"])[1:] if row[1] != "N/A"]
    task, _ = made(None, "price", id="id", types={"price": "number"}, **parts)
    assert task.answers and sorted(row[0] for row in read_table(task.answers)[1:]) == sorted(known)
    assert perfect_scores(task, tmp_path / "s")[1:] == (0.0, 0.0)


def test_types_rewrite_test_as_train(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, " ")
    task, _ = made(None, "left", types={"price": "number"}, **parts)
    for name in ("train.csv", "test.csv"):
        header, *rows = read_table(task.public / name)
        assert all(float(row[header.index("price")]) >= 1 for row in rows)


@pytest.mark.parametrize("label", ["", " "])
def test_description_says_only_what_is_true_of_groups_and_times(label: str, tmp_path: Path) -> None:
    mixed = write_parts(tmp_path / "mixed", label)
    task, created = made(None, "left", group="shop", **mixed)
    assert "No value of `shop`" not in task.description
    assert any("leave --group out" in advice for advice in created.findings.advice)
    task, created = made(None, "left", time="day", **mixed)
    assert "are later than" not in task.description
    assert any("leave --time out" in advice for advice in created.findings.advice)
    task, created = made(None, "left", time="day", **write_parts(tmp_path / "late", label, late=True))
    assert "are later than" in task.description
    assert not any("leave --time out" in advice for advice in created.findings.advice)
