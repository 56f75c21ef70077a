"""The committed measurements of the final choice pass their gates, and the code still gives the same numbers."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from tests.benchmarks.selection import FIGURES, measure_line, read
from tests.benchmarks.selection_report import ONE_BLEND, report

MEASURED = read(FIGURES / "selection.csv")
SMALL = {
    "breast": [0.954225, 0.929825, 0.93662, 0.961404, 0.954225, 1, 0.940141, 0.954386, 0.947183, 0.957895, 0.947183],
    f"{ONE_BLEND}syn2000": [0.91, 0.86775],
}
"""Repeat 0 of two lines with 8 pipelines instead of 60."""


def test_the_gates_hold_and_the_page_shows_the_measurements(tmp_path: Path) -> None:
    shutil.copy(FIGURES / "selection.csv", tmp_path)
    assert report(MEASURED, tmp_path) == 0
    assert (tmp_path / "selection.md").read_text() == (FIGURES / "selection.md").read_text()
    sets = {what for what, _, size in MEASURED if size == 60}
    assert len(sets) >= 4 and all((what, repeat, 60) in MEASURED for what in sets for repeat in range(20))


@pytest.mark.parametrize("what", SMALL)
def test_a_small_measurement_gives_the_same_numbers(what: str) -> None:
    """A change in splitting, comparison or ensembles that changes them needs all measurements again; `--check` of
    `tests.benchmarks.selection` repeats lines of full size."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        assert measure_line(what, 0, 8) == pytest.approx(SMALL[what], abs=1e-4)
