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
_ALL = "counts as not materialized (select * from total)"
_SOME = "counts as not materialized (select * from temp.fewer)"
"""Counts that `candidates.sql` reads: those that are kept, or without the pack and some families."""
_FEWER = """
insert into temp.fewer
with left_out as materialized (
  select action, modality, sum(gains) as gains, sum(against) as against, sum(dry) as dry,
    sum(iif(source = 'run', 0, gains)) as prior_gains, sum(iif(source = 'run', 0, against)) as prior_against
  from tally where :pack = '' and source = 'pack' or family in (select value from json_each(:families))
  group by action, modality
),
left_out_of_all as materialized (
  select action, sum(gains) as gains, sum(gains + against + dry) as tried from left_out group by action
)
select total.action, total.modality, total.gains - ifnull(one.gains, 0), total.against - ifnull(one.against, 0),
  total.dry - ifnull(one.dry, 0), total.prior_gains - ifnull(one.prior_gains, 0),
  total.prior_against - ifnull(one.prior_against, 0),
  all_gains - ifnull(every.gains, 0), all_tried - ifnull(every.tried, 0)
from total
left join left_out as one on one.action = total.action and one.modality = total.modality
left join left_out_of_all as every on every.action = total.action
"""
_RANKED = f"""{_CANDIDATES},
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
    f"{_CANDIDATES} select '' as slot, {_FIELDS} from candidate as found join lesson on lesson.id = found.id "
    "order by rate desc, found.id"
)
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

    def records(self, modality: str, family: str, **leaving: Any) -> list[Choice]:
        """Every active lesson about whose action a modality has evidence, with its record for a family, best first
        (arguments as of `select`)."""
        values = self._parameters("", **leaving)
        return [_choice(row) for row in self._candidates(_EVERY, modality, family, values)]

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
        **leaving: Any,
    ) -> Selection:
        """The lessons for a run whose task has these `facts` (None: whatever they ask for) and this fingerprint.

        `without_pack` and `without_families` leave evidence out, `fits` bounds the length.
        Equal ledger, run and arguments give an equal selection.
        """
        values = {**self._parameters(run, **leaving), "needs": self._needs_met(facts)}
        ranked: dict[Slot, list[Choice]] = {}
        if task and family not in leaving.get("without_families", ()):
            ranked["task"] = [one for one in self.of_task(task) if one.record.is_eligible]
        for row in self._candidates(_RANKED, modality, family, values):
            ranked.setdefault(row["slot"], []).append(_choice(row))
        general = self._candidates(_RANKED, ANY, ANY, values)
        ranked["process"] = [_choice(row) for row in general if row["slot"] == "do"]
        runs = int(self.rows("select count(*) as runs from run")[0]["runs"])
        return rules.choose(ranked, run, self._rate_of_runs(), runs, fits, rules.WITHHELD_SHARE if withholds else 0.0)

    def of_task(self, task: str) -> list[Choice]:
        """Every active lesson of one task alone with its record in the runs of that task, best first."""
        found = []
        for row in self.rows(_OF_TASK, task):
            lesson = _lesson(tuple(row)[:-3])
            record = rules.record_in_task(lesson.polarity, row["gains"], row["against"], row["tried"])
            found.append(Choice(lesson, record, "task"))
        return sorted(found, key=lambda one: -one.record.rate)

    def _rate_of_runs(self) -> float:
        """The share of real gains over all actions and runs that were played."""
        query = (
            "select sum(gains - prior_gains) as gains, "
            "sum(gains + against + dry - prior_gains - prior_against) as tried from total where modality <> ?"
        )
        (row,) = self.rows(query, ANY)
        return row["gains"] / row["tried"] if row["tried"] else 0.0

    def _candidates(self, query: str, modality: str, family: str, values: dict[str, Any]) -> list[sqlite3.Row]:
        sources = {"own": "run", "imports": "import", "packs": values["pack"]}
        if family in json.loads(values["families"]):
            sources = dict.fromkeys(sources, "")
        return self.rows(
            f"with {_counts_with(values)}, {query}", {**values, "modality": modality, "family": family, **sources}
        )

    def _needs_met(self, facts: Collection[str] | None) -> str | None:
        """What lessons ask for and a task with these facts has, as JSON; None if that is all of it."""
        if facts is None:
            return None
        asked = [row["needs"] for row in self.rows("select distinct needs from lesson")]
        met = [needs for needs in asked if set(needs.split()) <= set(facts)]
        return json.dumps(met) if len(met) < len(asked) else None

    def _parameters(
        self, run: str, *, without_pack: bool = False, without_families: Collection[str] = ()
    ) -> dict[str, Any]:
        """Parameters of the queries: the base rate (share of real gains over all actions and runs), what is left out,
        and the order of equal lessons."""
        leaving = {"pack": "" if without_pack else "pack", "families": json.dumps(sorted(without_families))}
        if _counts_with(leaving) == _SOME:
            self._leave_out(leaving)
        query = "select sum(gains) as gains, sum(gains + against + dry) as tried from counts"
        (row,) = self.rows(f"with {_counts_with(leaving)} {query}")
        seed = int(rules.chance(run, "order") * 2**40)
        return {
            "base": row["gains"] / row["tried"] if row["tried"] else 0.0,
            "factor": seed % 1_000_002 + 1,
            "offset": seed // 1_000_003 % 1_000_003,
            **leaving,
            **rules.PARAMETERS,
        }

    def _leave_out(self, leaving: dict[str, Any]) -> None:
        """Count without the pack or some families, in a table that lasts as long as the connection."""
        names = ", ".join(row["name"] for row in self.rows("select name from pragma_table_info('total')"))
        self.rows("drop table if exists temp.fewer")
        self.rows(f"create temp table fewer ({names}, primary key (action, modality)) without rowid")
        self.rows(_FEWER, leaving)


def _counts_with(leaving: dict[str, Any]) -> str:
    return _ALL if leaving["pack"] and leaving["families"] == "[]" else _SOME


def _lesson(row: sqlite3.Row | tuple[Any, ...]) -> Lesson:
    return Lesson(*row)


def _choice(row: sqlite3.Row) -> Choice:
    """A row of slot, lesson and record."""
    values: list[Any] = list(row)
    end = 1 + len(LESSON_FIELDS.split(", "))
    lesson, counts, flags = values[1:end], values[end:-2], map(bool, values[-2:])
    return Choice(Lesson(*lesson), Record(*counts, *flags))
