"""Preparation checks its input first, resumes after an interruption, and reports every differing checksum."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from raw_files import raw

from tasks.catalog import find_task, list_competitions, list_tasks
from tasks.mlebench import prepare as prepare_module
from tasks.mlebench.facts import competitions
from tasks.mlebench.official_package import how_to_install, interpreter, official_report
from tasks.mlebench.prepare import prepare
from tasks.task import TaskError

SPOOKY, RETINA = "spooky-author-identification", "aptos2019-blindness-detection"


def silent(*_: object) -> None:
    """Progress that is not shown."""


class Stopped(Exception):
    """An interruption."""


def test_an_unprepared_competition_says_how_to_prepare_it(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=f"harness prepare {SPOOKY}"):
        find_task(SPOOKY, tmp_path)
    (tmp_path / "data" / SPOOKY / "prepared.part").mkdir(parents=True)
    with pytest.raises(TaskError, match="harness prepare"):
        find_task(SPOOKY, tmp_path)
    with pytest.raises(TaskError, match="Did you mean spooky-author-identification"):
        find_task("spooky-author-identificaton", tmp_path)


def test_every_differing_file_is_reported_with_both_checksums(tmp_path: Path) -> None:
    files = raw(SPOOKY, tmp_path / "kaggle")
    with pytest.raises(TaskError) as caught:
        prepare(SPOOKY, tmp_path, files, silent)
    for name, expected in competitions()[SPOOKY].md5.items():
        if name != "zip":
            assert f"{name}: expected md5 {expected}, got " in str(caught.value)
    assert "--accept-differences" in str(caught.value)
    assert not (tmp_path / "data" / SPOOKY / "prepared").exists()
    done = prepare(SPOOKY, tmp_path, files, silent, accepts_differences=True)
    assert len(done.differences) == 4
    assert find_task(SPOOKY, tmp_path).competition == SPOOKY


def test_kaggles_zip_is_checked_unpacked_and_prepared(tmp_path: Path) -> None:
    files = raw(SPOOKY, tmp_path / "kaggle")
    archive = tmp_path / "data" / SPOOKY / "raw" / f"{SPOOKY}.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as outer:
        outer.write(files / "train.zip", "train.zip")
    with pytest.raises(TaskError, match="not the file of the benchmark"):
        prepare(SPOOKY, tmp_path, None, silent)
    done = prepare(SPOOKY, tmp_path, None, silent, accepts_differences=True)
    assert done.differences[0].file == f"{SPOOKY}.zip"
    assert (done.folder / "prepared" / "public" / "train.csv").exists()
    sizes = {timing.what: timing.size for timing in done.timings}
    assert not done.was_resumed
    assert sizes[f"unpacking {SPOOKY}.zip"] == done.raw_size == (files / "train.zip").stat().st_size
    assert sizes["writing public/train.csv"] == (done.folder / "prepared" / "public" / "train.csv").stat().st_size


def test_a_truncated_zip_is_reported(tmp_path: Path) -> None:
    archive = tmp_path / f"{SPOOKY}.zip"
    archive.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(TaskError, match="truncated"):
        prepare(SPOOKY, tmp_path, archive, silent)
    with pytest.raises(TaskError, match="download it from Kaggle"):
        prepare(SPOOKY, tmp_path, None, silent)


def test_preparation_resumes_after_an_interruption(tmp_path: Path) -> None:
    files = raw(RETINA, tmp_path / "kaggle")

    def interrupt(step: str, *_: int) -> None:
        if step.startswith("writing public/sample"):
            raise Stopped

    with pytest.raises(Stopped):
        prepare(RETINA, tmp_path, files, interrupt, accepts_differences=True)
    part = tmp_path / "data" / RETINA / "prepared.part"
    before = {path: path.stat().st_ino for path in (part / "public" / "test_images").iterdir()}
    assert before
    done = prepare(RETINA, tmp_path, files, silent, accepts_differences=True)
    after = done.folder / "prepared" / "public" / "test_images"
    assert {path.name: path.stat().st_ino for path in after.iterdir()} == {
        path.name: inode for path, inode in before.items()
    }
    assert not part.exists()
    placed = next(one for one in done.timings if one.what == "placing public/test_images")
    assert placed.size == sum(path.stat().st_size for path in after.iterdir()) and placed.seconds > 0
    assert done.was_resumed


@pytest.mark.parametrize("stopped_at", ["writing public/sample", "setting permissions"])
def test_changed_raw_files_restart_an_interrupted_preparation(stopped_at: str, tmp_path: Path) -> None:
    files = raw(RETINA, tmp_path / "kaggle")

    def interrupt(step: str, *_: int) -> None:
        if step.startswith(stopped_at):
            raise Stopped

    with pytest.raises(Stopped):
        prepare(RETINA, tmp_path, files, interrupt, accepts_differences=True)
    public = tmp_path / "data" / RETINA / "prepared.part" / "public"
    image = next((public / "train_images").iterdir())
    (public / "stale.txt").write_text("old")
    changed = files / "train_images" / image.name
    size = changed.stat().st_size
    changed.unlink()
    changed.write_bytes(b"y" * size)
    steps: list[str] = []
    done = prepare(RETINA, tmp_path, files, lambda step, *_: steps.append(step), accepts_differences=True)
    assert any(f"train_images/{image.name}" in step and "starting over" in step for step in steps)
    prepared = done.folder / "prepared"
    assert (prepared / "public" / "train_images" / image.name).read_bytes() == b"y" * size
    assert not (prepared / "public" / "stale.txt").exists() and not (prepared / "raw.json").exists()


def test_an_interruption_after_setting_permissions_does_not_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = raw(RETINA, tmp_path / "kaggle")
    set_permissions = prepare_module.set_permissions

    def set_then_stop(prepared: Path) -> None:
        set_permissions(prepared)
        raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(prepare_module, "set_permissions", set_then_stop)
        prepare(RETINA, tmp_path, files, silent, accepts_differences=True)
    steps: list[str] = []
    prepare(RETINA, tmp_path, files, lambda step, *_: steps.append(step), accepts_differences=True)
    assert not [step for step in steps if "starting over" in step]


def test_a_damaged_archive_among_the_raw_files_is_reported(tmp_path: Path) -> None:
    files = raw(SPOOKY, tmp_path / "kaggle")
    archive = files / "train.zip"
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(TaskError, match=r"train\.zip is damaged .*: delete it and download it again"):
        prepare(SPOOKY, tmp_path, files, silent)


def test_a_file_missing_from_the_download_is_reported(tmp_path: Path) -> None:
    files = raw(RETINA, tmp_path / "kaggle")
    next((files / "train_images").iterdir()).unlink()
    with pytest.raises(TaskError, match="incomplete"):
        prepare(RETINA, tmp_path, files, silent, accepts_differences=True)
    shutil.rmtree(files / "train_images")
    with pytest.raises(TaskError, match="train_images"):
        prepare(RETINA, tmp_path, files, silent, accepts_differences=True)


def test_too_little_disk_space_is_reported_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = raw(SPOOKY, tmp_path / "kaggle")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(TaskError, match=r"preparing needs about .* GB, 0\.0 GB are free"):
        prepare(SPOOKY, tmp_path, files, silent)
    assert not (tmp_path / "data" / SPOOKY / "prepared.part").exists()


def test_an_archive_with_paths_outside_its_folder_is_refused(tmp_path: Path) -> None:
    files = tmp_path / "kaggle"
    files.mkdir()
    with zipfile.ZipFile(files / "train.zip", "w") as archive:
        archive.writestr("../../evil.csv", "x")
    with pytest.raises(TaskError, match="outside its folder"):
        prepare(SPOOKY, tmp_path, files, silent)


def test_tasks_list_prepared_competitions_and_splits_list_all(tmp_path: Path) -> None:
    assert SPOOKY not in {row.name for row in list_tasks(tmp_path)}
    assert len(list_competitions("low", tmp_path)) == 22
    prepare(SPOOKY, tmp_path, raw(SPOOKY, tmp_path / "kaggle"), silent, accepts_differences=True)
    row = next(row for row in list_tasks(tmp_path) if row.name == SPOOKY)
    assert (row.prepared, row.split, row.category) == (True, "low", "Text Classification")
    with pytest.raises(TaskError, match="no split 'lowest'"):
        list_competitions("lowest", tmp_path)


# ------------------------------------------------------------------------------------------- the official package

OFFICIAL = """
import json
from pathlib import Path


