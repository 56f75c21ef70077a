"""Replay recorded runs against the ledger, to see whether a fitting lesson preceded each repeated mistake.

    python -m tests.benchmarks.lesson_replay RUN_FOLDER...

The runs are taken in the order of their ids. Before each one the ledger of those before it chooses lessons as it would
for a new run, and the record of the run says what then happened.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from context.ledger.from_run import record_of
from context.ledger.ledger import Ledger
from context.ledger.types import RunRecord
from context.ledger.vocabulary import load_vocabulary
from harness.startup.lessons import last_lines
from runs.journal import read_events
from runs.state import fold
from runs.versions.commits import Versions


@dataclass(frozen=True)
class Replayed:
    """`repeated` mistakes: an action that failed in this run and in an earlier one of its modality; `warned`: a lesson
    about it was shown. `alarms`: lessons to avoid an action; `false_alarms`: the action brought a real gain all the
    same."""

    runs: int = 0
    repeated: int = 0
    warned: int = 0
    alarms: int = 0
    false_alarms: int = 0

    @property
    def recall(self) -> float:
        """The share of repeated mistakes that a lesson preceded."""
        return self.warned / self.repeated if self.repeated else 0.0

    def text(self) -> str:
        return (
            f"{self.runs} runs: {self.repeated} repeated mistakes, {self.warned} preceded by a lesson "
            f"({self.recall:.0%}); {self.alarms} lessons to avoid something, {self.false_alarms} of them false alarms"
        )


def replay(records: Iterable[RunRecord]) -> Replayed:
    """Replay runs, oldest first."""
    runs = repeated = warned = alarms = false_alarms = 0
    failed: set[tuple[str, str]] = set()
    with Ledger.in_memory() as ledger:
        for record in records:
            shown = ledger.select(record.id, record.modality, record.family, withholds=False).shown
            warnings = {
                choice.lesson.action for choice in shown if choice.lesson.polarity < 0 or choice.slot == "process"
            }
            outcomes = {one.action: one for one in record.evidence}
            for action, one in outcomes.items():
                group = "any" if one.is_process else record.modality
                if one.outcome == "against" or one.is_process:
                    if (group, action) in failed:
                        repeated += 1
                        warned += action in warnings
                    failed.add((group, action))
            to_avoid = {choice.lesson.action for choice in shown if choice.lesson.polarity < 0}
            alarms += len(to_avoid)
            false_alarms += sum(action in outcomes and outcomes[action].outcome == "gain" for action in to_avoid)
            ledger.record(record)
            runs += 1
    return Replayed(runs, repeated, warned, alarms, false_alarms)


def records_of(folders: Iterable[Path]) -> Iterator[RunRecord]:
    """The records of ended runs that chose lessons."""
    vocabulary = load_vocabulary()
    for folder in sorted(folders, key=lambda path: path.name):
        state = fold(read_events(folder))
        if state.created and state.ended and state.lessons:
            yield record_of(state, Versions(folder / "repo.git").diff, vocabulary, last_lines(folder))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    print(replay(records_of(parser.parse_args().folders)).text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
