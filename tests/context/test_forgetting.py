"""What forgetting costs with a small window, against the compaction before outputs were masked first.

Figures of before: `tests/benchmarks/forgetting.py` on commit d2cdc2f, the same three seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.forgetting import measure

BEFORE = {3: (11, 0.3228), 4: (17, 0.3289), 5: (10, 0.3215)}
"""By seed: facts looked up, and dollars."""


@pytest.mark.slow
def test_half_as_many_facts_are_looked_up_at_nearly_the_same_cost(tmp_path: Path) -> None:
    seed = 4
    lookups, cost = BEFORE[seed]
    _, worker, dollars = measure(tmp_path, 32_000, 240, seed)
    print(f"{worker.lookups.total()} of {worker.needs} facts looked up, ${dollars:.4f}")
    assert worker.step == 240 and worker.needs > 100
    assert worker.lookups.total() <= 0.5 * lookups
    assert dollars <= 1.1 * cost