class Competition:
    def __init__(self, name, data):
        self.id, self.description = name, "# The official words"
        self.public_dir = data / name / "prepared" / "public"
        self.private_dir = data / name / "prepared" / "private"


class Registry:
    data = None

    def set_data_dir(self, data):
        self.data = data
        return self

    def get_competition(self, name):
        return Competition(name, self.data)


registry = Registry()
"""


def install_package(home: Path) -> None:
    """A stand-in for the official package, which is on no index, in the environment where it is expected."""
    package = home / "package" / "mlebench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "registry.py").write_text(OFFICIAL)
    (package / "data.py").write_text(
        "def download_and_prepare_dataset(competition, keep_raw):\n"
        "    for folder in (competition.public_dir, competition.private_dir):\n        folder.mkdir(parents=True)\n"
        "    for path in (competition.private_dir / 'test.csv', competition.public_dir / 'sample_submission.csv'):\n"
        "        path.write_text('id,score\\n1,0.5\\n')\n"
    )
    (package / "grade.py").write_text(
        "class Report:\n    def __init__(self, **kw): self.kw = kw\n    def to_dict(self): return self.kw\n"
        "def grade_csv(path, competition):\n"
        "    keys = 'any_medal gold_medal silver_medal bronze_medal above_median valid_submission is_lower_better'\n"
        "    lines = 'gold_threshold silver_threshold bronze_threshold median_threshold'\n"
        "    return Report(competition_id=competition.id, score=0.25, submission_exists=path.is_file(),\n"
        "                  created_at='now', submission_path=str(path), **dict.fromkeys(keys.split(), False),\n"
        "                  **dict.fromkeys(lines.split(), 0.5))\n"
    )
    python = home / "mlebench" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={home / "package"} exec {sys.executable} "$@"\n')
    python.chmod(0o755)


def test_without_the_official_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    assert interpreter(tmp_path) is None
    with pytest.raises(TaskError, match="mlebench") as caught:
        prepare("us-patent-phrase-to-phrase-matching", tmp_path, None, silent)
    assert "pandas<3" in str(caught.value) and str(tmp_path / "mlebench") in how_to_install(tmp_path)


def test_the_official_package_prepares_and_grades_other_competitions(tmp_path: Path) -> None:
    from tasks.judging.grade import run_grade

    install_package(tmp_path)
    name = "us-patent-phrase-to-phrase-matching"
    done = prepare(name, tmp_path, None, silent, accepts_differences=True)
    task = find_task(name, tmp_path)
    assert task.description == "# The official words"
    assert done.differences
    (tmp_path / "s.csv").write_text("id,score\n1,0.5\n")
    report = run_grade(task.path, tmp_path / "s.csv")
    assert (report.score, report.competition_id, report.submission_exists) == (0.25, name, True)
    assert not official_report(name, None, tmp_path / "data")["submission_exists"]
