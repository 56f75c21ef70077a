"""Reading a ledger: its lessons with their records, and the choice of those that a run is shown."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from context.ledger import rules
from context.ledger.database import BUSY_SECONDS, MEMORY, LedgerError, explaining, open_database
from context.ledger.types import ANY, Choice, Lesson, Record, Selection, Slot

LESSON_FIELDS = (
    "id, key, action, polarity, modality, situation, words, reason, origin, source, state, created_at, needs, task"
)
_TIE = "(id * :factor + :offset) % 1000003"
"""An order of equal lessons that differs between runs."""
_CANDIDATES = (Path(__file__).parent / "candidates.sql").read_text(encoding="utf-8")
_FIELDS = ", ".join(
    [
        *(f"lesson.{name}" for name in LESSON_FIELDS.split(", ")),
        *(f"found.{name}" for name in Record.__dataclass_fields__),
    ]
)
_RANKED = f"""with {_CANDIDATES},
scored as materialized (
  select id, polarity, rate, is_eligible from candidate
  where iif(polarity = 1, gains >= 1, is_eligible)
    and (:needs is null or needs in (select value from json_each(:needs)))
),
picked as materialized (
  select * from (select 'do' as slot, id from scored
    where polarity = 1 and is_eligible order by rate desc, {_TIE} limit 60)
  union all select * from (select 'avoid', id from scored where polarity = -1 order by rate, {_TIE} limit 20)
  union all select * from (select 'explore', id from scored where polarity = 1 order by {_TIE} limit 20)
)
select slot, {_FIELDS} from picked
cross join candidate as found on found.id = picked.id
cross join lesson on lesson.id = picked.id
"""
_EVERY = (
    f"with {_CANDIDATES} select '' as slot, {_FIELDS} from candidate as found join lesson on lesson.id = found.id "
    "order by rate desc, found.id"
)
_RATES = f"""
select
  sum(gains) filter (where is_counted) as gains,
  sum(gains + against + dry) filter (where is_counted) as tried,
  sum(gains) filter (where source = 'run' and modality <> '{ANY}') as run_gains,
  sum(gains + against + dry) filter (where source = 'run' and modality <> '{ANY}') as run_tried
from (select *, family is not :left_out and not (:without_pack and source = 'pack') as is_counted from source_count)
"""
_OF_TASK = f"""
select {", ".join(f"lesson.{name}" for name in LESSON_FIELDS.split(", "))},
  sum(outcome = 'gain') as gains, sum(outcome = 'against') as against, count(*) as tried
