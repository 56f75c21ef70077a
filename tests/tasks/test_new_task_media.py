"""Folders of images by class, columns of paths and columns of text become tasks; file names tell no labels."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.data_overview import render_overview
from tasks.errors import TaskError
from tasks.modality import modality_of
from tasks.prompt_card import render_card
from tests.tasks.image_folders import write_digits
from tests.tasks.new_tasks import made, perfect_scores


def test_folder_of_images_by_class_becomes_a_task(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits")
    (tmp_path / "digits" / "digit 0" / "notes.db").write_bytes(b"x")
    task, created = made(tmp_path / "digits", into=tmp_path / "task")
    assert task.metric.name == "accuracy"
    assert "120 image files in 3 folders, whose names are the labels" in created.findings.facts
    train = read_table(task.public / "train.csv")
    assert train[0] == ["row_id", "image", "label"]
    assert {row[2] for row in train[1:]} == {"digit 0", "digit 1", "digit 2"}
    assert all((task.public / row[1]).is_file() and "digit" not in row[1] for row in train[1:])
    blend, judged, graded = perfect_scores(task, tmp_path / "s")
    assert judged == graded == 1.0 and modality_of(task, blend.public) == "image"
    card = render_card(task, blend.public)
    assert "`image` is the path of a file below `./data`" in card and "8x8 in" in card
    assert "120 files .png" in render_overview(blend.public, ["label"], "sample_submission.csv")


def test_table_of_paths_becomes_a_task(tmp_path: Path) -> None:
    written = write_digits(tmp_path / "pictures")
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = [(path.relative_to(tmp_path), number % 5, label) for number, (path, label) in enumerate(written)]
        csv.writer(file).writerows([("file", "site", "kind"), *rows])
    task, created = made(tmp_path / "labels.csv", "kind", metric="log_loss", group="site")
    assert "file has paths of image files" in created.findings.facts
    assert len(list((task.public / "images").iterdir())) == 120
    blend, judged, _ = perfect_scores(task, tmp_path / "s")
    assert judged == pytest.approx(0.0, abs=1e-9)
    shown = read_table(blend.public / "test.csv")
    assert all((blend.public / row[1]).is_file() for row in shown[1:])
    written[7][0].unlink()
    with pytest.raises(TaskError, match=r"file names 1 files that are not in .*digit 0/0_7\.png"):
        made(tmp_path / "labels.csv", "kind", into=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_copies_of_images_are_reported(tmp_path: Path) -> None:
    written = write_digits(tmp_path / "digits")
    written[1][0].write_bytes(written[0][0].read_bytes())
    _, created = made(tmp_path / "digits", into=tmp_path / "task")
    assert any(advice.startswith("1 image files are equal to others") for advice in created.findings.advice)


def sentences(label: str, draw: random.Random) -> str:
    words = {"sport": "ball goal team match", "food": "salt oven soup bread"}[label].split()
    return " ".join(draw.choices([*words, "the", "and", "with", "many", "a"], k=14))


def test_folder_of_texts_and_a_column_of_text_become_tasks(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [(label, sentences(label, draw)) for label in ("sport", "food") for _ in range(60)]
    for number, (label, text) in enumerate(rows):
        (tmp_path / "texts" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / label / f"{number}.txt").write_text(f"{text},\n{text}")
    task, _ = made(tmp_path / "texts", into=tmp_path / "folder-task")
    assert read_table(task.public / "train.csv")[0] == ["row_id", "text", "label"]
    assert modality_of(task, task.public) == "text"
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("kind", "words"), *rows])
    task, _ = made(tmp_path / "texts.csv", "kind")
    assert "`words`: text, 14 words on average, at most" in task.description
    overview = render_overview(task.public, ["kind"], "sample_submission.csv")
    assert "text of " in overview and "characters" in overview
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)


@pytest.mark.parametrize("suffix", [".png", ""])
def test_names_of_files_in_a_subfolder_are_recognised(suffix: str, tmp_path: Path) -> None:
    written = write_digits(tmp_path / "pictures")
    (tmp_path / "pictures" / "flat").mkdir()
    for path, _ in written:
        path.rename(tmp_path / "pictures" / "flat" / path.name)
    rows = [(path.stem + suffix, label) for path, label in written]
    with (tmp_path / "pictures" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("picture", "kind"), *rows])
    task, created = made(tmp_path / "pictures" / "labels.csv", "kind", into=tmp_path / "task")
    assert "picture has paths of image files in flat/" in created.findings.facts
    train = read_table(task.public / "train.csv")
    assert all((task.public / row[1]).is_file() and row[1].startswith("images/") for row in train[1:])
    (tmp_path / "pictures" / "flat" / written[0][0].name).unlink()
    with pytest.raises(TaskError, match=r"picture names 1 files that are not in .*flat/0_0\.png"):
        made(tmp_path / "pictures" / "labels.csv", "kind", into=tmp_path / "never")


def test_empty_masks_are_answers(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [[f"{draw.random():.3f}", f"{draw.randint(1, 9)} 2 20 4" if draw.random() < 0.7 else ""] for _ in range(200)]
    write_table(tmp_path / "d.csv", [["x", "mask"], *rows])
    task, _ = made(tmp_path / "d.csv", "mask", metric="dice")
    assert len(read_table(task.public / "train.csv")) + len(read_table(task.public / "test.csv")) == 202
    assert task.submission.may_be_missing
    assert perfect_scores(task, tmp_path / "s")[1:] == (1.0, 1.0)


@pytest.mark.parametrize("told", ["model", "nothing"])
def test_metadata_of_photos_that_tells_the_class_is_reported(told: str, tmp_path: Path) -> None:
    from PIL import Image

    for number in range(90):
        label, exif = ("cat", "dog")[number % 2], Image.Exif()
        exif[0x0110] = f"camera {label}" if told == "model" else f"camera {number % 3}"
        exif[0x0132] = f"2024:01:01 10:00:{number % 60:02d}"
        path = tmp_path / "pets" / label / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(path, exif=exif)
    _, created = made(tmp_path / "pets")
    advice = [one for one in created.findings.advice if "EXIF" in one]
    assert len(advice) == (told == "model") and all("Model" in one and "100%" in one for one in advice)
