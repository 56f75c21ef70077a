"""The list of a workspace's files: what changed last, code with its hash and constants, bounded in time and text."""

from __future__ import annotations

import os
import time
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.file_list import MOST_LISTED, constants, list_files


def write(path: Path, text: str, changed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (0, changed))


def test_code_has_its_hash_and_constants_and_what_changed_last_comes_last(tmp_path: Path) -> None:
    write(tmp_path / "src" / "train.py", "SEED = 42\nLR: float = 3e-2  # rate\nCOLS = [\n]\nx = 3\n", 300)
    write(tmp_path / "oof.csv", "id,p\n", 100)
    write(tmp_path / "NOTES.md", "x", 200)
    assert list_files(tmp_path) == [
        "oof.csv: 5 B",
        "NOTES.md: 1 B, sha256 2d711642b726",
        "src/train.py: 52 B, sha256 8a9fa6b8b590; SEED = 42; LR = 3e-2",
    ]


def test_list_of_many_files_is_bounded(tmp_path: Path) -> None:
    for number, first, second in product(range(2), "abcdef", "uvwxy"):
        write(tmp_path / f"{first}{'_' * number}{second}.txt", "x", 1_000 * number + ord(first))
    for number in range(30):
        write(tmp_path / "models" / f"{number}.pkl", "0" * 1000, 5_000)
    (tmp_path / "away").symlink_to("/etc")
    lines = list_files(tmp_path)
    assert len(lines) == MOST_LISTED + 1 and lines[0] == "(37 others, changed earlier)"
    assert "f_u.txt: 1 B, sha256 2d711642b726" in lines and lines[-1] == "models/: 30 files, 30.0 kB"
    assert not any(line.startswith(("away", "a_u", "fu")) for line in lines)


def test_files_whose_names_differ_in_digits_are_one_line(tmp_path: Path) -> None:
    for number in range(90, 102):
        write(tmp_path / f"fold_{number}.npy", "0" * 1000, 100)
    for number in (1, 2):
        write(tmp_path / f"run_{number}.csv", "x", 200 + number)
    assert list_files(tmp_path) == [
        "fold_90.npy to fold_101.npy: 12 files, 12.0 kB", "run_1.csv: 1 B", "run_2.csv: 1 B",
    ]  # fmt: skip


def test_latest_code_is_named_in_a_full_folder(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / "src" / f"part_{number}.py", f"LIMIT = {number}\n", number)
    lines = list_files(tmp_path)
    assert lines[0] == "src/: 10 other files, 100 B"
    assert lines[-1].startswith("src/part_29.py: 11 B, sha256 ") and lines[-1].endswith("; LIMIT = 29")
    assert len(lines) == 21


@pytest.mark.slow
def test_list_of_a_hundred_thousand_files_takes_bounded_time_and_text(tmp_path: Path) -> None:
    for folder in ("cache", "src"):
        (tmp_path / folder).mkdir()
    for number in range(100_000):
        os.close(os.open(tmp_path / "cache" / f"{number}.bin", os.O_CREAT | os.O_WRONLY))
    (tmp_path / "src" / "train.py").write_text("x")
    started = time.process_time()
    lines = list_files(tmp_path)
    assert time.process_time() - started < 2
    is_cut = lines[0] == "(not all: listing them would take too long)"
    assert is_cut or any(line.startswith("cache/: more than 5,000 files") for line in lines)
    assert is_cut or "src/train.py: 1 B, sha256 2d711642b726" in lines


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("N_FOLDS=5", ["N_FOLDS = 5"]),
        ('DATA = Path("data")', ['DATA = Path("data")']),
        ("DEPTH <- 5", ["DEPTH = 5"]),
        ('KEY = "#x"  # a colour', ['KEY = "#x"']),
        ("  INDENT = 3", []),
        ("AB == 3", []),
        ("COLS = [", []),
        ('TEXT = """long', []),
        ("X = 3", []),
        ("A" * 300_000, []),
        ("AB = " + " " * 300_000, []),
    ],
)
def test_constants_are_whole_assignments_at_the_top_level(line: str, found: list[str]) -> None:
    assert constants(f"import os\n{line}\n") == found


@given(st.text('AB_ =:#\n["1\\', max_size=80))
def test_constants_of_any_text_are_taken_from_its_lines(text: str) -> None:
    for found in constants(text):
        name, _, value = found.partition(" = ")
        assert any(line.startswith(name) and value.split()[0] in line for line in text.split("\n"))
