"""Every read of private labels is recorded, and the canary proves a leak."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tasks.catalog import find_task
from tasks.holdout.blend import load_blend, make_blend
from tasks.holdout.private_labels import PREFIX, files_with_canary, plant_canary, read_labels


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    path.write_text("id,label\n1,0\n2,1\n")
    plant_canary(path, "seed")
    return path


def test_every_read_is_recorded_first(labels: Path) -> None:
    assert read_labels(labels, "judging").rows() == [["id", "label"], ["1", "0"], ["2", "1"]]
    read_labels(labels, "grading")
    entries = [json.loads(line) for line in (labels.parent / "access.jsonl").read_text().splitlines()]
    assert [(entry["for"], entry["file"], entry["pid"]) for entry in entries] == [
        ("judging", "answers.csv", os.getpid()),
        ("grading", "answers.csv", os.getpid()),
    ]
    assert (labels.parent / "access.jsonl").stat().st_mode & 0o777 == 0o600


def test_canary_is_in_the_file_and_never_scored(labels: Path) -> None:
    assert PREFIX in labels.read_text()
    assert PREFIX not in str(read_labels(labels, "a test").rows())
    assert (labels.parent / "canary").read_text() in labels.read_text()


def test_files_with_the_canary_are_found(labels: Path, tmp_path: Path) -> None:
    honest, stolen, pipe, link = (tmp_path / name for name in ("honest.csv", "stolen.csv", "pipe", "link"))
    honest.write_text("id,label\n1,0\n")
    stolen.write_bytes(b"\xff\n" + labels.read_bytes())
    os.mkfifo(pipe)
    link.symlink_to(labels)
    assert files_with_canary(tmp_path, [honest, stolen, pipe, link, tmp_path, tmp_path / "none"]) == [stolen]
    assert files_with_canary(tmp_path / "elsewhere", [stolen]) == []


def test_blend_has_a_canary_outside_public(tmp_path: Path) -> None:
    task = find_task("digits", tmp_path)
    blend = make_blend(task, 0, tmp_path / "blend")
    canary = (blend.private_labels / "canary").read_text()
    assert canary in (blend.private_labels / "answers.csv").read_text()
    assert files_with_canary(blend.private_labels, blend.public.rglob("*")) == []
    again = make_blend(task, 0, tmp_path / "again")
    assert (again.private_labels / "answers.csv").read_bytes() == (blend.private_labels / "answers.csv").read_bytes()
    assert load_blend(tmp_path / "blend").held_out_rows == blend.held_out_rows
