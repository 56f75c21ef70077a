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
from tests.tasks.new_tasks import made, perfect_scores


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
    for parts in (["train"], ["test", "sample_submission"]):
        named = {name.partition("_")[0]: tmp_path / f"{name}.tsv" for name in parts}
        with pytest.raises(TaskError, match="belong together"):
            made(None, into=tmp_path / "never", **{"train": None, **named})


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


@pytest.mark.parametrize("form", ["target_{}", "Prob {}", "{}_share", "Class_{}"])
def test_columns_of_classes_may_have_words_around_them(form: str, tmp_path: Path) -> None:
    labels = {"target_{}": ("C", "CL", "D"), "Class_{}": ("1", "2", "3")}.get(form, ("Dark red", "rose", "WHITE"))
    folder = wine_folder(labels, onehot=True).write(tmp_path / "wine")
    names = [form.format(label).lower() for label in labels]
    change(folder, "sample_submission.csv", ["Id", *names])
    task, created = made(folder)
    assert task.metric.name == "log_loss" and task.submission.targets == tuple(names)
    assert {row[-1] for row in read_table(task.public / "train.csv")[1:]} == set(names)
    assert any(f"{names[0]} for {labels[0]}" in fact for fact in created.findings.facts)
    assert len(submit_sample(task, tmp_path)[1:]) == 48


def test_class_columns_that_fit_no_label_are_refused(tmp_path: Path) -> None:
    folder = wine_folder(onehot=True).write(tmp_path / "wine")
    change(folder, "sample_submission.csv", ["Id", "target_red", "target_rose", "target_pink"])
    with pytest.raises(TaskError, match="cannot be told which column has the labels"):
        made(folder, into=tmp_path / "never")
    with pytest.raises(TaskError, match=r"\(red, rose, white\) are not the columns of the sample \(target_red"):
        made(folder, "target", into=tmp_path / "never")


def with_second_target(folder: Path, names: list[str], sample_names: list[str]) -> None:
    """Write the wine's alcohol and hue as the targets."""
    train = read_table(folder / "train.csv")
    places = [train[0].index("alcohol"), train[0].index("hue")]
    rest = [place for place, name in enumerate(train[0]) if name not in ("alcohol", "hue", "target")]
    rows = [[row[place] for place in [*rest, *places]] for row in train]
    write_table(folder / "train.csv", [[*rows[0][: len(rest)], *names], *rows[1:]])
    test = read_table(folder / "test.csv")
    write_table(folder / "test.csv", [[row[place] for place in rest] for row in test])
    write_table(folder / "sample_submission.csv", [["Id", *sample_names], *([row[0], "1", "1"] for row in test[1:])])


