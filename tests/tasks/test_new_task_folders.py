"""Folders are told apart by words in their names, and only what names an image is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_tasks import read_table, write_table

from tasks.errors import TaskError
from tasks.new_task.find_tables import find_tables
from tasks.new_task.media import part_of
from tests.tasks.image_folders import write_digits
from tests.tasks.new_tasks import made


def test_parts_are_words_of_a_name() -> None:
    names = ("train_images", "trainImages", "trainset", "Testing", "stage1_test", "val")
    assert list(map(part_of, names)) == ["train", "train", "train", "test", "test", "val"]
    assert not any(map(part_of, ("latest", "terrain", "valley", "contest", "constraints", "trainers", "attestation")))


def test_tables_are_found_by_whole_words_of_their_names(tmp_path: Path) -> None:
    found = {"train_2016.csv": "train", "Test.csv.zip": "test", "sampleSubmission.csv": "sample"}
    for name in (*found, "constraints.csv", "latest.csv", "resampled.csv", "train_sample.csv", "testimonials.csv"):
        (tmp_path / name).touch()
    tables = find_tables(tmp_path)
    assert tables is not None
    assert {name: getattr(tables, part).name for name, part in found.items()} == {name: name for name in found}
    (tmp_path / "train_2016.csv").unlink()
    (tmp_path / "train_sample.csv").unlink()
    assert find_tables(tmp_path) is None


def spread(folder: Path, names: tuple[str, ...], suffix: str = ".png") -> list[Path]:
    """Images in subfolders, in turn."""
    paths = []
    for number, (path, _) in enumerate(write_digits(folder.parent / f"{folder.name}-digits")):
        target = folder / names[number % len(names)] / f"{number}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        paths.append(path.rename(target))
    return paths


@pytest.mark.parametrize("names", [("train", "val"), ("train", "valid", "test"), ("images", "masks")])
def test_folders_called_like_parts_are_not_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    spread(tmp_path / "data", names)
    with pytest.raises(TaskError, match="no subfolder of files for each class"):
        made(tmp_path / "data", into=tmp_path / "never")


def test_class_with_a_single_file_is_reported(tmp_path: Path) -> None:
    paths = spread(tmp_path / "data", ("cat", "dog"))
    (tmp_path / "data" / "fox").mkdir()
    paths[0].rename(tmp_path / "data" / "fox" / "0.png")
    _, created = made(tmp_path / "data")
    assert "left out folders with fewer than 2 files: fox/" in created.findings.facts


@pytest.mark.parametrize("names", [("batch1", "batch2"), ("cat", "fox")])
def test_subfolders_of_test_are_labels_only_where_they_are_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    spread(tmp_path / "train", ("cat", "dog"))
    spread(tmp_path / "test", names)
    parts = {"train": tmp_path / "train", "test": tmp_path / "test"}
    if "cat" in names:
        with pytest.raises(TaskError, match="train has no class 'fox'"):
            made(None, into=tmp_path / "never", **parts)
        return
    task, created = made(None, **parts)
    assert task.answers is None and "label" not in read_table(task.public / "test.csv")[0]
    assert any("the subfolders of test are not labels" in guess for guess in created.findings.guesses)


def test_sample_may_name_texts_with_their_suffix_and_images_by_path(tmp_path: Path) -> None:
    for name, kind in (("texts", ".txt"), ("images", ".png")):
        train, test = tmp_path / name / "train", tmp_path / name / "test"
        spread(train, ("cat", "dog"), kind)
        paths = [
            path.relative_to(test).as_posix() for path in spread(test, ("a", "b") if kind == ".png" else ("",), kind)
        ]
        write_table(tmp_path / name / "sample.csv", [["file", "label"], *([path, "cat"] for path in paths)])
        task, _ = made(None, train=train, test=test, sample=tmp_path / name / "sample.csv")
        assert task.submission.id == "file"
        assert sorted(row[0] for row in read_table(task.submission.sample)[1:]) == sorted(paths)


def test_numbers_that_happen_to_name_images_stay_numbers(tmp_path: Path) -> None:
    spread(tmp_path / "data", ("images",))
    rows = [[str(number), str(number % 40), str(119 - number % 60)] for number in range(120)]
    write_table(tmp_path / "data" / "table.csv", [["picture", "age", "price"], *rows])
    task, _ = made(tmp_path / "data" / "table.csv", "price", metric="rmse")
    header, first, *_ = read_table(task.public / "train.csv")
    assert first[header.index("picture")].startswith("images/")
    assert float(first[header.index("age")]) < 40 and float(first[header.index("price")]) < 120


def test_file_that_is_not_an_image_is_never_copied(tmp_path: Path) -> None:
    paths = spread(tmp_path / "data", ("images",))
    (tmp_path / "key").write_text("secret")
    cells = [path.relative_to(tmp_path / "data").as_posix() for path in paths]
    rows = [[cell, str(number % 2)] for number, cell in enumerate([*cells[:-1], str(tmp_path / "key")])]
    write_table(tmp_path / "data" / "table.csv", [["picture", "kind"], *rows])
    with pytest.raises(TaskError, match=r"picture names 1 files that are not in .*key"):
        made(tmp_path / "data" / "table.csv", "kind", into=tmp_path / "never")
