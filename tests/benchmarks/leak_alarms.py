"""How often the leak checks find planted leaks, and how often they raise a false alarm.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.leak_alarms

Gates: every planted leak is found with every seed; no alarm on six other kinds of clean tables; at most 5 % alarms on
40 clean tables; at most 3 in 120 tables that name all rows are taken for a copy of the labels.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable

from tests.tasks.clean_tables import KINDS, count_false_copies
from tests.tasks.planted_leaks import PLANTED, WEAKER, check, check_weaker, make_clean


def missed(seeds: Iterable[int]) -> list[str]:
    """The planted leaks that are not found with some seed."""
    return [
        f"{name} (seed {seed})"
        for seed in seeds
        for name, kind, findings in (
            *((name, name, plant(*make_clean(seed))) for name, plant in PLANTED.items()),
            *((name, WEAKER[name][0], check_weaker(name, seed)) for name in WEAKER),
        )
        if kind not in {finding.kind for finding in findings}
    ]


def count_alarms(seeds: Iterable[int]) -> int:
    """On how many of these clean tables there is a finding."""
    return sum(bool(check(*make_clean(seed, classes=(2, 5, 99)[seed % 3]))) for seed in seeds)


def main() -> int:
    """Measure, print, and check the gates."""
    leaks = missed(range(5))
    kinds = [f"{make.__name__} {seed}" for make in KINDS for seed in range(6) if check(*make(random.Random(seed)))]
    alarms, copies = count_alarms(range(100, 140)), count_false_copies(120)
    print(f"leaks missed: {', '.join(leaks) or 'none'}; alarms on other kinds: {', '.join(kinds) or 'none'}")
    print(f"alarms on clean tables: {alarms} of 40; false copies of labels: {copies} of 120")
    return int(bool(leaks or kinds) or alarms > 2 or copies > 3)


if __name__ == "__main__":
    sys.exit(main())
