"""How long does it take to choose the lessons of a run from 10,000 lessons of one modality with 12 families?

    python -m tests.benchmarks.ledger_speed

Prints milliseconds of processor time; under 50 is the aim on a quiet machine.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from context.ledger.ledger import Ledger
from context.ledger.types import Evidence, Named, Outcome, RunRecord

LESSONS, FAMILIES, REPEATS = 10_000, 12, 20
OUTCOMES: tuple[Outcome, ...] = ("gain", "dry", "against")


def fill(ledger: Ledger, lessons: int = LESSONS, families: int = FAMILIES) -> None:
    """Runs of every family that tried most actions; each action has gained once."""
    random = Random(1)
    actions = tuple(Named(f"action.{number}", f"Idea {number}") for number in range(lessons))
    for family in range(families):
        tried = [action for action in actions if not family or random.random() < 0.7]
        evidence = tuple(Evidence(one.key, random.choice(OUTCOMES) if family else "gain") for one in tried)
        named = actions if not family else ()
        ledger.record(RunRecord(f"r{family}", "t", "tabular", f"tabular/{family}", evidence=evidence, actions=named))


CASES: dict[str, dict[str, Any]] = {
    "all evidence": {},
    "without the pack": {"without_pack": True},
    "without a family": {"without_family": True},
}


def measure(ledger: Ledger, **leaving: Any) -> list[float]:
    """Milliseconds of each selection, quickest first."""
    found = []
    for number in range(REPEATS):
        began = time.process_time()
        ledger.select(f"run {number}", "tabular", "tabular/3", facts=("classes",), **leaving)
        found.append(1000 * (time.process_time() - began))
    return sorted(found)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        fill(ledger)
        found = {name: measure(ledger, **leaving) for name, leaving in CASES.items()}
        (count,) = ledger.rows("select count(*) as lessons from lesson where polarity = 1")
    for name, times in found.items():
        median = times[len(times) // 2]
        print(f"{count['lessons']:,} lessons, {name}: {times[0]:.0f} ms at best, {median:.0f} ms in the median")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
