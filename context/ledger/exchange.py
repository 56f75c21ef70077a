"""Lessons as JSON Lines: export, import, and the shipped pack.

What comes from elsewhere weighs as one run, whatever it claims of itself, and starts without points. Lessons of
strangers are *listed* until somebody confirms them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from context.ledger.database import LedgerError, writing
from context.ledger.ledger import Ledger, now
from context.ledger.lint import problem_of
from context.ledger.proposals import LONGEST
from context.ledger.types import FACTS, Lesson, Named, lesson_key

MOST_LINES = 10_000
LONGEST_LINE = 20_000
"""Bytes of one line of an imported file."""


class Exchanged(BaseModel):
    """One line of an exported file. Fields that a newer version adds are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    action: str = Field(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,79}$")
    polarity: Literal["do", "avoid"] = "do"
    modality: str = Field(pattern=r"^[a-z][a-z_]{0,29}$")
    family: str = Field("", pattern=r"^[\w:./-]{0,60}$")
    situation: str = Field("", max_length=LONGEST)
    words: str = Field(min_length=1, max_length=LONGEST)
    reason: str = Field("", max_length=LONGEST)
    needs: list[str] = Field(default_factory=list)
    tried: int = Field(0, ge=0)
    gains: int = Field(0, ge=0)
    against: int = Field(0, ge=0)

    @field_validator("needs")
    @classmethod
    def _are_facts(cls, needs: list[str]) -> list[str]:
        if unknown := sorted(set(needs) - FACTS):
            raise ValueError(f"unknown facts {', '.join(unknown)[:80]}; known are {', '.join(sorted(FACTS))}")
        return sorted(set(needs))


@dataclass(frozen=True)
class Imported:
    """What an import did: keys of lessons that are new, or known already, and lines that were refused, with reasons."""

    added: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read_lines(text: str) -> Iterator[tuple[int, Exchanged | str]]:
    """Each line of an exported file with its number: a lesson, or why it is none. Raises `LedgerError` for a flood."""
    lines = [line for line in enumerate(text.splitlines(), 1) if line[1].strip()]
    if len(lines) > MOST_LINES:
        raise LedgerError(f"the file has {len(lines):,} lessons; at most {MOST_LINES:,} are read: split it")
    for number, line in lines:
        if len(line.encode(errors="replace")) > LONGEST_LINE:
            yield number, f"longer than {LONGEST_LINE:,} bytes"
            continue
        try:
            yield number, Exchanged.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            yield number, f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"


def import_lessons(
    ledger: Ledger, lines: Iterable[tuple[int, Exchanged | str]], source: str, *, kind: Literal["import", "pack"]
) -> Imported:
    """Add lessons of another ledger or of a shipped pack. A second import from the same source changes nothing."""
    added: list[str] = []
    known: list[str] = []
    refused: list[str] = []
    at = now()
    with writing(ledger.database, ledger.path):
        for number, line in lines:
            why = line if isinstance(line, str) else _problem(line)
            if isinstance(line, str) or why:
                refused.append(f"line {number}: {why}")
                continue
            key, is_new = _add(ledger, line, source, kind, at)
            (added if is_new else known).append(key)
    return Imported(tuple(added), tuple(known), tuple(refused))


def export_lessons(ledger: Ledger) -> Iterator[str]:
    """Every lesson that is not retired, but for those of one task, as one line of JSON, with its counts over its
    modality."""
    counts = {row["lesson"]: row for row in ledger.rows("select * from lesson_count")}
    for lesson in ledger.lessons("state <> 'retired' and task = ''"):
        count = counts[lesson.id]
        line = Exchanged(
            action=lesson.action,
            polarity="do" if lesson.polarity > 0 else "avoid",
            modality=lesson.modality,
            family="",
            situation=lesson.situation,
            words=lesson.words,
            reason=lesson.reason,
            needs=lesson.needs.split(),
            tried=count["gains"] + count["against"] + count["dry"],
            gains=count["gains"],
            against=count["against"],
        )
        yield json.dumps(line.model_dump(), ensure_ascii=False, sort_keys=True)


def _problem(line: Exchanged) -> str:
    texts = (("words", line.words), ("reason", line.reason), ("situation", line.situation))
    return next((f"{name}: {why}" for name, text in texts if text and (why := problem_of(text))), "")


def _add(ledger: Ledger, line: Exchanged, source: str, kind: Literal["import", "pack"], at: str) -> tuple[str, bool]:
    polarity = 1 if line.polarity == "do" else -1
    key = lesson_key(line.action, polarity, line.modality)
    needs = " ".join(line.needs)
    ledger.add_action(Named(line.action, line.words, needs if kind == "pack" else ""), kind)
    found = ledger.lessons("key = ?", key)
    if not found:
        state = "active" if kind == "pack" else "listed"
        lesson = Lesson(
            0,
            key,
            line.action,
            polarity,
            line.modality,
            line.situation,
            line.words,
            line.reason,
            kind,
            source,
            state,
            at,
            needs,
        )
        ledger.add_lesson(lesson, "code", at)
    outcome = "gain" if polarity > 0 else "against"
    about = (line.action, kind, line.modality, line.family, outcome)
    # A newer version of the shipped pack vouches for nothing a second time.
    known = "select 1 from evidence where action = ? and source = ? and modality = ? and family = ? and outcome = ?"
    if kind == "import" or not ledger.rows(known, *about):
        ledger.database.execute(
            "insert or ignore into evidence (action, source, modality, family, outcome, run, reason, at) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            (*about, f"{kind}:{source}", "counts as one run", at),
        )
    return key, not found
