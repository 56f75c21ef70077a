"""How long a whole sweep takes with the order in which its runs start, on a simulated clock."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import pytest

from tests.benchmarks.sweep_simulation import most_in_flight, ratio

START_HOURS = 3 / 3600
DRAWS = {1: 20, 4: 40, 16: 60, 64: 150}
"""Sweeps drawn for each number of workers: the more workers, the more luck decides."""


@pytest.mark.slow
@pytest.mark.parametrize("workers", DRAWS)
def test_a_sweep_takes_little_longer_than_with_known_lengths(workers: int) -> None:
    draws = range(DRAWS[workers])
    first = statistics.fmean(ratio(workers, seed, START_HOURS)[0] for seed in draws)
    later = statistics.fmean(ratio(workers, seed, START_HOURS, is_first=False)[0] for seed in draws)
    assert first <= 1.06, "the first sweep knows budgets, and how far each run is; 1.1 is the aim"
    assert later <= min(first + 0.005, 1.03), "a later one also knows which tasks end early"


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "cap"), [(1, 1), (4, 3), (16, 8), (64, 24)])
def test_requests_in_flight_are_never_above_the_cap(workers: int, cap: int, tmp_path: Path) -> None:
    most, waited = most_in_flight(tmp_path, workers, cap, random.Random(workers), hours=0.5)
    assert most == cap, "as many as are allowed ask at once, and never more"
    assert 0 < waited < 0.5
