"""Train and test tables without a sample: test rows with labels are private, those without are to be predicted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_tasks import Row, read_table, write_table

from tasks.errors import TaskError
from tasks.holdout.blend import make_blend
from tasks.judging.partition_submission import partition_submission
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


def test_id_that_no_row_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="--id Idd is not a column of the rows to predict"):
        made(None, "left", id="Idd", into=tmp_path / "never", **write_parts(tmp_path, " "))
    assert not (tmp_path / "never").exists()


def test_measure_before_the_id_of_a_sample_stays_a_feature(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, " ")
    for path in parts.values():
        header, *rows = read_table(path)
        write_table(path, [header, *([row[0], f"{float(row[0]) / 7:.4f}", *row[2:]] for row in rows)])
    rows = read_table(parts["test"])[1:]
    write_table(tmp_path / "sample.csv", [["price", "left", "id"], *([row[1], "no", row[0]] for row in rows)])
    task, _ = made(None, sample=tmp_path / "sample.csv", **parts)
    assert (task.submission.id, task.submission.targets) == ("id", ("left",))
    assert "price" in read_table(task.public / "train.csv")[0]
    write_table(tmp_path / "sample.csv", [["id", "left"], *([row[0], "no"] for row in rows[1:]), ["no-such", "no"]])
    with pytest.raises(TaskError, match="'no-such' is not once in each"):
        made(None, sample=tmp_path / "sample.csv", into=tmp_path / "never", **parts)


def relabel(parts: dict[str, Path], words: list[str]) -> None:
    header, *rows = read_table(parts["train"])
    write_table(parts["train"], [header, *([*row[:-1], words[row[-1] == "yes"]] for row in rows)])


def test_a_sample_class_without_training_rows_is_reported_or_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, " ")
    columns = ["left_no", "left_yes", "left_maybe"]
    ids = [row[0] for row in read_table(parts["test"])[1:]]
    write_table(tmp_path / "sample.csv", [["id", *columns], *([name, "0.3", "0.3", "0.4"] for name in ids)])
    task, created = made(None, sample=tmp_path / "sample.csv", **parts)
    assert task.metric.name == "log_loss"
    assert "no training row has the class of left_maybe, columns of the sample" in created.findings.facts
    with pytest.raises(TaskError, match="no training row has the class of the sample's column 'left_maybe'"):
        made(None, sample=tmp_path / "sample.csv", metric="auc", into=tmp_path / "never", **parts)


def test_codes_that_look_like_huge_numbers_are_labels(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, " ")
    relabel(parts, ["7e5000", "ab"])
    task, _ = made(None, "left", metric="auc", positive="ab", **parts)
    assert task.recipe.answer and dict(task.recipe.answer.values) == {"7e5000": "0", "ab": "1"}


@pytest.mark.parametrize("label", ["", " "])
@pytest.mark.parametrize("form", ["{}", "a{:04d}", "every fifth", "longer"])
def test_ids_do_not_tell_held_out_rows_from_test_rows(label: str, form: str, tmp_path: Path) -> None:
    parts = write_parts(tmp_path, label)
    free = {"train.csv": [n for n in range(300) if n % 5], "test.csv": list(range(0, 300, 5))}
    for path in parts.values():
        header, *rows = read_table(path)
        ids = [form.format(int(row[0])) for row in rows]
        if form == "every fifth":
            ids = [f"row {number}" for number in free[path.name][: len(rows)]]
        if form == "longer":
            ids = [f"{(int(row[0]) * 7919) % 1000:0{3 + (path.name == 'test.csv')}d}" for row in rows]
        write_table(path, [header, *([name, *row[1:]] for name, row in zip(ids, rows, strict=True))])
    wanted = [row[0] for row in read_table(parts["test"])[1:]]
    task, _ = made(None, "left", id="id", **parts)
    blend = make_blend(task, 0, tmp_path / "blend")
    shown = read_table(blend.public / "test.csv")[1:]
    assert sorted(int(row[0]) for row in shown) == list(range(1, len(shown) + 1))
    submitted = partition_submission(blend, blend.public / "sample_submission.csv").test.rows()
    assert sorted(row[0] for row in submitted[1:]) == sorted(wanted)


def test_sample_without_predictions_and_with_a_labelled_test_table_is_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    ids = [row[0] for row in read_table(parts["test"])[1:]]
    for header, says in ((["id"], "has only the ids in id"), (["id", "left"], "has labels in 'left'")):
        write_table(tmp_path / "sample.csv", [header, *([name, "no"][: len(header)] for name in ids)])
        with pytest.raises(TaskError, match=says):
            made(None, sample=tmp_path / "sample.csv", into=tmp_path / "never", **parts)
    assert not (tmp_path / "never").exists()


def test_labels_that_are_the_same_number_are_reported(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    relabel(parts, ["1", "01"])
    _, created = made(parts["train"], "left")
    assert "left has '01' and '1', two labels here; write them alike if they are one" in created.findings.advice
