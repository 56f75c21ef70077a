"""The committed measurements of the ledger pass their gates, and the code still gives the same numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from context.ledger.ledger import Ledger
from tests.benchmarks import lesson_demo
from tests.benchmarks.ledger import FIGURES, LONG, SEEDS, SEQUENCES, SHORT, measure, read, report
from tests.benchmarks.lesson_game import Game, Task
from tests.benchmarks.lesson_ideas import ACTION_OF
from tests.benchmarks.lesson_text import LEVEL, compare

MEASURED = read(FIGURES / "ledger.csv")


def test_the_gates_hold_and_the_page_shows_the_measurements(tmp_path: Path) -> None:
    shutil.copy(FIGURES / "ledger.csv", tmp_path)
    assert report(MEASURED, tmp_path) == 0
    for name in ("ledger.md", "ledger.svg"):
        assert (tmp_path / name).read_text() == (FIGURES / name).read_text()
    assert SEQUENCES == 60 and len(SEEDS) >= 3
    assert all(len(MEASURED[seed, "ledger"]) == SHORT and len(MEASURED[seed, "pack"]) == LONG for seed in SEEDS)


def test_a_small_measurement_gives_the_same_numbers() -> None:
    """A change of the rules needs all measurements again: `python -m tests.benchmarks.ledger`."""
    found = measure(7, sequences=3, short=8, long=8)
    assert {name: found[name][-1] for name in EXPECTED} == pytest.approx(EXPECTED, abs=1e-6)


EXPECTED = {
    "none": 0.702201,
    "oracle": 0.57855,
    "ledger": 0.573525,
    "others' lessons": 0.697009,
    "no transfer: none": 0.586213,
    "no transfer: ledger": 0.574516,
    "long: none": 0.702201,
    "pack": 0.569679,
    "pack, 20 % false": 0.546554,
    "pack, all false": 0.681138,
}


def test_the_demo_model_does_better_with_lessons_that_it_reads() -> None:
    rows, credit = lesson_demo.read(FIGURES / "lesson_demo.csv")
    assert "\n".join(lesson_demo.report(rows, credit)) + "\n" == (FIGURES / "lesson_demo.md").read_text()
    assert len(ACTION_OF) >= 20 and all(len(rows[name]) == lesson_demo.SEEDS >= 40 for name in lesson_demo.CONDITIONS)
    areas = {name: -np.array(rows[name]) for name in lesson_demo.CONDITIONS}
    for other in ("empty", "shuffled"):
        assert compare(areas[other], areas["ledger"])[2] <= LEVEL


def test_a_run_of_the_demo_model_in_process_reads_no_ids_and_learns() -> None:
    with Ledger.in_memory() as ledger:
        record = Game(Task(0, 0), ledger, attempts=6).play()
        assert ledger.record(record).added
        game = Game(Task(0, 1), ledger, attempts=1)
        assert game.state.lessons and "real gain in 1" in game.state.lessons.text
        assert not any(key in game.state.lessons.text for key in game.state.lessons.shown)
