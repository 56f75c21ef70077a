"""The ledger: lessons that outlive a run, with the evidence for and against them, in one SQLite file.

What a run showed is recorded once and never changed; lessons follow from it by the rules of `rules.py`. Two runs may
write at once: each records in one transaction, and a second recording of the same run changes nothing.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from context.ledger import proposals, rules
from context.ledger.database import BUSY_SECONDS, MEMORY, LedgerError, explaining, open_database, writing
from context.ledger.lint import problem_of
from context.ledger.types import (
    ANY,
    AVOID,
    DO,
    Actor,
    Choice,
    Learned,
    Lesson,
    Proposal,
    Record,
    RunRecord,
    Selection,
    Slot,
    lesson_key,
)

MOST_PROPOSALS = 20
"""Lessons in the model's words that one run may add or edit."""
_LESSON = "id, key, action, polarity, modality, situation, words, reason, origin, source, state, created_at"
_TIE = "(id * :factor + :offset) % 1000003"
"""An order of equal lessons that differs between runs."""
_RUN = (
    *("id", "task", "fingerprint", "family", "modality", "metric", "seed", "model", "harness", "snapshot"),
    *("used_ledger", "lower_is_better", "attempts", "area", "final"),
)
_EVIDENCE = (
    *("action", "outcome", "reason", "attempt", "evaluation", "commit_before", "commit_after"),
    *("first_event", "last_event", "gain", "noise"),
)
_CANDIDATES = (Path(__file__).parent / "candidates.sql").read_text(encoding="utf-8")
_FIELDS = ", ".join(
    [*(f"lesson.{name}" for name in _LESSON.split(", ")), *(f"found.{name}" for name in Record.__dataclass_fields__)]
)
_RANKED = f"""{_CANDIDATES}
select slot, {_FIELDS} from (
  select * from (select 'do' as slot, * from candidate
    where polarity = 1 and is_eligible order by rate desc, {_TIE} limit 60)
  union all select * from (select 'avoid', * from candidate
    where polarity = -1 and is_eligible order by rate, {_TIE} limit 20)
  union all select * from (select 'explore', * from candidate
    where polarity = 1 and gains >= 1 order by {_TIE} limit 20)
) as found cross join lesson on lesson.id = found.id
"""
_EVERY = (
    f"{_CANDIDATES} select '' as slot, {_FIELDS} from candidate as found join lesson on lesson.id = found.id "
    "order by rate desc, found.id"
)
_COUNTS = """
select action, sum(gains) as gains, sum(against) as against from tally
where modality = ? and action in (select value from json_each(?)) group by action
"""
_WORD = re.compile(r"\w+")


