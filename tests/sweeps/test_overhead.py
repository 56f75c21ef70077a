"""What a sweep itself costs, in CPU, since other tests run beside these; `tests/benchmarks/sweep.py` has more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.sweep import cost_of_playing, cost_of_waiting, time_of_status


@pytest.mark.slow
def test_scheduling_costs_less_than_two_seconds_of_cpu_for_each_run(digits_home: Path) -> None:
    own, _, _ = cost_of_playing(digits_home, runs=2)
    assert own + cost_of_waiting(digits_home, seconds=5) < 2.0


@pytest.mark.slow
def test_the_status_of_a_thousand_runs_costs_less_than_a_second(tmp_path: Path) -> None:
    _, cpu = time_of_status(tmp_path, 1000)
    assert cpu < 1.0
