"""The committed measurements of trials pass their gates, and the code still gives the same numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.benchmarks.evolve import FIGURES, measure, read, report

MEASURED = read(FIGURES / "evolve.csv")


def test_the_gates_hold_and_the_page_shows_the_measurements(tmp_path: Path) -> None:
    shutil.copy(FIGURES / "evolve.csv", tmp_path)
    assert report(MEASURED, tmp_path) == 0
    for name in ("evolve.md", "evolve.svg"):
        assert (tmp_path / name).read_text() == (FIGURES / name).read_text()


def test_a_small_measurement_gives_the_same_numbers() -> None:
    """A change of the bets needs all measurements again: `python -m tests.benchmarks.evolve`."""
    found = {line.case: (line.kept, line.pairs) for line in measure(tasks=100, trials=50)}
    assert found["no change"] == pytest.approx(EXPECTED["no change"])
    assert found["85% right"] == pytest.approx(EXPECTED["85% right"])


EXPECTED = {"no change": (0.0, 41.62), "85% right": (0.96, 44.18)}
