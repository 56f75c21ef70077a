"""A copy of the labels in public is found in whatever form; files that reveal nothing are shown."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import random
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from small_tasks import Row, churn, read_table, write_table

from tasks.holdout.blend import make_blend
from tasks.holdout.label_copies import describe_copy, sample_held_out
from tasks.io import archives
from tasks.io.archives import Text, Unreadable, read_texts
from tasks.task import Task, TaskError, load_task
from tests.tasks.clean_tables import count_false_copies


def rows_of(task: Task) -> list[Row]:
    return read_table(task.public / "train.csv")


def whole(task: Task) -> bytes:
    return (task.public / "train.csv").read_bytes()


def pairs(task: Task) -> dict[str, str]:
    return {row[0]: row[3] for row in rows_of(task)[1:]}


def tarred(task: Task) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        archive.add(task.public / "train.csv", "deep/rows.txt")
    return buffer.getvalue()


def zipped_twice(task: Task) -> bytes:
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows", json.dumps(rows_of(task)))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    return outer.getvalue()


def renamed(task: Task) -> bytes:
    words = {"stays": "0", "leaves": "1", "unsure": "2"}
    return "\n".join(["key;klass", *(f"{name};{words[label]}" for name, label in pairs(task).items())]).encode()


def in_order(task: Task) -> bytes:
    return "\n".join(["n,c", *(f"{at},{label}" for at, label in enumerate(pairs(task).values()))]).encode()


def by_columns(task: Task) -> bytes:
    found = pairs(task)
    return json.dumps({"key": dict(enumerate(found)), "class": dict(enumerate(found.values()))}).encode()


def records(task: Task) -> bytes:
    names = rows_of(task)[0]
    return json.dumps([dict(zip(names, row, strict=True)) for row in rows_of(task)[1:]], indent=2).encode()


def some_of_it(task: Task) -> bytes:
    kept = random.Random(1).sample(list(pairs(task).items()), 120)
    return "".join(f"{name}: {label}\n" for name, label in kept).encode()


COPIES: dict[str, Callable[[Task], bytes]] = {
    "notes.txt": whole,
    "notes.md": whole,
    "train.csv.gz": lambda task: gzip.compress(whole(task)),
    "x.bin": lambda task: bz2.compress(whole(task)),
    "x.xz": lambda task: lzma.compress(whole(task)),
    "wide.txt": lambda task: whole(task).decode().encode("utf-16"),
    "all.tar.xz": tarred,
    "all.zip": zipped_twice,
    "folds.csv": renamed,
    "order.csv": in_order,
    "labels.json": lambda task: json.dumps([row[3] for row in rows_of(task)[1:]]).encode(),
    "columns.json": by_columns,
    "records.json": records,
    "meta.json": lambda task: json.dumps(pairs(task)).encode(),
    "two.tsv": lambda task: "".join(f"{name}\t{label}\n" for name, label in pairs(task).items()).encode(),
    "some.yaml": some_of_it,
}


def refused(task: Task, folder: Path) -> str:
    with pytest.raises(TaskError) as caught:
        make_blend(task, 0, folder)
    return str(caught.value)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_labels_is_refused_in_whatever_form(name: str, tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    (task.public / name).write_bytes(COPIES[name](task))
    message = refused(task, tmp_path / "blend")
    assert f"{name}" in message and "is a second copy of the labels of train.csv" in message
    assert f"remove it from public, or write `blend: {{omit: [{name}]}}`" in message


def test_an_unreadable_file_is_refused_unless_listed(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    made = sqlite3.connect(task.public / "rows.db")
    made.execute("create table rows (name, label)")
    made.executemany("insert into rows values (?, ?)", pairs(task).items())
    made.commit()
    made.close()
    assert "rows.db cannot be read, so it may contain labels" in refused(task, tmp_path / "blend")
    (task.public / "rows.db").unlink()
    (task.public / "rows.pkl").write_bytes(pickle.dumps(rows_of(task)))
    assert "or `static: [rows.pkl]`" in refused(task, tmp_path / "blend")
    text = (task.folder / "task.yaml").read_text() + 'blend: {static: [rows.pkl, "notes/*"]}\n'
    (task.folder / "task.yaml").write_text(text)
    assert (make_blend(load_task(task.folder), 0, tmp_path / "blend").public / "rows.pkl").exists()


def test_file_names_that_reveal_labels_are_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    for name, label in pairs(task).items():
        (task.public / "photos" / label).mkdir(parents=True, exist_ok=True)
        (task.public / "photos" / label / f"{name}.png").write_bytes(b"\x89PNG of somebody")
    assert "the names of public files reveal labels" in refused(task, tmp_path / "blend")


def test_numeric_labels_are_found_by_rank_and_by_order(tmp_path: Path) -> None:
    task = churn(tmp_path / "task", metric="rmse", label=lambda draw: f"{draw.random():.12f}", sample="0.5")
    copy = task.public / "rounded.txt"
    copy.write_text("".join(f"{name} {float(label):.3f}\n" for name, label in pairs(task).items()))
    assert "rounded.txt is a second copy" in refused(task, tmp_path / "blend")
    copy.write_text(" ".join(f"{float(label):.12f}" for label in pairs(task).values()))
    assert "in the order of the training rows" in refused(task, tmp_path / "blend")


def test_rows_without_ids_are_found_by_identifying_cells() -> None:
    draw = random.Random(0)
    rows = [[f"{draw.gauss(0, 1):.5f}", draw.choice("ab")] for _ in range(300)]
    labels = [draw.choice("01") for _ in rows]
    copied = [[*row, label] for row, label in zip(rows, labels, strict=True)]
    draw.shuffle(copied)
    known = sample_held_out([str(at) for at in range(300)], [labels], rows, [], "s")
    assert describe_copy(known, "".join(",".join(row) + "\n" for row in copied))
    assert not describe_copy(known, "".join(",".join(row[:-1]) + "\n" for row in copied))


# ---------------------------------------------------------------------------------------- files that reveal nothing


def test_files_that_reveal_nothing_are_shown(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    draw = random.Random(3)
    names = [row[0] for row in rows_of(task)[1:]]
    write_table(task.public / "more.csv", [["customer", "old", "calls"], *([n, draw.choice("01"), "7"] for n in names)])
    (task.public / "more.json").write_text(json.dumps({name: {"calls": draw.randrange(3)} for name in names}))
    (task.public / "paper.pdf").write_bytes(b"%PDF-1.4 \0\1\2")
    (task.public / "figure.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (task.public / "columns.md").write_text("left: stays, leaves or unsure\n")
    with gzip.open(task.public / "more.csv.gz", "wb") as packed:
        packed.write((task.public / "more.csv").read_bytes())
    (task.public / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    blend = make_blend(task, 0, tmp_path / "blend")
    shown = {path.name for path in blend.public.rglob("*") if path.is_file()}
    assert {"more.csv", "more.json", "paper.pdf", "figure.png", "columns.md", "more.csv.gz"} <= shown
    assert ".DS_Store" not in shown and "hidden files are not shown: .DS_Store" in blend.notes


def test_a_table_with_the_ids_of_all_rows_and_no_labels_is_not_a_copy() -> None:
    """Of 120 tables in `tests.benchmarks.leak_alarms` at most 3 may be taken for one."""
    assert count_false_copies(8) == 0


def test_labels_in_a_periodic_order_are_not_searched_in_order() -> None:
    labels = [str(at % 2) for at in range(400)]
    known = sample_held_out([f"name {at}" for at in range(400)], [labels], [], labels, "s")
    assert not describe_copy(known, "\n".join("ab"[at % 2] for at in range(900)))


# -------------------------------------------------------------------------------------------------- reading of files


def test_archives_are_read_to_a_depth_and_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = b"at the bottom"
    for _ in range(archives.MAX_DEPTH):
        packed = gzip.compress(packed)
    (tmp_path / "deep").write_bytes(packed)
    assert [one.text for one in read_texts(tmp_path / "deep", "deep") if isinstance(one, Text)] == ["at the bottom"]
    (tmp_path / "deep").write_bytes(gzip.compress(packed))
    assert list(read_texts(tmp_path / "deep", "deep")) == [Unreadable("deep")]
    monkeypatch.setattr(archives, "MAX_TEXT_BYTES", 1000)
    (tmp_path / "bomb").write_bytes(gzip.compress(b"x" * 10_000_000))
    (found,) = read_texts(tmp_path / "bomb", "bomb")
    assert isinstance(found, Text) and len(found.text) == 1000


def test_a_damaged_archive_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(random.Random(0).randbytes(10_000))[:500])
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4 and nothing more")
    (tmp_path / "noise").write_bytes(bytes(at % 255 + 1 for at in range(9999)))
    for name in ("cut.gz", "cut.zip", "noise"):
        assert list(read_texts(tmp_path / name, name)) == [Unreadable(name)]
