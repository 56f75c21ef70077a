"""Files that belong to no row: copied once for all splits of a task, with their progress reported."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tasks.errors import TaskError
from tasks.holdout.blend import make_blend
from tasks.holdout.split import Split
from tasks.io.folder import scan
from tasks.progress import counted, listening
from tests.tasks.small_tasks import churn

FILES = 300


def with_many_files(folder: Path) -> Path:
    """300 files of 1,000 bytes beside the tables of a small task."""
    for number in range(FILES):
        path = folder / f"public/scans/{number % 7}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" + "x" * 990)
    return folder


def test_all_splits_of_a_task_share_one_copy_of_its_static_files(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    with_many_files(tmp_path / "task")
    blends = [make_blend(task, 0, tmp_path / "data" / f"split{fold}", Split(fold=fold)) for fold in range(3)]
    name = "scans/3/3.txt"
    inodes = {(blend.public / name).stat().st_ino for blend in blends}
    assert len(inodes) == 1
    assert (task.public / name).stat().st_ino not in inodes  # an edit of the user's own file changes no run
    assert (blends[2].public / name).read_text() == (task.public / name).read_text()


def test_a_changed_file_is_copied_again(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    first = make_blend(task, 0, tmp_path / "data" / "one")
    changed = task.public / "notes/read_me.txt"
    changed.write_text("Now of some interest.\n")
    second = make_blend(task, 1, tmp_path / "data" / "two")
    assert (first.public / "notes/read_me.txt").read_text() == "Nothing of interest.\n"
    assert (second.public / "notes/read_me.txt").read_text() == "Now of some interest.\n"


def test_copying_reports_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.progress._REPORT_SECONDS", 0.0)
    task = churn(tmp_path / "task")
    with_many_files(tmp_path / "task")
    heard: list[str] = []
    with listening(heard.append):
        make_blend(task, 0, tmp_path / "data" / "split")
    assert {"listing the files", "reading the data", "copying files", "sealing the data"} <= set(heard)
    assert any(text.startswith("copying files, 64 of 3") for text in heard)
    assert "listing the files, 64" in heard


def test_a_copy_that_fails_midway_is_never_taken_as_whole(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    with_many_files(tmp_path / "task")
    large = task.public / "scans/large.txt"
    large.write_bytes(b"x\n" * 1_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(TaskError, match="cannot be prepared"):
            make_blend(task, 0, tmp_path / "data" / "split")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "data" / "split").exists()
    blend = make_blend(task, 0, tmp_path / "data" / "split")
    assert (blend.public / "scans/large.txt").read_bytes() == large.read_bytes()
    scans = [path.relative_to(task.public) for path in (task.public / "scans").rglob("*.txt")]
    assert all((blend.public / path).read_bytes() == (task.public / path).read_bytes() for path in scans)


def test_counted_gives_every_item_whether_or_not_somebody_listens() -> None:
    items = list(range(1000))
    assert list(counted(items, "counting")) == items
    with listening(lambda _: None):
        assert list(counted(items, "counting")) == items


def test_a_scan_lists_files_as_a_walk_does(tmp_path: Path) -> None:
    with_many_files(tmp_path)
    (tmp_path / "public/a-b").mkdir()
    (tmp_path / "public/a-b/one").write_text("1")
    (tmp_path / "public/a/deep").mkdir(parents=True)
    (tmp_path / "public/a/deep/two").write_text("22")
    (tmp_path / "public/link").symlink_to(tmp_path / "public/a-b/one")
    (tmp_path / "public/folder").symlink_to(tmp_path / "public/a")
    os.mkfifo(tmp_path / "public/pipe")
    found = [(name, size) for name, size in scan(tmp_path / "public")]
    walked = sorted(path for path in (tmp_path / "public").rglob("*") if path.is_file())
    assert found == [(path.relative_to(tmp_path / "public").as_posix(), path.stat().st_size) for path in walked]
    assert ("link", 1) in found


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    (task.public / "more").symlink_to(task.public / "notes")
    with pytest.raises(TaskError, match="more is a link to a folder"):
        make_blend(task, 0, tmp_path / "data" / "split")
