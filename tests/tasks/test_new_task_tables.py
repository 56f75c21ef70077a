"""Train, test and sample tables, named or found in a folder as Kaggle gives it, become a task without private rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.errors import TaskError
from tasks.holdout.blend import make_blend
from tasks.judging.judge import judge
from tasks.judging.partition_submission import partition_submission
from tasks.task import Task
from tests.tasks.kaggle_folders import wine_folder
from tests.tasks.new_tasks import made


def submit_sample(task: Task, folder: Path) -> list[list[str]]:
    """The rows that would be submitted for the sample of the first split."""
    blend = make_blend(task, 0, folder / "blend")
    assert blend.held_out_rows > 20
    judgement = judge(blend, blend.public / "sample_submission.csv", folder / "out.csv")
    assert judgement.status == "scored", judgement.message
    return partition_submission(blend, blend.public / "sample_submission.csv").test.rows()


def test_folder_as_kaggle_gives_it_becomes_a_task(tmp_path: Path) -> None:
    kaggle = wine_folder()
    folder = kaggle.write(tmp_path / "wine")
    (folder / "data_description.txt").write_text("columns\n")
    task, created = made(folder)
    assert task.answers is None and task.metric.name == "accuracy"
    assert (task.submission.id, task.submission.targets) == ("Id", ("target",))
    assert any("tells training rows from test rows" in fact for fact in created.findings.facts)
    rows = submit_sample(task, tmp_path)
    assert [row[0] for row in rows[1:]] == list(kaggle.answers)


def test_named_tables_of_other_formats_become_a_task(tmp_path: Path) -> None:
    files = wine_folder(onehot=True).files
    for name, text in files.items():
        (tmp_path / name.replace(".csv", ".tsv")).write_text(text.replace(",", "\t"))
    task, _ = made(
        None, train=tmp_path / "train.tsv", test=tmp_path / "test.tsv", sample=tmp_path / "sample_submission.tsv"
    )
    assert task.metric.name == "log_loss" and task.submission.targets == ("red", "rose", "white")
    assert len(submit_sample(task, tmp_path / "s")[1:]) == 48
    with pytest.raises(TaskError, match="belong together"):
        made(None, train=tmp_path / "train.tsv", into=tmp_path / "n")


def change(folder: Path, name: str, header: list[str], rows: list[list[str]] | None = None) -> None:
    old = read_table(folder / name)
    write_table(folder / name, [header, *(old[1:] if rows is None else rows)])


def test_column_with_labels_may_have_another_name_and_training_rows_no_ids(tmp_path: Path) -> None:
    folder = wine_folder(("0", "1", "1")).write(tmp_path / "wine")
    change(folder, "sample_submission.csv", ["Id", "Predicted"])
    train = read_table(folder / "train.csv")
    change(folder, "train.csv", train[0][1:], [row[1:] for row in train[1:]])
    task, created = made(folder)
    assert task.labels and task.labels.targets == ("target",) and task.submission.targets == ("Predicted",)
    assert task.metric.name == "roc_auc"
    assert any("training rows have no Id" in fact for fact in created.findings.facts)
    assert submit_sample(task, tmp_path)[0] == ["Id", "Predicted"]


def test_empty_sample_gets_predictions_and_words_a_probability(tmp_path: Path) -> None:
    folder = wine_folder(("no", "yes", "yes")).write(tmp_path / "wine")
    ids = [[row[0], ""] for row in read_table(folder / "sample_submission.csv")[1:]]
    change(folder, "sample_submission.csv", ["Id", "target"], ids)
    task, _ = made(folder, metric="auc")
    assert {row[1] for row in submit_sample(task, tmp_path)[1:]} == {"0.5"}


def test_words_become_zero_and_one_where_the_metric_asks_for_labels(tmp_path: Path) -> None:
    folder = wine_folder(("no", "yes", "yes")).write(tmp_path / "wine")
    ids = [[row[0], "0"] for row in read_table(folder / "sample_submission.csv")[1:]]
    change(folder, "sample_submission.csv", ["Id", "target"], ids)
    task, created = made(folder, metric="f1")
    assert "target became 1 for 'yes' and 0 for 'no'" in created.findings.facts
    assert {row[1] for row in submit_sample(task, tmp_path)[1:]} == {"0"}


def test_tables_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    def refused(name: str, header: list[str], rows: list[list[str]] | None = None) -> str:
        folder = wine_folder().write(tmp_path / f"wine-{len(list(tmp_path.iterdir()))}")
        change(folder, name, header, rows)
        with pytest.raises(TaskError) as caught:
            made(folder, into=tmp_path / "never")
        assert not (tmp_path / "never").exists()
        return str(caught.value)

    assert "is not the id" in refused("sample_submission.csv", ["Key", "target"])
    assert "48 ids" not in refused("sample_submission.csv", ["Id", "target"], [["131", "red"]])
    assert "they must be the same" in refused("sample_submission.csv", ["Id", "target"], [["131", "red"]])
    test = read_table(wine_folder().write(tmp_path / "whole") / "test.csv")
    assert "'extra' is no feature" in refused("test.csv", [*test[0][:-1], "extra"])
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TaskError, match=r"missing: --train, --test, --sample.*data\.csv"):
        made(tmp_path / "one", into=tmp_path / "never")


def test_test_rows_without_ids_get_those_of_a_sample_that_counts_them(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    for file in ("train.csv", "test.csv"):
        header, *rows = read_table(folder / file)
        change(folder, file, header[1:], [row[1:] for row in rows])
    count = len(read_table(folder / "test.csv")) - 1
    cell = read_table(folder / "sample_submission.csv")[1][1]
    change(folder, "sample_submission.csv", ["RowId", "target"], [[str(row), cell] for row in range(1, count + 1)])
    task, created = made(folder)
    assert any("its rows are in the order of the sample" in guess for guess in created.findings.guesses)
    assert read_table(task.public / "test.csv")[1][0] == "1"
    assert submit_sample(task, tmp_path)[0] == ["RowId", "target"]


def test_images_beside_the_tables_are_said_to_be_left_out(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    (folder / "train_images").mkdir()
    (folder / "train_images" / "7.jpg").write_bytes(b"x")
    _, created = made(folder)
    assert any("the image files in train_images/ are not part of the task" in one for one in created.findings.advice)
