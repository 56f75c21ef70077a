"""The ledger: lessons that outlive a run, with the evidence for and against them, in one SQLite file.

What a run showed is recorded once and never changed; lessons follow from it by the rules of `rules.py`. Two runs may
write at once: each records in one transaction, and a second recording of the same run changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from context.ledger import proposals, rules
from context.ledger.database import writing
from context.ledger.lint import names_data, unsafe_in
from context.ledger.reader import LESSON_FIELDS, Reader
from context.ledger.types import (
    ANY,
    AVOID,
    DO,
    Actor,
    Learned,
    Lesson,
    Named,
    Proposal,
    RunRecord,
    lesson_key,
)

MOST_PROPOSALS = 20
"""Lessons in the model's words that one run may add or edit."""
_RUN = (
    *("id", "task", "fingerprint", "family", "modality", "metric", "seed", "model", "harness", "snapshot"),
    *("used_ledger", "lower_is_better", "attempts", "area", "final"),
)
_EVIDENCE = (
    *("action", "outcome", "reason", "attempt", "evaluation", "commit_before", "commit_after"),
    *("first_event", "last_event", "gain", "noise"),
)
_COUNTS = """
select action, sum(outcome = 'gain') as gains, sum(outcome = 'against') as against from evidence
where source = 'run' and modality = ? and action in (select value from json_each(?)) group by action
"""


class Ledger(Reader):
    """One open ledger. Use it in a `with` block. Every method raises `LedgerError` where the file cannot be used."""

    def record(self, run: RunRecord, forbidden: Iterable[str] = ()) -> Learned:
        """Record what a run showed, and add the lessons that follow. A run that is recorded already changes nothing.

        `forbidden` are words of the task that no lesson may contain.
        """
        at = run.at or now()
        with writing(self.database, self.path):
            if self.database.execute("select 1 from run where id = ?", (run.id,)).fetchone():
                return Learned(is_new=False)
            self._insert_run(run, at)
            for action in run.actions:
                self.add_action(action, "code")
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

    def add_action(self, action: Named, origin: str) -> None:
        """Add an action to the vocabulary of this ledger, within a transaction. A known one keeps its words, unless a
        stranger wrote them.

        What it needs becomes that of its lessons as well, where they ask for nothing yet.
        """
        self.database.execute(
            "insert into action (key, words, origin, needs) values (?, ?, ?, ?) on conflict do update set "
            "needs = excluded.needs where needs = '' and excluded.needs <> ''",
            (action.key, action.words, origin, action.needs),
        )
        self.database.execute(
            "update action set words = ?, origin = ? where key = ? and origin = 'import' and origin <> ?",
            (action.words, origin, action.key, origin),
        )
        if action.needs:
            for lesson in self.lessons("action = ? and needs = ''", action.key):
                self.change(lesson, "edit", {"needs": action.needs}, "code")

    def add_lesson(self, lesson: Lesson, actor: Actor, at: str) -> None:
        """Add a lesson with its operation, within a transaction. Its `id` is given by the database."""
        fields = {name: getattr(lesson, name) for name in LESSON_FIELDS.split(", ")[1:]}
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
                    if exists and (key := self._own(run, row["action"], polarity, modality, at)):
                        yield key

    def _own(self, run: RunRecord, action: str, polarity: int, modality: str, at: str) -> str:
        """Have an active lesson in the words of the code; a stranger's that waits for confirmation becomes one.

        Returns its key, or nothing if it is known already.
        """
        key = lesson_key(action, polarity, modality)
        known = self.lessons("key = ?", key)
        if known and known[0].state != "listed":
            return ""
        (named,) = self.rows("select words, needs from action where key = ?", action)
        ours = {"situation": "", "words": named["words"], "reason": "", "origin": "code", "source": run.id}
        if known:
            self.change(known[0], "edit", {**ours, "state": "active"}, "code", at)
            return key
        lesson = Lesson(
            id=0,
            key=key,
            action=action,
            polarity=polarity,
            modality=modality,
            needs=named["needs"],
            state="active",
            created_at=at,
            **ours,
        )
        self.add_lesson(lesson, "code", at)
        return key

    def _take(self, run: RunRecord, proposal: Proposal, forbidden: set[str], at: str) -> str:
        """Keep words of the model as the reason of a lesson about an action with evidence in this run.

        Returns why not, if not.
        """
        if not proposal.source and proposal.action not in {evidence.action for evidence in run.evidence}:
            return "it names no action that this run has evidence about"
        if why := unsafe_in(proposal.words):
            return why
        if names_data(proposal.words, forbidden):
            return self._take_for_task(run, proposal, at)
        keys = [lesson_key(proposal.action, polarity, run.modality) for polarity in (DO, AVOID)]
        known = self.lessons("key in (?, ?)", *keys)
        found = [one for one in known if one.state == "active"]
        if not found and proposal.source:
            if state := next((one.state for one in known if one.polarity == proposal.polarity), ""):
                return f"its lesson is {state}"
            # From a comparison of two branches: it waits for the first real gain of its action.
            self._add_words(run, proposal, at)
            return ""
        if not found:
            return "its action has brought no real gain yet"
        lesson = next((one for one in found if one.polarity == proposal.polarity), found[0])
        if not lesson.reason:
            self.change(lesson, "edit", {"reason": proposals.one_line(proposal.words)}, "model", at)
        elif proposals.similarity(lesson.reason, proposal.words) < proposals.SAME:
            return "the lesson has a reason already"
        return ""

    def _take_for_task(self, run: RunRecord, proposal: Proposal, at: str) -> str:
        """Keep words that name the task or its data for later runs of this task alone. Returns why not, if not."""
        if not run.fingerprint or proposal.source:
            return "it names the task or its data"
        key = lesson_key(proposal.action, proposal.polarity, run.modality, run.fingerprint)
        if self.rows("select 1 from lesson where key = ?", key):
            return "this task has a lesson about it already"
        self._add_words(run, proposal, at, task=run.fingerprint)
        return ""

    def _add_words(self, run: RunRecord, proposal: Proposal, at: str, task: str = "") -> None:
        """A new lesson in the model's words, for all tasks of the modality or for one."""
        (named,) = self.rows("select words, needs from action where key = ?", proposal.action)
        lesson = Lesson(
            id=0,
            key=lesson_key(proposal.action, proposal.polarity, run.modality, task),
            action=proposal.action,
            polarity=proposal.polarity,
            modality=run.modality,
            situation="",
            words=named["words"],
            reason=proposals.one_line(proposal.words),
            origin="model",
            source=f"{run.id}: {proposal.source}" if proposal.source else run.id,
            state="active",
            created_at=at,
            needs=named["needs"],
            task=task,
        )
        self.add_lesson(lesson, "model", at)

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
