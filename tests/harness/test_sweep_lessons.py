"""The lessons that runs of a sweep read: one copy frozen at the start, without those of their own task family."""

from __future__ import annotations

from pathlib import Path

from context.ledger.ledger import Ledger
from context.ledger.types import Evidence, Named, RunRecord
from harness.startup.lessons import select_lessons
from harness.sweep.lessons import freeze
from harness.sweep.types import Plan, Row
from runs.events.registry import LessonsChosen
from tests.harness.run_folders import created

OWN, OTHER = "tabular/accuracy", "tabular/auc"
ACTIONS = {OWN: "features.target_encoding", OTHER: "ensemble.average"}


def learn(path: Path, family: str, number: int) -> None:
    """Record a run of a family in which the family's action was a real gain."""
    action = ACTIONS[family]
    with Ledger(path) as ledger:
        ledger.record(
            RunRecord(
                id=f"{family}-{number}",
                task=f"task of {family}",
                family=family,
                modality="tabular",
                evidence=(Evidence(action, "gain", "real"),),
                actions=(Named(action, f"Use {action}"),),
                at="2026-12-01T00:00:00+00:00",
            )
        )


def chosen_from(path: Path, **settings: str) -> set[str]:
    """Actions of the lessons that a run of the family `OWN` is shown or, by chance, not shown."""
    with Ledger(path, read_only=True) as ledger:
        asked = LessonsChosen(modality="tabular", family=OWN)
        found = select_lessons(created("r", no_knowledge=True, **settings), ledger, asked, has_ledger=True)
        actions = {one.key: one.action for one in ledger.lessons()}
    return {actions[key] for key in (*found.shown, *found.withheld)}


def test_a_run_of_a_sweep_reads_no_lesson_that_only_its_own_family_showed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    for family in ACTIONS:
        learn(ledger, family, 1)
    assert chosen_from(ledger) == set(ACTIONS.values()), "an ordinary run reads both"
    rows = (Row("d.s0", "r", "d", "d", 0, {}, {}, 1.0, uses_ledger=True),)
    plan = freeze(Plan("p", "", "0", "", "local", 1, 0, 0, True, rows), tmp_path, tmp_path, tmp_path)
    learn(ledger, OTHER, 2)
    (row,) = plan.rows
    snapshot = Path(row.settings["ledger_snapshot"])
    assert chosen_from(snapshot, ledger_snapshot=str(snapshot)) == {ACTIONS[OTHER]}
    (facts,) = plan.ledger.values()
    assert (facts["runs"], facts["lessons"] >= 2) == (2, True), "what was learned later is not in the copy"