from lesson
join evidence on evidence.action = lesson.action and evidence.modality = lesson.modality and evidence.source = 'run'
join run on run.id = evidence.run and run.fingerprint = lesson.task
where lesson.task = ? and lesson.state = 'active'
group by lesson.id order by lesson.id desc
"""
_WORD = re.compile(r"\w+")


class Reader:
    """What is asked of an open ledger. Every method raises `LedgerError` where the file cannot be used."""

    def __init__(self, path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open the file; it is created, or brought to the newest version, unless `read_only`."""
        self.path = path
        self.database = open_database(path, read_only=read_only, busy_seconds=busy_seconds)

    @classmethod
    def in_memory(cls) -> Self:
        """An empty ledger that leaves nothing behind."""
        return cls(MEMORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    # ---------------------------------------------------------------------------------------------------- reading

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        with explaining(self.path):
            return self.database.execute(
                query, values[0] if values and isinstance(values[0], dict) else values
            ).fetchall()

    def lessons(self, where: str = "1", *values: Any) -> list[Lesson]:
        """The lessons that an SQL condition selects, oldest first."""
        return [
            _lesson(row) for row in self.rows(f"select {LESSON_FIELDS} from lesson where {where} order by id", *values)
        ]

    def find(self, name: str) -> Lesson:
        """A lesson by its id, or the beginning of it. Raises `LedgerError` unless exactly one fits."""
        name = name.removeprefix("L-").lower()
        found = self.lessons("substr(key, 1, length(?)) = ?", name, name) if name else []
        if len(found) != 1:
            what = "more than one lesson begins with" if found else "there is no lesson"
            raise LedgerError(f"{what} {name!r}: `harness lessons` lists them")
        return found[0]

    def search(self, words: str, most: int = 50) -> list[Lesson]:
        """Lessons that contain any of the words, best match first."""
        terms = " OR ".join(f'"{word}"' for word in _WORD.findall(words)[:20])
        if not terms:
            return []
        query = (
            f"select {', '.join(f'lesson.{name}' for name in LESSON_FIELDS.split(', '))} from lesson_words "
            "join lesson on lesson.id = lesson_words.rowid where lesson_words match ? "
            "order by bm25(lesson_words), lesson.id limit ?"
        )
        return [_lesson(row) for row in self.rows(query, terms, most)]

    def records(self, modality: str, family: str) -> list[Choice]:
        """Every active lesson about whose action a modality has evidence, with its record for a family, best first."""
        return [_choice(row) for row in self.rows(_EVERY, self._parameters("", modality, family))]

    def select(
        self,
        run: str,
        modality: str,
        family: str,
        *,
        fits: Callable[[Sequence[Choice]], bool] = lambda choices: True,
        withholds: bool = True,
        facts: Collection[str] | None = None,
        task: str = "",
        without_pack: bool = False,
        without_family: bool = False,
    ) -> Selection:
        """The lessons for a run whose task has these `facts` (None: whatever they ask for) and this fingerprint.

        `without_pack` and `without_family` leave evidence out, `fits` bounds the length.
        Equal ledger, run and arguments give an equal selection.
        """
        values = self._parameters(run, modality, family, without_pack, without_family)
        values["needs"] = self._needs_met(facts)
        ranked: dict[Slot, list[Choice]] = {}
        if task and not without_family:
            ranked["task"] = [one for one in self.of_task(task) if one.record.is_eligible]
        for row in self.rows(_RANKED, values):
            ranked.setdefault(row["slot"], []).append(_choice(row))
        general = self.rows(_RANKED, {**values, "modality": ANY, "family": ANY})
        ranked["process"] = [_choice(row) for row in general if row["slot"] == "do"]
        runs = int(self.rows("select count(*) as runs from run")[0]["runs"])
        share = rules.WITHHELD_SHARE if withholds else 0.0
        return rules.choose(ranked, run, values["rate_of_runs"], runs, fits, share)

    def of_task(self, task: str) -> list[Choice]:
        """Every active lesson of one task alone with its record in the runs of that task, best first."""
        found = []
        for row in self.rows(_OF_TASK, task):
            lesson = _lesson(tuple(row)[:-3])
            record = rules.record_in_task(lesson.polarity, row["gains"], row["against"], row["tried"])
            found.append(Choice(lesson, record, "task"))
        return sorted(found, key=lambda one: -one.record.rate)

    def _needs_met(self, facts: Collection[str] | None) -> str | None:
        """What lessons ask for and a task with these facts has, as JSON; None if that is all of it."""
        if facts is None:
            return None
        asked = [row["needs"] for row in self.rows("select distinct needs from lesson")]
        met = [needs for needs in asked if set(needs.split()) <= set(facts)]
        return json.dumps(met) if len(met) < len(asked) else None

    def _parameters(
        self, run: str, modality: str, family: str, without_pack: bool = False, without_family: bool = False
    ) -> dict[str, Any]:
        """Parameters of the queries: whose record, without which evidence, the shares of real gains over all actions
        and runs, and the order of equal lessons."""
        leaving = {"without_pack": without_pack, "left_out": family if without_family else None}
        (rates,) = self.rows(_RATES, leaving)
        seed = int(rules.chance(run, "order") * 2**40)
        return {
            "modality": modality,
            "family": None if without_family else family,
            "base": rates["gains"] / rates["tried"] if rates["tried"] else 0.0,
            "rate_of_runs": rates["run_gains"] / rates["run_tried"] if rates["run_tried"] else 0.0,
            "factor": seed % 1_000_002 + 1,
            "offset": seed // 1_000_003 % 1_000_003,
            **leaving,
            **rules.PARAMETERS,
        }


def _lesson(row: sqlite3.Row | tuple[Any, ...]) -> Lesson:
    return Lesson(*row)


def _choice(row: sqlite3.Row) -> Choice:
    """A row of slot, lesson and record."""
    values: list[Any] = list(row)
    end = 1 + len(LESSON_FIELDS.split(", "))
    lesson, counts, flags = values[1:end], values[end:-2], map(bool, values[-2:])
    return Choice(Lesson(*lesson), Record(*counts, *flags))
