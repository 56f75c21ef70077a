"""A task with files in folders and archives is split by a recipe; recipes that do not fit the files are refused."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import pytest
from small_tasks import Row, read_table, write_table

from tasks.holdout.blend import make_blend
from tasks.holdout.split import Split
from tasks.io.path_templates import PathPattern, Template
from tasks.judging.judge import judge
from tasks.leakage.task import read_tables
from tasks.task import Task, TaskError, load_task

NUMBERS = range(100, 200)
RECIPE = 'test: public/test.csv, files: ["train/{name}.png -> test/{name}.png"]'

ZIPPED = RECIPE.replace("]", ', "train.zip!{name}.png -> test.zip!{name}.png"]')


def photos(folder: Path, blend: str = RECIPE, labels: str = "file: public/train.csv", archive: bool = False) -> Task:
    """A task of photographs as a user would lay it out: a table, a folder of files each for train and test."""
    train: list[Row] = [[f"p{n * 7919 % 10007}", str(n % 2)] for n in NUMBERS]
    test: list[Row] = [[f"p{n * 7919 % 10007}", str(n % 2)] for n in range(200, 240)]
    write_table(folder / "public/train.csv", [["name", "label"], *train])
    write_table(folder / "public/test.csv", [["name"], *([row[0]] for row in test)])
    write_table(folder / "public/sample.csv", [["name", "label"], *([row[0], "0.5"] for row in test)])
    write_table(folder / "private/answers.csv", [["name", "label"], *test])
    for side, rows in (("train", train), ("test", test)):
        (folder / "public" / side).mkdir()
        for name, _ in rows:
            (folder / "public" / side / f"{name}.png").write_bytes(f"photograph of {name}".encode())
        if archive:
            with zipfile.ZipFile(folder / "public" / f"{side}.zip", "w") as zipped:
                for name, _ in rows:
                    zipped.writestr(f"{name}.png", name)
    (folder / "description.md").write_text("Which photographs show it?\n")
    (folder / "task.yaml").write_text(
        "id: photos\ndescription: description.md\nmetric: roc_auc\n"
        "data: {public: public/, private: private/}\n"
        "submission: {sample: public/sample.csv, id: name, target: label}\n"
        f"labels: {{{labels}, id: name, target: label}}\nblend: {{{blend}}}\n"
    )
    return load_task(folder)


def refused(task: Task, tmp_path: Path) -> str:
    with pytest.raises(TaskError) as caught:
        make_blend(task, 0, tmp_path / "blend")
    assert not (tmp_path / "blend").exists()
    return str(caught.value).partition("no rows can be held out: ")[2]


def test_user_files_are_stored_once_in_random_order_and_linked(tmp_path: Path) -> None:
    """They were written train first, so dates and inode numbers would reveal rows; the originals stay unchanged."""
    task = photos(tmp_path / "task")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in task.public.rglob("*.png")}
    blends = [make_blend(task, 0, tmp_path / f"b{fold}", Split(0, fold)) for fold in (0, 1, -1)]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in before} == before
    shown = [{path.name: path.stat() for path in blend.public.rglob("*.png")} for blend in blends]
    assert len(shown[0]) == len(list((tmp_path / ".files").iterdir())) == 140
    for name, stats in shown[0].items():
        assert stats.st_ino == shown[1][name].st_ino == shown[2][name].st_ino
        assert (stats.st_mtime, stats.st_mode & 0o777, stats.st_nlink) == (946_684_800, 0o444, 4)
    numbers = [shown[0][path.name].st_ino for path in sorted((tmp_path / "b-1/public/test").iterdir())]
    assert numbers != sorted(numbers)
    assert len(list((blends[0].public / "train").iterdir())) == 100 - blends[0].held_out_rows


def test_archive_is_rewritten_with_the_files_of_its_rows(tmp_path: Path) -> None:
    lines = RECIPE.replace("]", ', "train.zip!{name}.png -> test.zip!{name}.png"]')
    blend = make_blend(photos(tmp_path / "task", lines, archive=True), 0, tmp_path / "b")
    wanted = {row[0] for row in read_table(blend.public / "test.csv")[1:]}
    with zipfile.ZipFile(blend.public / "test.zip") as archive:
        assert {Path(name).stem for name in archive.namelist()} == wanted
        assert archive.namelist() == sorted(archive.namelist())
        assert {(member.date_time, member.compress_type) for member in archive.infolist()} == {
            ((2000, 1, 1, 0, 0, 0), 0)
        }


def test_labels_in_file_names_and_rows_to_predict_in_the_sample(tmp_path: Path) -> None:
    task = photos(tmp_path / "task")
    for name, label in read_table(task.public / "train.csv")[1:]:
        folder = task.public / "train" / ("yes" if label == "1" else "no")
        folder.mkdir(exist_ok=True)
        (task.public / "train" / f"{name}.png").rename(folder / f"{name}.png")
    for table in ("train.csv", "test.csv"):
        (task.public / table).unlink()
    text = (task.folder / "task.yaml").read_text()
    text = text[: text.index("labels:")] + (
        'labels: {file: "files:train/{kind}/{name}.png", id: "{name}", target: kind}\n'
        'blend: {files: ["train/{kind}/{name}.png -> test/{name}.png"], answer: {map: {kind: {"yes": 1, "no": 0}}}}\n'
    )
    (task.folder / "task.yaml").write_text(text)
    blend = make_blend(load_task(task.folder), 0, tmp_path / "b")
    assert blend.held_out_rows == 34 and len(list((blend.public / "test").iterdir())) == 74
    right = {f"p{n * 7919 % 10007}": str(n % 2) for n in range(100, 240)}
    sample = read_table(blend.public / "sample.csv")
    write_table(tmp_path / "s.csv", [sample[0], *([row[0], right[row[0]]] for row in sample[1:])])
    assert judge(blend, tmp_path / "s.csv", tmp_path / "out.csv").score == 1.0
    assert read_tables(load_task(task.folder)) == []  # there are only names, and no columns to check for leaks


def test_extreme_labels_stay_training_rows(tmp_path: Path) -> None:
    task = photos(tmp_path / "task", RECIPE + ", split: {tails: keep}")
    rows = read_table(task.public / "train.csv")
    rows[5][1] = "93963.36"
    write_table(task.public / "train.csv", rows)
    blends = [make_blend(task, 0, tmp_path / f"b{fold}", Split(0, fold)) for fold in range(2)]
    assert "1 rows with extreme labels (93963.4 to 93963.4) stay training rows" in " ".join(blends[0].notes)
    assert all(rows[5] in read_table(blend.public / "train.csv") for blend in blends)
    assert blends[0].labelled_rows == 99


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ("test: public/test.csv", "does not list test/"),
        (RECIPE.replace("png", "jpg") + ', static: ["*.png"]', "p.*.jpg is missing"),
        (RECIPE + ', renumber: {name: "same{i}"}, static: ["test/same1.png"]', "two files would be called test/same1"),
        (RECIPE + ", unit: nobody", "train.csv must have .*'nobody'"),
        (RECIPE + ", side: {extra.csv: nobody}", "extra.csv must have .*'nobody'"),
        (RECIPE + ", also_mark: {extra.csv: {key: name, set: {fold: 1}}}", "extra.csv must have .*name, fold"),
        (RECIPE + ', answer: {map: {label: {"yes": 1}}}', "the label '[01]' of row 'p.*' is not one of yes"),
        (ZIPPED.replace("name}.png -> test.zip", "name}.jpg -> test.zip"), "does not list train.zip!p"),
    ],
)  # fmt: skip
def test_recipe_that_does_not_fit_the_files_is_refused(blend: str, message: str, tmp_path: Path) -> None:
    task = photos(tmp_path / "task", blend, archive="zip" in blend)
    if "extra" in blend:
        write_table(task.public / "extra.csv", [["name"], ["p1"]])
    if "same1" in blend:
        (task.public / "test/same1.png").write_bytes(b"in the way")
    assert re.search(message, refused(task, tmp_path))


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    task = photos(tmp_path / "task")
    rows = read_table(task.public / "train.csv")
    write_table(task.public / "train.csv", [*rows, rows[1]])
    assert "must be unique over train.csv and test.csv together" in refused(task, tmp_path)


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ("files: [no arrow]", "Write `FROM -> TO`"),
        ("renumber: {name: Test}", "Write it as in"),
        ("answer: {set: label}", "belong together"),
        ("answer: {set: label, onehot: label}", "exactly one of"),
        ("test: public/nothing.csv", "does not exist"),
    ],
)
def test_invalid_recipe_line_is_refused_on_loading(blend: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=message):
        photos(tmp_path / "task", blend)


def test_file_that_cannot_be_linked_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    blend = make_blend(photos(tmp_path / "task"), 0, tmp_path / "b")
    assert {path.stat().st_mtime for path in blend.public.rglob("*.png")} == {946_684_800}


def test_templates_are_filled_and_patterns_matched() -> None:
    assert Template("{rec*100+k}").fill({"rec": "7", "k": "3"}) == "703"
    assert Template("Comment").single_field == "Comment" and Template("{a}_{b}").single_field == ""
    pattern = PathPattern("train.zip!train/{date}_{label}.aif")
    assert pattern.archive == "train.zip" and pattern.match("train/2009_1.aif") == {"date": "2009", "label": "1"}
    assert (
        pattern.match("train/deeper/2009_1.aif") is None
        and pattern.fill({"date": "x", "label": "0"}) == "train/x_0.aif"
    )
    assert not PathPattern("")
