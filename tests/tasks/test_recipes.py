"""A user's own folder of files is blended by a recipe, and one that would tell or leave something out is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from small_tasks import Row, read_table, write_table

from tasks.holdout.blend import make_blend
from tasks.holdout.recipe import Split
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
    return str(caught.value).partition("cannot be blended: ")[2]


def test_files_of_a_users_own_are_stored_once_in_random_order_and_linked_in_every_fold(tmp_path: Path) -> None:
    """They were written train first, so their dates and numbers would tell; his files stay as they are."""
    task = photos(tmp_path / "task")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in task.public.rglob("*.png")}
    blends = [make_blend(task, 0, tmp_path / f"b{part}", Split(0, part)) for part in (0, 1, -1)]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in before} == before
    shown = [{path.name: path.stat() for path in blend.public.rglob("*.png")} for blend in blends]
    assert len(shown[0]) == len(list((tmp_path / ".files").iterdir())) == 140
    for name, found in shown[0].items():
        assert found.st_ino == shown[1][name].st_ino == shown[2][name].st_ino
        assert (found.st_mtime, found.st_mode & 0o777, found.st_nlink) == (946_684_800, 0o444, 4)
    numbers = [shown[0][path.name].st_ino for path in sorted((tmp_path / "b-1/public/test").iterdir())]
    assert numbers != sorted(numbers)
    assert len(list((blends[0].public / "train").iterdir())) == 100 - blends[0].held_out_rows


def test_an_archive_is_written_anew_with_the_files_of_its_rows(tmp_path: Path) -> None:
    lines = RECIPE.replace("]", ', "train.zip!{name}.png -> test.zip!{name}.png"]')
    blend = make_blend(photos(tmp_path / "task", lines, archive=True), 0, tmp_path / "b")
    asked = {row[0] for row in read_table(blend.public / "test.csv")[1:]}
    with zipfile.ZipFile(blend.public / "test.zip") as archive:
        assert {Path(name).stem for name in archive.namelist()} == asked
        assert archive.namelist() == sorted(archive.namelist())
        assert {(one.date_time, one.compress_type) for one in archive.infolist()} == {((2000, 1, 1, 0, 0, 0), 0)}


def test_names_may_hold_the_labels_and_the_sample_the_rows_to_predict(tmp_path: Path) -> None:
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
    assert read_tables(load_task(task.folder)) == []  # nothing but names: the sentinel has no columns to look at


def test_labels_so_far_out_that_one_outweighs_all_others_stay_training_rows(tmp_path: Path) -> None:
    task = photos(tmp_path / "task", RECIPE + ", split: {tails: keep}")
    rows = read_table(task.public / "train.csv")
    rows[5][1] = "93963.36"
    write_table(task.public / "train.csv", rows)
    blends = [make_blend(task, 0, tmp_path / f"b{part}", Split(0, part)) for part in range(2)]
    assert "1 rows with far labels (93963.4 to 93963.4) stay training rows" in " ".join(blends[0].notes)
    assert all(rows[5] in read_table(blend.public / "train.csv") for blend in blends)
    assert blends[0].labelled_rows == 99


@pytest.mark.parametrize(
    ("blend", "says"),
    [
        ("test: public/test.csv", "no line of `blend:` speaks of test/"),
        (RECIPE.replace("png", "jpg") + ', static: ["*.png"]', "p.*.jpg is not there, and a row speaks of it"),
        (RECIPE + ', renumber: {name: "same{i}"}, static: ["test/same1.png"]', "two files would be called test/same1"),
        (RECIPE + ", unit: nobody", "train.csv needs one column 'nobody'"),
        (RECIPE + ", side: {extra.csv: nobody}", "extra.csv needs one column 'nobody'"),
        (RECIPE + ", also_mark: {extra.csv: {key: name, set: {fold: 1}}}", "extra.csv needs the columns name, fold"),
        (RECIPE + ', answer: {map: {label: {"yes": 1}}}', "the label '[01]' of row 'p.*' is none of yes"),
        (ZIPPED.replace("name}.png -> test.zip", "name}.jpg -> test.zip"), "no line of `blend:` speaks of train.zip!p"),
    ],
)  # fmt: skip
def test_a_recipe_that_does_not_fit_the_files_is_refused(blend: str, says: str, tmp_path: Path) -> None:
    import re

    task = photos(tmp_path / "task", blend, archive="zip" in blend)
    if "extra" in blend:
        write_table(task.public / "extra.csv", [["name"], ["p1"]])
    if "same1" in blend:
        (task.public / "test/same1.png").write_bytes(b"in the way")
    assert re.search(says, refused(task, tmp_path))


def test_ids_given_twice_by_a_recipe_are_refused(tmp_path: Path) -> None:
    task = photos(tmp_path / "task")
    rows = read_table(task.public / "train.csv")
    write_table(task.public / "train.csv", [*rows, rows[1]])
    assert "must be unique over train.csv and test.csv together" in refused(task, tmp_path)


@pytest.mark.parametrize(
    ("blend", "says"),
    [
        ("files: [no arrow]", "Write `FROM -> TO`"),
        ("renumber: {name: Test}", "Write it as in"),
        ("answer: {set: label}", "a set needs the count"),
        ("answer: {set: label, onehot: label}", "say one of"),
        ("test: public/nothing.csv", "does not exist"),
    ],
)
def test_a_line_that_cannot_be_meant_is_told_at_once(blend: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=says):
        photos(tmp_path / "task", blend)


def test_a_file_that_is_not_ours_to_link_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    blend = make_blend(photos(tmp_path / "task"), 0, tmp_path / "b")
    assert {path.stat().st_mtime for path in blend.public.rglob("*.png")} == {946_684_800}


def test_names_are_made_of_fields_and_read_again() -> None:
    assert Template("{rec*100+k}").fill({"rec": "7", "k": "3"}) == "703"
    assert Template("Comment").single_field == "Comment" and Template("{a}_{b}").single_field == ""
    spot = PathPattern("train.zip!train/{date}_{label}.aif")
    assert spot.archive == "train.zip" and spot.match("train/2009_1.aif") == {"date": "2009", "label": "1"}
    assert spot.match("train/deeper/2009_1.aif") is None and spot.fill({"date": "x", "label": "0"}) == "train/x_0.aif"
    assert not PathPattern("")