class Ledger:
    """One open ledger. Use it in a `with` block. Every method raises `LedgerError` where the file cannot be used."""

    def __init__(self, path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open the file; it is created, or brought to the newest version, unless `read_only`."""
        self.path = path
        self.database = open_database(path, read_only=read_only, busy_seconds=busy_seconds)

    @classmethod
    def in_memory(cls) -> Ledger:
        """An empty ledger that leaves nothing behind."""
        return cls(MEMORY)

    def __enter__(self) -> Ledger:
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
        return [_lesson(row) for row in self.rows(f"select {_LESSON} from lesson where {where} order by id", *values)]

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
            f"select {', '.join(f'lesson.{name}' for name in _LESSON.split(', '))} from lesson_words "
            "join lesson on lesson.id = lesson_words.rowid where lesson_words match ? "
            "order by bm25(lesson_words), lesson.id limit ?"
        )
        return [_lesson(row) for row in self.rows(query, terms, most)]

    def records(self, modality: str, family: str, **leaving: Any) -> list[Choice]:
        """Every active lesson of a modality with its record for a family, best first (arguments as of `select`)."""
        _, values = self._parameters("", modality, family, **leaving)
        return [_choice(row) for row in self.rows(_EVERY, values)]

    def select(
        self,
        run: str,
        modality: str,
        family: str,
        *,
        fits: Callable[[Sequence[Choice]], bool] = lambda choices: True,
        withholds: bool = True,
        **leaving: Any,
    ) -> Selection:
        """The lessons for a run; `without_pack` and `without_families` leave evidence out, `fits` bounds the length.

        Equal ledger, run and arguments give an equal selection.
        """
        base, values = self._parameters(run, modality, family, **leaving)
        ranked: dict[Slot, list[Choice]] = {}
        for row in self.rows(_RANKED, values):
            ranked.setdefault(row["slot"], []).append(_choice(row))
        general = self.rows(_RANKED, {**values, "modality": ANY, "family": ANY})
        ranked["process"] = [_choice(row) for row in general if row["slot"] == "do"]
        runs = int(self.rows("select count(*) as runs from run")[0]["runs"])
        return rules.choose(ranked, run, base, runs, fits, rules.WITHHELD_SHARE if withholds else 0.0)

    def _parameters(
        self,
        run: str,
        modality: str,
        family: str,
        *,
        without_pack: bool = False,
        without_families: Collection[str] = (),
    ) -> tuple[float, dict[str, Any]]:
        """The base rate (share of real gains over all actions and runs) and the parameters of `candidates.sql`."""
        without, families = "pack" if without_pack else "", json.dumps(sorted(without_families))
        (row,) = self.rows(
            "select sum(gains) as gains, sum(gains + against + dry) as tried from tally "
            "where source <> ? and family not in (select value from json_each(?))",
            without,
            families,
        )
        base = row["gains"] / row["tried"] if row["tried"] else 0.0
        seed = int(rules.chance(run, "order") * 2**40)
        values = {"modality": modality, "family": family, "base": base, "without": without, "families": families}
        order = {"factor": seed % 1_000_002 + 1, "offset": seed // 1_000_003 % 1_000_003}
        return base, {**values, **order, **rules.PARAMETERS}

    # ---------------------------------------------------------------------------------------------------- writing

    def record(self, run: RunRecord, forbidden: Iterable[str] = ()) -> Learned:
        """Record what a run showed, and add the lessons that follow. A run that is recorded already changes nothing.

        `forbidden` are words of the task that no lesson may contain.
        """
        at = run.at or now()
        with writing(self.database, self.path):
            if self.database.execute("select 1 from run where id = ?", (run.id,)).fetchone():
                return Learned(is_new=False)
            self._insert_run(run, at)
            for key, words in run.actions:
                self.add_action(key, words, "code")
            for evidence in run.evidence:
                self._insert_evidence(run, evidence, at)
            for kind, keys in (("shown", run.shown), ("withheld", run.withheld)):
                rows = [(run.id, key, rank, kind) for rank, key in enumerate(keys, 1)]
                self.database.executemany("insert or ignore into exposure values (?, ?, ?, ?)", rows)
            added = list(self._propose(run, at))
            refused: list[str] = []
            terms = set(forbidden)
            for proposal in run.proposals[:MOST_PROPOSALS]:
                if why := self._take(run, proposal, terms, at):
                    refused.append(why)
            if len(run.proposals) > MOST_PROPOSALS:
                refused.append(f"{len(run.proposals) - MOST_PROPOSALS} more than a run may propose")
            return Learned(True, added, list(self._retire_unused(run, at)), refused)

    def add_action(self, key: str, words: str, origin: str) -> None:
        """Add an action to the vocabulary of this ledger, within a transaction; a known one stays as it is."""
        self.database.execute("insert or ignore into action values (?, ?, ?)", (key, words, origin))

    def add_lesson(self, lesson: Lesson, actor: Actor, at: str) -> None:
        """Add a lesson with its operation, within a transaction. Its `id` is given by the database."""
        fields = {name: getattr(lesson, name) for name in _LESSON.split(", ")[1:]}
        operation = self._operate("add", lesson.key, fields, actor, at)
        names = ", ".join(["operation", *fields])
        marks = ", ".join("?" * (len(fields) + 1))
        self.database.execute(f"insert into lesson ({names}) values ({marks})", (operation, *fields.values()))

    def change(self, lesson: Lesson, kind: str, changes: dict[str, str], actor: Actor, at: str = "") -> None:
        """Change a lesson by a recorded operation, within a transaction."""
        operation = self._operate(kind, lesson.key, changes, actor, at or now())
        names = ", ".join(f"{name} = ?" for name in ("operation", *changes))
        self.database.execute(f"update lesson set {names} where key = ?", (operation, *changes.values(), lesson.key))

    def set_state(self, lesson: Lesson, kind: str, actor: Actor = "person") -> None:
        """Retire, restore or confirm a lesson."""
        with writing(self.database, self.path):
            self.change(lesson, kind, {"state": "retired" if kind == "retire" else "active"}, actor)

    def _operate(self, kind: str, key: str, change: dict[str, Any], actor: str, at: str) -> int:
        text = json.dumps(change, ensure_ascii=False, sort_keys=True)
        row = self.database.execute(
            "insert into operation (kind, lesson, change, actor, at) values (?, ?, ?, ?, ?)",
            (kind, key, text, actor, at),
        )
        return int(row.lastrowid or 0)

    def _insert_run(self, run: RunRecord, at: str) -> None:
        names = _RUN
        values = [getattr(run, name) for name in names]
        marks = ", ".join("?" * (len(names) + 1))
        self.database.execute(f"insert into run ({', '.join(names)}, at) values ({marks})", (*values, at))

    def _insert_evidence(self, run: RunRecord, evidence: Any, at: str) -> None:
        names = _EVIDENCE
        group = (ANY, ANY) if evidence.is_process else (run.modality, run.family)
        self.database.execute(
            f"insert or ignore into evidence ({', '.join(names)}, run, source, modality, family, at) "
            f"values ({', '.join('?' * (len(names) + 5))})",
            (*(getattr(evidence, name) for name in names), run.id, "run", *group, at),
        )

    def _propose(self, run: RunRecord, at: str) -> Iterator[str]:
        """Add the lessons that follow from the counts: `do` after one real gain, `avoid` after two failures."""
        for modality, is_process in ((run.modality, False), (ANY, True)):
            actions = [one.action for one in run.evidence if one.is_process == is_process]
            for row in self.rows(_COUNTS, modality, json.dumps(actions)):
                gains, against = row["gains"], row["against"]
                fails = against >= rules.AVOID_AGAINST and against > gains and not is_process
                for polarity, exists in ((DO, gains >= 1), (AVOID, fails)):
                    key = lesson_key(row["action"], polarity, modality)
                    if exists and not self.rows("select 1 from lesson where key = ?", key):
                        (words,) = self.rows("select words from action where key = ?", row["action"])
                        lesson = Lesson(
                            id=0,
                            key=key,
                            action=row["action"],
                            polarity=polarity,
                            modality=modality,
                            situation="",
                            words=words["words"],
                            reason="",
                            origin="code",
                            source=run.id,
                            state="active",
                            created_at=at,
                        )
                        self.add_lesson(lesson, "code", at)
                        yield key

    def _take(self, run: RunRecord, proposal: Proposal, forbidden: set[str], at: str) -> str:
        """Keep words of the model as the reason of a lesson about an action with evidence in this run.

        Returns why not, if not.
        """
        if proposal.action not in {evidence.action for evidence in run.evidence}:
            return "it names no action that this run has evidence about"
        if why := problem_of(proposal.words, forbidden):
            return why
        keys = [lesson_key(proposal.action, polarity, run.modality) for polarity in (DO, AVOID)]
        found = self.lessons("key in (?, ?) and state = 'active'", *keys)
        if not found:
            return "its action has brought no real gain yet"
        lesson = next((one for one in found if one.polarity == proposal.polarity), found[0])
        if not lesson.reason:
            self.change(lesson, "edit", {"reason": proposals.one_line(proposal.words)}, "model", at)
        elif proposals.similarity(lesson.reason, proposal.words) < proposals.SAME:
            return "the lesson has a reason already"
        return ""

    def _retire_unused(self, run: RunRecord, at: str) -> Iterator[str]:
        """Retire `do` lessons that many runs were shown and none used. One to avoid works where nobody tries it."""
        query = (
            "select count(*) as shown, count(evidence.id) as used from exposure "
            "left join evidence on evidence.run = exposure.run and evidence.action = ? "
            "where exposure.lesson = ? and exposure.kind = 'shown'"
        )
        for key in run.shown:
            for lesson in self.lessons("key = ? and state = 'active' and polarity = 1", key):
                row = self.database.execute(query, (lesson.action, key)).fetchone()
                if row["shown"] >= rules.UNUSED_RUNS and not row["used"]:
                    self.change(lesson, "retire", {"state": "retired"}, "code", at)
                    yield key


def now() -> str:
    """The moment, UTC, as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _lesson(row: sqlite3.Row) -> Lesson:
    return Lesson(*row)


def _choice(row: sqlite3.Row) -> Choice:
    """A row of slot, lesson and record."""
    values: list[Any] = list(row)
    end = 1 + len(_LESSON.split(", "))
    lesson, counts, flags = values[1:end], values[end:-2], map(bool, values[-2:])
    return Choice(Lesson(*lesson), Record(*counts, *flags))
