"""Images with train and sample tables, or in a folder for training and one to predict, become a task of images."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.errors import TaskError
from tasks.holdout.blend import make_blend
from tasks.judging.judge import judge
from tasks.judging.partition_submission import partition_submission
from tasks.modality import modality_of
from tasks.prompt_card import render_card
from tasks.task import Task
from tests.tasks.image_folders import write_digits
from tests.tasks.new_tasks import made, perfect_scores

TRAIN = 90


def write_triple(
    folder: Path,
    train: str = "train/{}.png",
    test: str = "test/{}.png",
    suffix: str = "",
    test_table: bool = False,
    same_names: bool = False,
) -> dict[str, bytes]:
    """120 images with a table of labels, as on Kaggle; the images to predict by id."""
    written = write_digits(folder.parent / "digits")
    random.Random(0).shuffle(written)
    rows: list[list[list[str]]] = [[], []]
    images = {}
    for number, (path, label) in enumerate(written):
        part = int(number >= TRAIN)
        name = f"{number - part * TRAIN * same_names:04d}"
        target = folder / (train, test)[part].format(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        rows[part].append([name + suffix, label.replace(" ", "_")])
        if part:
            images[name + suffix] = target.read_bytes()
    write_table(folder / "train.csv", [["id", "label"], *rows[0]])
    write_table(folder / "sample_submission.csv", [["id", "label"], *([row[0], "digit_0"] for row in rows[1])])
    if test_table:
        write_table(folder / "test.csv", [["id"], *([row[0]] for row in rows[1])])
    return images


def check_images(task: Task, folder: Path, images: dict[str, bytes]) -> None:
    """Held-out rows are mixed in, every row shows its own image, and the ids of the sample are submitted."""
    blend = make_blend(task, 0, folder / "blend")
    assert blend.held_out_rows >= 18 and modality_of(task, blend.public) == "image"
    assert "`image` is the path of a file below `./data`" in render_card(task, blend.public)
    shown = read_table(blend.public / "test.csv")
    assert all((blend.public / row[shown[0].index("image")]).is_file() for row in shown[1:])
    table = {row[0]: (task.public / row[-1]).read_bytes() for row in read_table(task.public / "test.csv")[1:]}
    assert table == images
    sample = blend.public / "sample_submission.csv"
    assert judge(blend, sample, folder / "out.csv").status == "scored"
    assert [row[0] for row in partition_submission(blend, sample).test.rows()[1:]] == list(images)


@pytest.mark.parametrize(
    ("train", "test", "suffix", "test_table", "same_names"),
    [
        ("train/{}.png", "test/{}.png", "", False, False),
        ("train/train/{}.png", "test/test/{}.png", ".png", False, False),
        ("train_images/{}.png", "test_images/{}.png", "", True, True),
        ("images/{}.png", "images/{}.png", ".png", True, False),
    ],
)
def test_ids_that_name_images_become_a_task_of_images(
    train: str, test: str, suffix: str, test_table: bool, same_names: bool, tmp_path: Path
) -> None:
    images = write_triple(tmp_path / "digit-data", train, test, suffix, test_table, same_names)
    task, created = made(tmp_path / "digit-data", into=tmp_path / "task")
    assert task.metric.name == "accuracy" and task.submission.targets == ("label",)
    assert "id names image files, whose paths are in image" in created.findings.facts
    assert not any("not part of the task" in advice for advice in created.findings.advice)
    names = [path.name for path in (task.public / "images").iterdir()]
    assert len(names) == 120 and all(len(name) == len("000000.png") for name in names)
    check_images(task, tmp_path, images)


def test_class_columns_and_labels_called_otherwise_fit_images_too(tmp_path: Path) -> None:
    folder = tmp_path / "digit-data"
    images = write_triple(folder)
    (folder / "train.csv").rename(folder / "labels.csv")
    columns = ["digit 0", "digit 1", "digit 2"]
    write_table(folder / "sample_submission.csv", [["id", *columns], *([name, "0.3", "0.3", "0.4"] for name in images)])
    task, _ = made(folder, into=tmp_path / "task")
    assert task.metric.name == "log_loss" and task.submission.targets == tuple(columns)
    check_images(task, tmp_path, images)


def test_missing_image_of_a_row_is_named(tmp_path: Path) -> None:
    write_triple(tmp_path / "digit-data")
    next((tmp_path / "digit-data" / "test").iterdir()).unlink()
    with pytest.raises(TaskError, match=r"id names 1 files that are not in .*test/"):
        made(tmp_path / "digit-data", into=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def write_parts(folder: Path, with_classes: bool) -> dict[str, bytes]:
    """Digits by class in `train`, and others in `test`, by class or all together; the latter by name."""
    written = write_digits(folder / "train")
    random.Random(0).shuffle(written)
    images = {}
    for number, (path, label) in enumerate(written[TRAIN:]):
        target = folder / "test" / (label if with_classes else "") / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        images[str(number)] = target.read_bytes()
    return images


def test_folder_by_class_and_folder_to_predict_become_a_task(tmp_path: Path) -> None:
    images = write_parts(tmp_path, with_classes=False)
    task, _ = made(None, train=tmp_path / "train", test=tmp_path / "test", into=tmp_path / "task")
    assert (task.submission.id, task.submission.targets, task.metric.name) == ("id", ("label",), "accuracy")
    table = {row[0]: (task.public / row[-1]).read_bytes() for row in read_table(task.public / "test.csv")[1:]}
    assert table == images and task.answers is None


@pytest.mark.parametrize("suffix", ["", ".png"])
@pytest.mark.parametrize("named", [False, True])
def test_sample_beside_the_folders_gives_ids_and_classes(suffix: str, named: bool, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    images = {name + suffix: image for name, image in write_parts(folder, with_classes=False).items()}
    sample = folder / "sample_submission.csv"
    write_table(sample, [["name", "digit_0", "digit_1", "digit_2"], *([name, "1", "0", "0"] for name in images)])
    parts = {"train": folder / "train", "test": folder / "test", "sample": sample}
    task, _ = made(None, into=tmp_path / "task", **parts) if named else made(folder, into=tmp_path / "task")
    assert task.metric.name == "log_loss" and task.submission.id == "name"
    check_images(task, tmp_path, images)


def test_second_folder_by_class_becomes_the_private_rows(tmp_path: Path) -> None:
    write_parts(tmp_path, with_classes=True)
    task, created = made(None, train=tmp_path / "train", test=tmp_path / "test", into=tmp_path / "task")
    assert any("have labels, and are the private ones" in fact for fact in created.findings.facts)
    assert len(read_table(task.public / "test.csv")) == 31
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)


def test_folders_of_parts_are_not_classes(tmp_path: Path) -> None:
    write_triple(tmp_path / "digit-data")
    (tmp_path / "digit-data" / "sample_submission.csv").unlink()
    with pytest.raises(TaskError, match=r"cannot be told by their names.*train\.csv"):
        made(tmp_path / "digit-data", into=tmp_path / "never")