@pytest.mark.parametrize("names", [["alcohol", "hue"], ["Hue", "Alcohol"], ["pred_hue", "pred_alcohol"]])
def test_sample_with_several_targets_gives_their_order(names: list[str], tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    with_second_target(folder, ["alcohol", "hue"], names)
    task, _ = made(folder)
    expected = tuple(name.lower().removeprefix("pred_") for name in names)
    assert task.labels and task.labels.targets == expected and task.submission.targets == tuple(names)
    assert task.metric.name == "mcrmse"
    assert submit_sample(task, tmp_path)[0] == ["Id", *names]
    named, _ = made(folder, "alcohol", "hue")
    assert named.labels and named.labels.targets == expected


def test_one_of_several_targets_of_a_sample_is_refused(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    with_second_target(folder, ["alcohol", "hue"], ["alcohol", "hue"])
    with pytest.raises(TaskError, match="has hue too"):
        made(folder, "alcohol", into=tmp_path / "never")


@pytest.mark.parametrize(
    ("in_train", "in_test"), [("ID", "ID"), ("Id", "id"), ("WineId", "WineId"), ("ID", "wine"), ("WineId", "wine_id")]
)
def test_id_may_be_spelled_or_called_otherwise_in_the_sample(in_train: str, in_test: str, tmp_path: Path) -> None:
    kaggle = wine_folder()
    folder = kaggle.write(tmp_path / "wine")
    for file, name in (("train.csv", in_train), ("test.csv", in_test)):
        change(folder, file, [name, *read_table(folder / file)[0][1:]])
    task, _ = made(folder)
    assert task.submission.id == "Id" and task.labels and task.labels.id == "Id"
    rows = submit_sample(task, tmp_path)
    assert rows[0] == ["Id", "target"] and [row[0] for row in rows[1:]] == list(kaggle.answers)


def test_time_that_is_the_id_under_another_name_still_divides(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    for file in ("train.csv", "test.csv"):
        change(folder, file, ["Day", *read_table(folder / file)[0][1:]])
    task, _ = made(folder, time="Day", metric="accuracy")
    assert task.recipe.time == "Id"
    assert len(submit_sample(task, tmp_path)[1:]) == 48


def test_id_may_be_behind_the_prediction_and_features_repeated_in_the_sample(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    test = read_table(folder / "test.csv")
    write_table(
        folder / "sample_submission.csv", [["hue", "target", "Id"], *([row[-3], "red", row[0]] for row in test[1:])]
    )
    header, *rows = test
    change(folder, "test.csv", [*header, "target"], [[*row, ""] for row in rows])
    task, created = made(folder)
    assert (task.submission.id, task.submission.targets) == ("Id", ("target",))
    assert any("left out target of the test rows" in fact for fact in created.findings.facts)
    assert len(submit_sample(task, tmp_path)[1:]) == 48


def test_ids_that_train_and_test_share_become_new_ones_in_train(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    header, *rows = read_table(folder / "train.csv")
    change(folder, "train.csv", header, [[str(131 + number), *row[1:]] for number, row in enumerate(rows)])
    task, created = made(folder)
    assert any("got new ids" in fact for fact in created.findings.facts)
    assert len(submit_sample(task, tmp_path)[1:]) == 48


def test_column_called_like_a_label_asks_for_its_probability(tmp_path: Path) -> None:
    folder = wine_folder(("spam", "ham", "ham")).write(tmp_path / "wine")
    ids = [[row[0], "0.5"] for row in read_table(folder / "sample_submission.csv")[1:]]
    change(folder, "sample_submission.csv", ["Id", "prob_ham"], ids)
    task, _ = made(folder)
    assert task.recipe.answer and dict(task.recipe.answer.values) == {"ham": "1", "spam": "0"}


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

    assert "is not the id" in refused("sample_submission.csv", ["Key", "target"], [["x", "red"]])
    assert "48 ids" not in refused("sample_submission.csv", ["Id", "target"], [["131", "red"]])
    assert "they must be the same" in refused("sample_submission.csv", ["Id", "target"], [["131", "red"]])
    test = read_table(wine_folder().write(tmp_path / "whole") / "test.csv")
    assert "'extra' is not a feature" in refused("test.csv", [*test[0][:-1], "extra"])
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TaskError, match=r"cannot be told by their names.*data\.csv"):
        made(tmp_path / "one", into=tmp_path / "never")


def test_repeated_name_of_a_column_is_refused_in_each_table(tmp_path: Path) -> None:
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        folder = wine_folder().write(tmp_path / name / "wine")
        header = read_table(folder / name)[0]
        change(folder, name, [header[0], header[0], *header[2:]])
        with pytest.raises(TaskError, match=rf"{name}: 'Id' is the name of more than one column"):
            made(folder, into=tmp_path / "never")


def test_ids_that_are_equal_as_numbers_fit(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    ids = [[f"{row[0]}.0", "red"] for row in read_table(folder / "sample_submission.csv")[1:]]
    change(folder, "sample_submission.csv", ["Id", "target"], ids)
    task, _ = made(folder)
    assert [row[0] for row in submit_sample(task, tmp_path)[1:]] == [row[0] for row in ids]


def test_test_rows_without_ids_get_those_of_a_sample_that_counts_them(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    for file in ("train.csv", "test.csv"):
        header, *rows = read_table(folder / file)
        change(folder, file, header[1:], [row[1:] for row in rows])
    count = len(read_table(folder / "test.csv")) - 1
    cell = read_table(folder / "sample_submission.csv")[1][1]
    change(folder, "sample_submission.csv", ["RowId", "target"], [[str(row), cell] for row in range(1, count + 1)])
    task, created = made(folder)
    assert any("test rows have no RowId: they are in the order" in guess for guess in created.findings.guesses)
    assert read_table(task.public / "test.csv")[1][0] == "1"
    assert submit_sample(task, tmp_path)[0] == ["RowId", "target"]


def test_images_beside_the_tables_are_said_to_be_left_out(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    (folder / "train_images").mkdir()
    (folder / "train_images" / "7.jpg").write_bytes(b"x")
    _, created = made(folder)
    assert any("the image files in train_images/ are not part of the task" in one for one in created.findings.advice)


def test_labels_in_a_table_of_their_own_are_joined(tmp_path: Path) -> None:
    kaggle = wine_folder()
    folder = kaggle.write(tmp_path / "wine")
    header, *rows = read_table(folder / "train.csv")
    write_table(folder / "train_values.csv", [header[:-1], *(row[:-1] for row in rows)])
    write_table(folder / "train_labels.csv", [[header[0], "target"], *([row[0], row[-1]] for row in reversed(rows))])
    (folder / "train.csv").unlink()
    (folder / "test.csv").rename(folder / "test_values.csv")
    (folder / "sample_submission.csv").rename(folder / "submission_format.csv")
    task, created = made(folder)
    assert "joined target of train_labels.csv by Id" in created.findings.facts
    assert read_table(task.public / "train.csv")[1:] == rows
    assert [row[0] for row in submit_sample(task, tmp_path)[1:]] == list(kaggle.answers)


def test_features_may_be_spelled_otherwise_in_test(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    header = read_table(folder / "test.csv")[0]
    change(folder, "test.csv", [name.upper() for name in header])
    change(folder, "sample_submission.csv", ["id", "Expected"])
    task, _ = made(folder)
    assert task.labels and task.labels.targets == ("target",)
    assert read_table(task.public / "test.csv")[0] == ["id", *header[1:]]


def test_archive_beside_the_tables_is_reported(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    (folder / "train_images.zip").write_bytes(b"PK")
    _, created = made(folder)
    assert any("train_images.zip is packed" in one for one in created.findings.advice)


def test_test_table_with_labels_becomes_the_private_rows(tmp_path: Path) -> None:
    kaggle = wine_folder()
    folder = kaggle.write(tmp_path / "wine")
    header, *rows = read_table(folder / "test.csv")
    change(folder, "test.csv", [*header, "target"], [[*row, kaggle.answers[row[0]]] for row in rows])
    task, created = made(None, "target", train=folder / "train.csv", test=folder / "test.csv", id="Id")
    assert any("test.csv have labels, and are the private ones" in fact for fact in created.findings.facts)
    assert task.answers and {row[0]: row[1] for row in read_table(task.answers)[1:]} == kaggle.answers
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)


def test_tables_without_a_sample_get_one(tmp_path: Path) -> None:
    folder = wine_folder().write(tmp_path / "wine")
    tables = {"train": folder / "train.csv", "test": folder / "test.csv"}
    task, _ = made(None, metric="log_loss", id="Id", **tables)
    assert task.submission.targets == ("red", "rose", "white")
    assert submit_sample(task, tmp_path)[1] == ["131", "0.3333", "0.3333", "0.3333"]
    task, _ = made(None, **tables)
    assert (task.submission.id, task.submission.targets) == ("row_id", ("target",))
    assert len(submit_sample(task, tmp_path / "more")[1:]) == 48
    with pytest.raises(TaskError, match="has no test table"):
        made(None, train=folder / "train.csv", sample=folder / "sample_submission.csv", into=tmp_path / "never")


def test_id_of_the_sample_may_join_columns_of_test(tmp_path: Path) -> None:
    days = [f"2024-{month:02d}-{day:02d}" for month in range(1, 7) for day in range(1, 11)]
    rows = [[str(shop), day, str(shop * 10 + place % 7)] for place, day in enumerate(days) for shop in range(1, 5)]
    train, test = rows[:180], rows[180:]
    write_table(tmp_path / "train.csv", [["Shop", "Date", "Sales"], *train])
    write_table(tmp_path / "test.csv", [["Shop", "Date"], *(row[:2] for row in test)])
    ids = [f"{shop}_{day}" for shop, day, _ in test]
    write_table(tmp_path / "sampleSubmission.csv", [["Id", "Sales"], *([name, "0"] for name in ids)])
    write_table(tmp_path / "shops.csv", [["Shop", "Type"], ["1", "A"]])
    task, created = made(tmp_path, time="Date")
    assert any(advice.startswith("shops.csv is not part of the task") for advice in created.findings.advice)
    assert task.submission.id == "Id" and "Id of the sample is Shop_Date, so all rows got it" in created.findings.facts
    assert read_table(task.public / "test.csv")[1] == [ids[0], *test[0][:2]]
    assert read_table(task.submission.sample)[0] == ["Id", "Sales"]

    write_table(tmp_path / "sampleSubmission.csv", [["Shop", "Date", "Sales"], *([*row[:2], "0"] for row in test)])
    with pytest.raises(TaskError, match="Shop and Date together are the id"):
        made(tmp_path, into=tmp_path / "never")
