"""The committed measurements of the ledger pass their gates, and the code still gives the same numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.benchmarks.ledger import FIGURES, LONG, SEEDS, SEQUENCES, SHORT, measure, read, report

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
