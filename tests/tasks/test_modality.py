"""The modality of a task, from the files that the model sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.catalog import find_task
from tasks.config.recipe import Answer, Recipe
from tasks.modality import column_names, label_values, modality_of
from tasks.task import Task

NUMBERS = "id,age,city,target\n" + "".join(f"{n},{n * 2},Paris,{n % 2}\n" for n in range(60))
SENTENCE = "the service was slow but the food was really very good"
TEXTS = "id,comment,target\n" + "".join(f"{n},{SENTENCE},{n % 2}\n" for n in range(60))


def a_task(**changes: object) -> Task:
    return replace(find_task("digits", Path("/nowhere")), **changes)  # type: ignore[arg-type]


def files(folder: Path, *names: str, **tables: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("names", "tables", "recipe", "expected"),
    [
        ([], {"train": NUMBERS, "test": NUMBERS}, Recipe(), "tabular"),
        ([], {"train": TEXTS}, Recipe(), "text"),
        ([], {"train": NUMBERS}, Recipe(time="age"), "time_series"),
        ([f"train/{n}.jpg" for n in range(30)], {"labels": NUMBERS}, Recipe(), "image"),
        ([f"train/{n}.jpg" for n in range(5)], {"train": NUMBERS}, Recipe(), "tabular"),
        ([f"clips/{n}.wav" for n in range(30)], {"labels": NUMBERS}, Recipe(), "audio"),
        ([f"{kind}/{n}.png" for n in range(30) for kind in ("images", "masks")], {}, Recipe(), "segmentation"),
        ([f"images/{n}.png" for n in range(30)], {}, Recipe(answer=Answer(kind="pixels")), "segmentation"),
        (["model.bin"], {}, Recipe(), ""),
        ([], {}, Recipe(), ""),
    ],
)
def test_the_files_tell_the_modality(
    tmp_path: Path, names: list[str], tables: dict[str, str], recipe: Recipe, expected: str
) -> None:
    assert modality_of(a_task(recipe=recipe), files(tmp_path, *names, **tables)) == expected


@pytest.mark.parametrize("content", ["", "\0\0\0", '"unclosed', "a,b\n1\n2,3,4\n"])
def test_an_odd_table_is_not_an_error(tmp_path: Path, content: str) -> None:
    assert modality_of(a_task(), files(tmp_path, train=content)) == "tabular"
    assert isinstance(column_names(tmp_path), set)


def test_columns_and_labels_are_named_for_the_linter(tmp_path: Path) -> None:
    folder = files(tmp_path, train="id,alcohol,kind\n1,2,malignant\n2,3,benign\n")
    task = a_task()
    assert task.labels is not None
    labels = replace(task.labels, file=folder / "train.csv", targets=("kind",))
    assert column_names(folder) == {"id", "alcohol", "kind"}
    assert {"malignant", "benign"} <= label_values(replace(task, labels=labels))
