"""A public folder with a share of the training rows keeps classes, groups and everything else."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from tasks.catalog import find_task
from tasks.holdout.blend import make_blend
from tasks.holdout.sample_train import sample_public
from tasks.io.csv_text import TableError
from tasks.task import load_task
from tests.harness.judged_runs import two_numbers


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def names_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_a_sample_keeps_the_share_of_each_class_and_all_other_files(tmp_path: Path) -> None:
    task = find_task("digits", tmp_path)
    blend = make_blend(task, 0, tmp_path / "blend")
    sample_public(task, blend.public, tmp_path / "sample", 0.1, 0)
    whole, part = (rows_of(folder / "train.csv") for folder in (blend.public, tmp_path / "sample"))
    assert part[0] == whole[0] and set(map(tuple, part)) < set(map(tuple, whole))
    label = part[0].index("label") if "label" in part[0] else len(part[0]) - 1
    before, after = (Counter(row[label] for row in rows[1:]) for rows in (whole, part))
    assert set(before) == set(after)
    assert all(abs(after[name] - 0.1 * before[name]) <= 0.5 for name in before)
    assert names_in(blend.public) == names_in(tmp_path / "sample")
    assert (tmp_path / "sample" / "test.csv").read_bytes() == (blend.public / "test.csv").read_bytes()


def test_a_sample_is_made_once_and_equal_seeds_give_equal_rows(tmp_path: Path) -> None:
    task = find_task("digits", tmp_path)
    blend = make_blend(task, 0, tmp_path / "blend")
    for name in ("one", "two"):
        sample_public(task, blend.public, tmp_path / name, 0.05, 3)
    assert (tmp_path / "one" / "train.csv").read_bytes() == (tmp_path / "two" / "train.csv").read_bytes()
    (tmp_path / "one" / "train.csv").chmod(0o644)
    (tmp_path / "one" / "train.csv").write_text("kept")
    sample_public(task, blend.public, tmp_path / "one", 0.05, 3)
    assert (tmp_path / "one" / "train.csv").read_text() == "kept"


def test_numbers_are_sampled_at_random(tmp_path: Path) -> None:
    task = load_task(two_numbers(tmp_path / "sum", lambda draw, a, b: f"{a + b:.3f}", metric="rmse"))
    blend = make_blend(task, 0, tmp_path / "blend")
    sample_public(task, blend.public, tmp_path / "sample", 0.25, 0)
    whole, part = (len(rows_of(folder / "train.csv")) - 1 for folder in (blend.public, tmp_path / "sample"))
    assert part == round(0.25 * whole)


def test_a_task_without_labels_cannot_be_sampled(tmp_path: Path) -> None:
    from dataclasses import replace

    task = replace(find_task("digits", tmp_path), labels=None)
    with pytest.raises(TableError):
        sample_public(task, tmp_path, tmp_path / "sample", 0.5, 0)
