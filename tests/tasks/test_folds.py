"""Single splits, folds, fresh folds and the refit follow the recipe; contradictory recipes are refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_tasks import Row, churn, read_table, truth, write_table

from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import read_labels
from tasks.holdout.split import Split
from tasks.judging.judge import judge
from tasks.judging.partition_submission import partition_submission
from tasks.task import Task, TaskError, load_task


def held_out(blend: Blend) -> list[str]:
    return read_labels(blend.private_labels / "answers.csv", "a test").column("customer")


def perfect(task: Task, blend: Blend, path: Path) -> Path:
    """A perfect submission, rows shuffled and columns reversed."""
    right = truth(task)
    header, *rows = [row[::-1] for row in read_table(blend.public / "sample_submission.csv")]
    predicted = [[right[row[1]], row[1]] for row in rows]
    random.Random(1).shuffle(predicted)
    write_table(path, [header, *predicted])
    return path


@pytest.mark.parametrize("labels", ["stratify: true", "group: household"])
def test_folds_hold_out_every_labelled_row_once(labels: str, tmp_path: Path) -> None:
    task = churn(tmp_path / "task", train_rows=300, labels=labels)
    first = make_blend(task, 0, tmp_path / "b")
    splits = [Split(draw, part) for draw in (0, 1) for part in range(first.folds)] + [Split(0, -1)]
    assert first.folds == 5
    seen: dict[int, list[str]] = {0: [], 1: []}
    for split in splits:
        blend = make_blend(task, 0, tmp_path / f"b{split.draw}{split.fold}", split)
        assert task.answers is not None
        parts = partition_submission(blend, perfect(task, blend, tmp_path / "s.csv"))
        assert parts.test.rows() == read_table(task.answers)
        assert parts.held_out.rows() == parts.answers.rows()
        seen[split.draw] += held_out(blend) if split.fold >= 0 else []
    everyone = sorted(row[0] for row in read_table(task.public / "train.csv")[1:])
    assert sorted(seen[0]) == sorted(seen[1]) == everyone
    assert seen[0] != seen[1]


def test_refit_holds_nothing_out_and_shuffles(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    blend = make_blend(task, 0, tmp_path / "b", Split(0, -1))
    assert (blend.held_out_rows, blend.has_labels, blend.test_rows) == (0, False, 60)
    for name in ("train.csv", "test.csv"):
        shown, before = (read_table(folder / name) for folder in (blend.public, task.public))
        assert shown != before and sorted(shown) == sorted(before)
    assert judge(blend, blend.public / "sample_submission.csv", tmp_path / "out.csv").status == "unscored"


def test_many_rows_make_one_split_with_select_rows(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", train_rows=20_100, test_rows=50)
    blend = make_blend(task, 0, tmp_path / "b")
    assert (blend.folds, blend.held_out_rows, blend.select_rows) == (0, 2010, 2010)
    parts = partition_submission(blend, perfect(task, blend, tmp_path / "s.csv"))
    assert parts.select.rows() == read_table(blend.private_labels / "select.csv")
    assert not set(parts.select.column("customer")) & set(parts.held_out.column("customer"))
    judged = judge(blend, tmp_path / "s.csv", tmp_path / "out.csv", keep=True)
    assert judged.score == 1.0
    assert read_table(tmp_path / "select.csv") == parts.select.rows()


# ------------------------------------------------------------------------------------------------------- the recipe


def onehot(folder: Path, blend: str) -> Task:
    task = churn(folder, metric="log_loss", more=blend, sample="0")
    names = ["leaves", "stays", "unsure"]
    rows = read_table(task.submission.sample)
    shown: list[Row] = [["customer", *names], *([row[0], "0.3", "0.3", "0.4"] for row in rows[1:])]
    write_table(task.submission.sample, shown)
    right = truth(task)
    answers: list[Row] = [[row[0], *(str(int(right[row[0]] == name)) for name in names)] for row in rows[1:]]
    write_table(folder / "private/answers.csv", [shown[0], *answers])
    text = (
        (folder / "task.yaml")
        .read_text()
        .replace("customer, target: left}\nlabels", "customer, target: [leaves, stays, unsure]}\nlabels")
    )
    (folder / "task.yaml").write_text(text)
    return load_task(folder)


@pytest.mark.parametrize("blend", ["", "blend: {test: public/test.csv, answer: {onehot: left}, static: [notes/*]}"])
def test_label_is_encoded_one_hot(blend: str, tmp_path: Path) -> None:
    task = onehot(tmp_path / "task", blend)
    created = make_blend(task, 0, tmp_path / "b")
    assert ("assumed" in " ".join(created.notes)) == (not blend)
    right, names = truth(churn(tmp_path / "plain")), ["leaves", "stays", "unsure"]
    sample = read_table(created.public / "sample_submission.csv")
    rows = [[row[0], *(str(int(right[row[0]] == name)) for name in names)] for row in sample[1:]]
    write_table(tmp_path / "s.csv", [sample[0], *rows])
    judged = judge(created, tmp_path / "s.csv", tmp_path / "out.csv")
    assert judged.score == pytest.approx(0.0, abs=1e-9)


def test_class_missing_from_the_sample_is_refused(tmp_path: Path) -> None:
    task = onehot(tmp_path / "task", "")
    rows = read_table(task.public / "train.csv")
    write_table(task.public / "train.csv", [*rows, ["1", "", "h1", "maybe"]])
    with pytest.raises(TaskError, match="'maybe' of row '1' is not a column of the sample"):
        make_blend(task, 0, tmp_path / "b")


def test_unlisted_file_is_refused_and_omitted_file_is_not_shown(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", more="blend: {test: public/test.csv}")
    (task.public / "model.bin").write_bytes(b"weights")
    with pytest.raises(TaskError, match=r"does not list model\.bin"):
        make_blend(task, 0, tmp_path / "b")
    task = churn(tmp_path / "other", more='blend: {test: public/test.csv, omit: ["*.bin"], static: ["notes/*"]}')
    (task.public / "model.bin").write_bytes(b"weights")
    blend = make_blend(task, 0, tmp_path / "c")
    assert not (blend.public / "model.bin").exists()
    assert (blend.public / "notes/read_me.txt").exists()


def test_latest_rows_are_held_out_and_a_plan_can_be_written(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", labels="", more="labels: {file: public/train.csv, id: customer, target: left}")
    for name, start in (("train", 0), ("test", 500)):
        rows = read_table(task.public / f"{name}.csv")
        table = [[*rows[0], "day"], *([*row, f"{start + index:04d}"] for index, row in enumerate(rows[1:]))]
        write_table(task.public / f"{name}.csv", table)
    with (task.folder / "task.yaml").open("a") as file:
        file.write("blend: {test: public/test.csv, split: {time: day}, static: [notes/*]}\n")
    blend = make_blend(load_task(task.folder), 0, tmp_path / "b")
    assert (blend.folds, blend.held_out_rows) == (0, 40)
    assert max(row[-1] for row in read_table(blend.public / "train.csv")[1:]) == "0159"
    planned = churn(
        tmp_path / "planned", more="blend: {test: public/test.csv, plan: {search: 0.1, select: 30}, static: [notes/*]}"
    )
    created = make_blend(planned, 0, tmp_path / "c")
    assert (created.folds, created.held_out_rows, created.select_rows) == (0, 20, 30)


def test_contradictory_recipe_is_refused(tmp_path: Path) -> None:
    for part, message in (
        ("plan: {folds: 5, search: 0.1}", "both folds and search"),
        ("plan: {select: 0.1}", "select needs search"),
        ("split: {time: note}, plan: {folds: 5}", "has no folds"),
        ("answer: {onehot: nothing}", "onehot must name the label's column"),
        ("tset: x", "Did you mean 'test'"),
    ):
        with pytest.raises(TaskError, match=message):
            churn(tmp_path / message.replace(" ", "-"), more=f"blend: {{{part}}}")
