"""A table becomes a task that can be split, judged and graded, and assumptions are reported."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.errors import TaskError
from tasks.holdout.blend import make_blend
from tasks.holdout.split import Split
from tasks.judging.grade import grade
from tasks.judging.partition_submission import partition_submission
from tasks.new_task import TaskRequest, make_task
from tasks.task import load_task


def table(path: Path, label: str, rows: int = 300) -> Path:
    draw = random.Random(1)
    choose = {
        "0/1": lambda: draw.choice("01"),
        "word": lambda: draw.choice(["cat", "dog"]),
        "number": lambda: f"{draw.random():.4f}",
    }
    cells = [[f"{draw.random():.3f}", f"h{draw.randrange(40)}", choose[label]()] for _ in range(rows)]
    write_table(path, [["x", "house: it", "y"], *cells])
    return path


@pytest.mark.parametrize(("label", "metric"), [("0/1", "roc_auc"), ("word", "accuracy"), ("number", "rmse")])
def test_table_becomes_a_task_that_can_be_graded(label: str, metric: str, tmp_path: Path) -> None:
    created = make_task(TaskRequest(table(tmp_path / "d.csv", label), "y", tmp_path / "new"))
    task = load_task(created.folder)
    assert task.metric.name == metric
    assert any(metric in assumption for assumption in created.assumptions) and any(
        "row_id" in assumption for assumption in created.assumptions
    )
    blend = make_blend(task, 0, tmp_path / "blend")
    assert (blend.test_rows, blend.folds) == (75, 4)
    assert not blend.notes
    assert task.answers is not None
    answers = dict(map(tuple, read_table(blend.private_labels / "answers.csv")))
    own, ids = dict(map(tuple, read_table(task.answers))), read_table(blend.private_labels / "ids.csv")[1:]
    for (shown,), (role, _, _, original) in zip(ids, read_table(blend.private_labels / "key.csv")[1:], strict=True):
        if role == "test":
            answers[shown] = own[original or shown]
    sample = read_table(blend.public / "sample_submission.csv")
    write_table(tmp_path / "s.csv", [sample[0], *([row[0], answers[row[0]]] for row in sample[1:])])
    parts = partition_submission(blend, tmp_path / "s.csv")
    assert parts.held_out.rows() == parts.answers.rows()
    write_table(tmp_path / "test.csv", parts.test.rows())
    best = {"rmse": 0.0}.get(metric, 1.0)
    assert grade(task, tmp_path / "test.csv").score == best


def test_named_groups_and_ids_are_kept(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", "word")
    rows = read_table(path)
    write_table(path, [["key", *rows[0]], *([f"k{index}", *row] for index, row in enumerate(rows[1:]))])
    created = make_task(TaskRequest(path, "y", tmp_path / "new", id="key", group="house: it"))
    task = load_task(created.folder)
    train, test = (read_table(task.public / name) for name in ("train.csv", "test.csv"))
    assert train[0] == ["key", "x", "house: it", "y"]
    assert not {row[2] for row in train} & {row[2] for row in test[1:]}
    assert make_blend(task, 0, tmp_path / "blend").held_out_rows > 30


def test_mistakes_are_reported(tmp_path: Path) -> None:
    path = table(tmp_path / "d.csv", "word", 90)
    for request, message in (
        (TaskRequest(path, (), tmp_path / "n"), "with --target. Its columns are: x, house: it, y"),
        (TaskRequest(path, "nothing", tmp_path / "n"), "columns are: x, house: it, y"),
        (TaskRequest(path, "y", tmp_path), "already exists"),
        (TaskRequest(path, "y", tmp_path / "n", id="x"), "repeat or are empty"),
        (TaskRequest(path, "y", tmp_path / "n", id="y"), "is a target too"),
        (TaskRequest(path, "y", tmp_path / "n", metric="luck"), "does not exist"),
        (TaskRequest(tmp_path / "gone.csv", "y"), "gone.csv: does not exist"),
        (TaskRequest(table(tmp_path / "few.csv", "word", 30), "y", tmp_path / "n"), "30 rows have a y"),
    ):
        with pytest.raises(TaskError, match=message):
            make_task(request)
    assert not (tmp_path / "n").exists()
    with (tmp_path / "ragged.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "y"], ["1"]])
    with pytest.raises(TaskError, match="line 2"):
        make_task(TaskRequest(tmp_path / "ragged.csv", "y", tmp_path / "n"))


def test_unscorable_targets_are_refused_and_odd_tables_are_noted(tmp_path: Path) -> None:
    def created(cells: list[str], header: tuple[str, ...] = ("x", "y")) -> tuple[str, ...]:
        rows = [[f"{index % 60}", cell][-len(header) :] for index, cell in enumerate(cells)]
        write_table(tmp_path / "odd.csv", [list(header), *rows])
        return make_task(
            TaskRequest(tmp_path / "odd.csv", "y", tmp_path / f"odd-{len(list(tmp_path.iterdir()))}")
        ).assumptions

    with pytest.raises(TaskError, match="nothing to predict"):
        created(["ja"] * 120)
    with pytest.raises(TaskError, match="numbers with commas"):
        created([f"{index},{index:03d}" for index in range(1, 121)])
    with pytest.raises(TaskError, match="no row has a y"):
        created([" "] * 120)
    assert "60 rows are copies" in " ".join(created(["grün" if index % 2 else "rot" for index in range(120)]))
    assert "few repeated values" in " ".join(created([f"item {index * 2 // 3}" for index in range(120)]))
    with pytest.raises(TaskError, match="different in every row, as an id is"):
        created([f"customer {index}" for index in range(120)])
    with pytest.raises(TaskError, match="different in every row, as an id is"):
        created([str(1000 + index * 7 % 120) for index in range(120)])
    with pytest.raises(TaskError, match="only the column y"):
        created(["a", "b"] * 60, ("y",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"x,x,y\n" + b"1,2,0\n" * 100, "'x' is the name of more than one column"),
        (b"x,y\n" + b"\xcf\xf0\xe8\xe2\xe5\xf2,0\n" * 100, "line 2 is neither UTF-8 nor Western text"),
        (b"x,y\n" + b"na\xc3\xafve,1\n" * 60 + b"caf\xe9,0\n", "line 62 .* the file mixes encodings"),
        (b'x,y\n\n"two\nlines",0\n\n\ncaf\x8d,0\n', "line 7 is neither UTF-8 nor Western text"),
        (b"Sales,,y\n2020,2021,y\n" + b"1,2,0\n3,4,1\n" * 60, "header takes more than one row"),
        (b"Sales,,y\n" + b"a,b,0\nc,d,1\n" * 60, "column 2 has no name"),
        (b"1.5,2.5,0\n" * 100, "its first row contains numbers such as 1.5"),
        (b"x,y\n", "no rows below its header"),
        ("x,y\n1,0\n".encode("utf-16")[:-1], "begins as UTF-16 text, and is damaged"),
        (b"x,y\n" + b"1,2\n2,3\n" * 60 + b"3,1e400\n", "y is 1e400 in some row, a number too large"),
    ],
)
def test_unreadable_table_is_refused(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(text)
    with pytest.raises(TaskError, match=message):
        make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_partly_empty_binary_target_gets_roc_auc(tmp_path: Path) -> None:
    rows = [[str(index), "" if index % 7 == 0 else f"{index % 2}.0"] for index in range(300)]
    write_table(tmp_path / "d.csv", [["x", "y"], *rows])
    assert load_task(make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new")).folder).metric.name == "roc_auc"


@pytest.mark.parametrize("word", ["NaN", "NA", "nan", "None", "<NA>", " NA "])
def test_words_for_missing_values_are_empty_cells_of_a_numeric_target(word: str, tmp_path: Path) -> None:
    rows = [[str(index), word if index % 10 == 0 else f"{index * 1.37:.2f}"] for index in range(200)]
    write_table(tmp_path / "d.csv", [["x", "y"], *rows])
    created = make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new"))
    assert load_task(created.folder).metric.name == "rmse"
    assert any("20 rows" in assumption and word.strip() in assumption for assumption in created.assumptions)
    tables = [read_table(created.folder / name) for name in ("public/train.csv", "private/answers.csv")]
    assert sum(len(table) - 1 for table in tables) == 180


def test_such_a_word_is_a_class_of_a_text_target(tmp_path: Path) -> None:
    rows = [[str(index), ("NA", "EU", "AS")[index % 3]] for index in range(200)]
    write_table(tmp_path / "d.csv", [["x", "y"], *rows])
    created = make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new"))
    assert {row[-1] for row in read_table(created.folder / "public/train.csv")[1:]} == {"NA", "EU", "AS"}


def test_other_separators_inside_names_are_accepted(tmp_path: Path) -> None:
    write_table(
        tmp_path / "d.csv", [["a;b", "c|d", "y"], *([str(index), "x;y", str(index % 2)] for index in range(100))]
    )
    created = make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new"))
    assert read_table(created.folder / "public" / "train.csv")[0] == ["row_id", "a;b", "c|d", "y"]


@pytest.mark.parametrize(
    ("metric", "cells", "message"),
    [
        ("rmse", ["1.5", "cat"], "--metric rmse needs numbers, and y is 'cat' in some row"),
        ("mae", ["1.5", "inf"], "y is inf in some row, a number too large"),
        ("mae", ["1" * 400, "a"], "needs numbers, and y is .1{40}. in some row"),
        ("f1", ["a", "b", "c"], "--metric f1 needs two labels, and y has 3"),
        ("mape", ["0", "5"], "needs numbers other than 0, and y is '0'"),
        ("rmsle", ["-1", "2"], "needs numbers from 0 up, and y is '-1'"),
        ("quadratic_weighted_kappa", ["1", "1.5"], "needs whole numbers, and y is '1.5'"),
        ("quadratic_weighted_kappa", ["1", "a", "1e999999999"], "needs whole numbers, and y is '1e999999999'"),
    ],
)
def test_metric_that_does_not_fit_the_target_is_refused(
    metric: str, cells: list[str], message: str, tmp_path: Path
) -> None:
    write_table(tmp_path / "d.csv", [["x", "y"], *([str(index), cells[index % len(cells)]] for index in range(120))])
    with pytest.raises(TaskError, match=message):
        make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new", metric=metric))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("sizes", [[100, 100], [150, 10, 10, 10, 10, 10]])
def test_groups_that_cannot_be_held_out_are_refused(sizes: list[int], tmp_path: Path) -> None:
    groups = [f"g{name}" for name, size in enumerate(sizes) for _ in range(size)]
    write_table(
        tmp_path / "d.csv", [["g", "x", "y"], *([g, str(index), str(index % 2)] for index, g in enumerate(groups))]
    )
    with pytest.raises(TaskError, match="the groups in g are too few or too large"):
        make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new", group="g"))
    assert not (tmp_path / "new").exists()


def rare(path: Path, count: int, rows: int = 200) -> Path:
    """A table in which `count` rows, far apart, have the label 1."""
    ones = {index * rows // count for index in range(count)}
    write_table(
        path,
        [["g", "x", "y"], *([f"g{index % 20}", str(index), "1" if index in ones else "0"] for index in range(rows))],
    )
    return path


@pytest.mark.parametrize("count", [4, 5, 9])
def test_rare_class_is_in_every_fold_and_among_private_rows(count: int, tmp_path: Path) -> None:
    created = make_task(TaskRequest(rare(tmp_path / "d.csv", count), "y", tmp_path / "new"))
    task = load_task(created.folder)
    assert task.metric.name == "roc_auc" and task.answers is not None
    assert any(
        assumption.startswith("y is '1' in only ") and "chance dominates" in assumption
        for assumption in created.assumptions
    )
    assert {row[1] for row in read_table(task.answers)[1:]} == {"0", "1"}
    for fold in range(make_blend(task, 0, tmp_path / "blend").folds):
        blend = make_blend(task, 0, tmp_path / f"fold-{fold}", Split(fold=fold))
        for table in (blend.private_labels / "answers.csv", blend.public / "train.csv"):
            assert {row[-1] for row in read_table(table)[1:]} == {"0", "1"}


def test_class_too_rare_for_the_metric_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"y is '1' in only 3 rows\. roc_auc .* the 3 folds"):
        make_task(TaskRequest(rare(tmp_path / "d.csv", 3), "y", tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new", metric="accuracy")).folder.is_dir()


def test_class_in_one_group_is_refused(tmp_path: Path) -> None:
    rows = [[f"g{index % 20}", str(index), "1" if index % 20 == 7 else "0"] for index in range(400)]
    write_table(tmp_path / "d.csv", [["g", "x", "y"], *rows])
    with pytest.raises(TaskError, match="in 20 rows, in too few groups of g"):
        make_task(TaskRequest(tmp_path / "d.csv", "y", tmp_path / "new", group="g"))
