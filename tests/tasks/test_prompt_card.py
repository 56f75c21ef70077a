"""The task card contains what the model needs and nothing private."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.catalog import find_task
from tasks.prompt_card import data_files, render_card
from tasks.task import Task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return find_task("diabetes", tmp_path)


def test_card_describes_task_data_and_scoring(task: Task) -> None:
    card = render_card(task, task.public)
    assert card.startswith("# Predict how far diabetes progresses in a year\n")
    assert "`rmse`: " in card and "Lower is better." in card
    assert "`train.csv`: 309 rows x 12 columns, " in card
    assert "`./submission.csv`, a CSV file with the columns `patient_id`, `progression`" in card
    assert "`./data/sample_submission.csv`" in card and "No prediction may be left empty." in card
    assert "Predict every row" in card and "evaluate" in card


def test_card_contains_no_thresholds_or_private_names(task: Task) -> None:
    card = render_card(task, task.public)
    lines = task.thresholds
    assert lines is not None
    for secret in (lines.gold, lines.silver, lines.bronze, lines.median, lines.rows):
        assert str(secret) not in re.findall(r"[\d.]+", card)
    for word in ("private", "answers.csv", "leaderboard", "medal", str(task.folder)):
        assert word not in card


def test_row_counts_come_from_the_shown_folder(task: Task, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    shutil.copytree(task.public, seen)
    lines = (seen / "train.csv").read_text().splitlines(keepends=True)
    (seen / "train.csv").write_text("".join(lines[:101]))
    card = render_card(task, seen)
    assert "`train.csv`: 100 rows" in card and "309" not in card


def test_long_lists_are_clipped_and_folders_summed(task: Task, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    (seen / "images").mkdir(parents=True)
    for number in range(100):
        (seen / f"{number:03}.txt").write_bytes(b"x" * 1500)
        (seen / "images" / f"{number}.png").write_bytes(b"")
    (seen / "000.csv").write_text(",".join(f"c{n}" for n in range(50)) + "\n1\n")
    (seen / "001.csv").write_bytes(b"\xff\xfe\x00 no table")
    (seen / "002 gone").symlink_to("nowhere")
    card = render_card(task, seen)
    assert "… and 43 more" in card and "1 rows x 50 columns" in card and "`c11`, … and 38 more" in card
    assert "`000.txt`: 1.5 kB" in card and "`001.csv`: 12 bytes" in card
    assert len(data_files(seen)) == 202 and "images/7.png" in data_files(seen)


def test_card_mentions_allowed_empty_predictions(task: Task) -> None:
    lenient = replace(task, submission=replace(task.submission, may_be_missing=True))
    assert "Predictions may be left empty." in render_card(lenient, task.public)
