"""The committed measurements of the choice at the end hold its gates, and are still what the code comes to."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from tests.benchmarks.selection import FIGURES, on_one_blend, read, selected
from tests.benchmarks.selection_report import ONE_BLEND, report

MEASURED = read(FIGURES / "selection.csv")


def test_the_gates_hold_and_the_page_says_what_was_measured(tmp_path: Path) -> None:
    shutil.copy(FIGURES / "selection.csv", tmp_path)
    assert report(MEASURED, tmp_path) == 0
    assert (tmp_path / "selection.md").read_text() == (FIGURES / "selection.md").read_text()
    sets = {what for what, _, size in MEASURED if size == 60}
    assert len(sets) >= 4 and all((what, repeat, 60) in MEASURED for what in sets for repeat in range(20))


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("what", ["breast", "diabetes", f"{ONE_BLEND}syn2000"])
def test_a_line_measured_again_is_what_it_was(what: str) -> None:
    """Whoever changes how rows are dealt, candidates compared or ensembles made has to measure all of it again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = what.removeprefix(ONE_BLEND)
        found = (selected if name == what else on_one_blend)(name, 0, 60)
    assert found == pytest.approx(MEASURED[what, 0, 60], abs=1e-4)
