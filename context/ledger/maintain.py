"""Check a ledger, copy it as a snapshot, and merge another one into it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from context.ledger.database import LedgerError, explaining, writing
from context.ledger.ledger import Ledger
from context.ledger.lint import problem_of, unsafe_in
from context.ledger.types import ANY, Evidence, Lesson, Named, RunRecord

_COUNTS = {"lesson_count": "counted_lesson", "family_count": "counted_family", "source_count": "counted_source"}
"""Tables of counts, and the views that count the same from the evidence."""
_CONTENT = (
    "select * from lesson order by id",
    "select * from evidence order by id",
    "select * from exposure order by run, lesson",
)


def verify(ledger: Ledger) -> list[str]:
    """What is wrong with a ledger; empty if nothing is."""
    problems = [f"database: {row[0]}" for row in ledger.rows("pragma integrity_check") if row[0] != "ok"]
    problems += [f"reference without a target in table {row[0]}" for row in ledger.rows("pragma foreign_key_check")]
    for table, view in _COUNTS.items():
        kept, counted = ({tuple(row) for row in ledger.rows(f"select * from {name}")} for name in (table, view))
        problems += [f"{table} differs from the evidence: {row}" for row in sorted(kept ^ counted)]
    problems += _compare_with_operations(ledger)
    if ledger.path.is_file():
        try:
            with explaining(ledger.path):
                ledger.database.execute("insert into lesson_words (lesson_words) values ('integrity-check')")
        except LedgerError as error:
            problems.append(f"search index: {error}")
    return problems


def _compare_with_operations(ledger: Ledger) -> Iterator[str]:
    """Every lesson is what its operations made of it."""
    folded: dict[str, dict[str, Any]] = {}
    for row in ledger.rows("select lesson, change from operation order by id"):
        folded.setdefault(row["lesson"], {}).update(json.loads(row["change"]))
    for lesson in ledger.lessons():
        fields = folded.pop(lesson.key, {})
        if any(getattr(lesson, name) != value for name, value in fields.items()) or not fields:
            yield f"lesson {lesson.key} differs from its operations"
    yield from (f"lesson {key} is missing" for key in folded)


def digest(ledger: Ledger) -> str:
    """The sha256 of what a ledger says: equal content, equal digest."""
    total = hashlib.sha256()
    for query in _CONTENT:
        for row in ledger.rows(query):
            total.update(json.dumps(tuple(row), ensure_ascii=False).encode())
    return total.hexdigest()


def write_snapshot(ledger: Ledger, into: Path) -> None:
    """Copy a ledger, as it is at this moment, to a new file, while others may write to it."""
    with explaining(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        if into.exists():
            raise FileExistsError(17, "there is a file already")
        with closing(sqlite3.connect(into)) as copy:
            ledger.database.backup(copy)


def merge(ledger: Ledger, other: Ledger) -> int:
    """Record the runs of another ledger that this one does not have; returns how many.

    Nothing is lost in either, but for words that no lesson may contain: the other one may be a stranger's.
    """
    added = 0
    for row in other.rows("select * from run order by at, id"):
        added += ledger.record(_run_of(other, row)).is_new
    with writing(ledger.database, ledger.path):
        for lesson in other.lessons("reason <> ''"):
            if not (unsafe_in(lesson.reason) if lesson.task else problem_of(lesson.reason)):
                _take_words(ledger, lesson)
    return added


def _run_of(other: Ledger, row: sqlite3.Row) -> RunRecord:
    """A run as the other ledger recorded it."""
    names = [name for name in row.keys() if name in RunRecord.__dataclass_fields__]  # noqa: SIM118
    found = other.rows("select * from evidence where run = ? and source = 'run' order by id", row["id"])
    evidence = tuple(
        Evidence(
            **{name: one[name] for name in Evidence.__dataclass_fields__ if name in one.keys()},  # noqa: SIM118
            is_process=one["modality"] == ANY,
        )
        for one in found
    )
    words = other.rows(
        "select key, words, needs from action where key in (select action from evidence where run = ?)", row["id"]
    )
    exposures = other.rows("select lesson, kind from exposure where run = ? order by rank, lesson", row["id"])
    return RunRecord(
        **{name: row[name] for name in names},
        evidence=evidence,
        actions=tuple(
            Named(one["key"], one["key"] if unsafe_in(one["words"]) else one["words"], one["needs"]) for one in words
        ),
        shown=tuple(one["lesson"] for one in exposures if one["kind"] == "shown"),
        withheld=tuple(one["lesson"] for one in exposures if one["kind"] == "withheld"),
    )


def _take_words(ledger: Ledger, lesson: Lesson) -> None:
    """Take a reason for a lesson without one, or a lesson of one task."""
    for mine in ledger.lessons("key = ? and reason = ''", lesson.key):
        ledger.change(mine, "merge", {"reason": lesson.reason}, "code")
    if lesson.task and not ledger.lessons("key = ?", lesson.key):
        for named in ledger.rows("select words, needs from action where key = ?", lesson.action):
            known = replace(lesson, words=named["words"], needs=named["needs"], situation="")
            ledger.add_lesson(known, "model", lesson.created_at)
