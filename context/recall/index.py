"""Recall: full text of everything the model was ever shown or said, found again by words, by event or by path.

An index over the journal (SQLite, FTS5) in the run's folder: it can be deleted and is built again. Only events whose
audience is the model are in it, so what is for people alone cannot be found.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from context.recall.snippets import Passage, excerpt, pattern, shown
from runs.events.registry import (
    AttemptEnded,
    CheckpointTaken,
    EvaluationStarted,
    Event,
    JobFinished,
    ModelReplied,
    Reminded,
    TaskDescribed,
    ToolFinished,
)
from runs.journal import read_events
from runs.views.messages import said_and_thought

A = TypeVar("A")
NAME = "recall.sqlite"
TOOL = "recall"
VERSION = "2"
PASSAGE_BYTES = 1_200
MOST_HITS = 40
CANDIDATES = 300
"""Passages that are looked at line by line before the best are shown."""
RANKED = 2_000
MOST_WORDS = 24
FLUSH = 64
_WORD = re.compile(r"[\w][\w.\-/=:+]*", re.UNICODE)
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.\w{1,11}\b")
_ROWS = "select rowid from passages where passages match ? limit ?"
_TOUCHED = (
    "select distinct seq, what from files where backwards = ? or (backwards > ? and backwards < ?) "
    "order by seq desc limit ?"
)
_SCHEMA = """
create table if not exists facts (name text primary key, value text);
create virtual table if not exists passages using fts5(text, seq unindexed, title unindexed, tokenize = 'unicode61');
create table if not exists spans (seq integer primary key, first integer, last integer);
create table if not exists files (backwards text, seq integer, what text);
create index if not exists files_by_end on files (backwards, seq);
"""


class Recall:
    """The index of one run, kept up to date by `note` and brought up to date by `catch_up`."""

    def __init__(self, folder: Path) -> None:
        """Open the index in a run's folder, or make it anew where there is none or it cannot be read."""
        self.folder = folder
        self._waiting: list[Event] = []
        self._titles: dict[str, str] = {}
        self._next = 0
        self._is_behind = True
        self._database: sqlite3.Connection | None = None

    def note(self, event: Event) -> None:
        """Take one more event into account; it is written with the next ones."""
        if event.audience != "model" or self._is_behind:  # until it is asked for, the journal alone holds them
            return
        self._waiting.append(event)
        if len(self._waiting) >= FLUSH:
            try:
                self._flush()
            except sqlite3.Error:  # no run stops for its index: the next question builds it anew
                self._forget()

    def search(self, query: str, tokens: int) -> str:
        """The passages that fit the words best, within `tokens`."""
        return self._answered(lambda: self._search(query, tokens))

    def _search(self, query: str, tokens: int) -> str:
        found = self._matches(query)
        if not found:
            return f"nothing on record has the words {query[:80]!r}"
        return shown(found, tokens, f"{len(found)} passages")

    def event(self, seq: int, tokens: int) -> str:
        """One event whole, as far as `tokens` go."""
        passages = self._answered(lambda: self._passages(seq)) if seq < 2**63 else []
        if not passages:
            return f"event {seq} holds nothing for you to read"
        whole = "".join(passage.text for passage in passages)
        return shown([Passage(seq, passages[0].title, whole)], tokens, "1 event")

    def path(self, path: str, tokens: int) -> str:
        """What was written to, read from or said about a path, latest first."""
        return self._answered(lambda: self._path(path, tokens))

    def _path(self, path: str, tokens: int) -> str:
        # Paths are kept letter by letter from their end, so that `train.py` finds `src/train.py` by the index.
        end = _sound(path.removeprefix("./"))[::-1]
        rows = self._open().execute(_TOUCHED, (end, f"{end}/", f"{end}0", MOST_HITS))  # "0" comes next after "/"
        touched = [(int(seq), str(what)) for seq, what in rows]
        if not touched:
            return self._search(path, tokens)
        passages = []
        for seq, what in touched:
            found = self._passages(seq)
            title = f"{what}; {found[0].title}" if found else what
            passages.append(Passage(seq, title, "".join(one.text for one in found)))
        return shown(passages, tokens, f"{len(passages)} events, latest first")

    def close(self) -> None:
        """Let go of the index."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    # ---------------------------------------------------------------------------------------------------- finding

    def _passages(self, seq: int) -> list[Passage]:
        rows = self._open().execute(
            "select title, text from spans join passages on passages.rowid between first and last "
            "where spans.seq = ? order by passages.rowid",
            (seq,),
        )
        return [Passage(seq, row[0], row[1]) for row in rows]

    def _matches(self, query: str) -> list[Passage]:
        words = list(dict.fromkeys(_WORD.findall(query)))[:MOST_WORDS]
        wanted = pattern(words)
        for joint in (" ", " OR "):
            if not words:
                break
            match = joint.join(f'"{word}"' for word in words)
            # Ranking thousands of passages takes long and says little: of words that common, the latest are looked at.
            few = len(self._open().execute(_ROWS, (match, RANKED + 1)).fetchall()) <= RANKED
            order = "rank" if few else "rowid desc"
            rows = self._open().execute(
                f"select seq, title, text from passages where passages match ? order by {order} limit ?",
                (match, CANDIDATES),
            )
            if found := [(int(row[0]), str(row[1]), *excerpt(row[2], wanted)) for row in rows]:
                # A line that holds all the words says more than a passage in which they are scattered.
                ranked = sorted(found, key=lambda one: -one[2])
                return [Passage(seq, title, text) for seq, title, _, text in ranked[:MOST_HITS]]
        return []

    # --------------------------------------------------------------------------------------------------- building

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        path = self.folder / NAME
        try:
            database = _prepared(path)
        except sqlite3.DatabaseError:
            self._forget()
            database = _prepared(path)
        row = database.execute("select value from facts where name = 'next'").fetchone()
        self._next = int(row[0]) if row else 0
        return database

    def _answered(self, question: Callable[[], A]) -> A:
        """The answer of an index that is up to date. One that turns out to be broken is built anew, once: an index can
        be lost without loss, so it must never stop a run. Raises `OSError` where even that fails."""
        try:
            self._catch_up()
            return question()
        except sqlite3.Error:
            self._forget()
        try:
            self._catch_up()
            return question()
        except sqlite3.Error as error:
            self._forget()
            raise OSError(f"the index of the record cannot be used now ({error})") from None

    def _forget(self) -> None:
        self.close()
        for name in (NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal"):
            (self.folder / name).unlink(missing_ok=True)
        self._waiting.clear()
        self._is_behind = True

    def _catch_up(self) -> None:
        """Bring the index to the last event: from the journal the first time, then from what was noted."""
        self._open()
        if self._is_behind:
            self._write(event for event in read_events(self.folder) if event.seq >= self._next)
            self._waiting.clear()
            self._is_behind = False
        self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._write(event for event in self._waiting if event.seq >= self._next)
            self._waiting.clear()

    def _write(self, events: Iterable[Event]) -> None:
        database = self._open()
        with database:
            for event in events:
                self._next = event.seq + 1
                if event.audience == "model":
                    self._add(database, event)
            database.execute("insert or replace into facts values ('next', ?)", (str(self._next),))

    def _add(self, database: sqlite3.Connection, event: Event) -> None:
        for title, text in self._texts(event):
            where = f"attempt {event.attempt}, {title}" if event.attempt else title
            rows = [
                database.execute("insert into passages (text, seq, title) values (?, ?, ?)", (piece, event.seq, where))
                for piece in _pieces(_sound(text))
            ]
            if rows:
                span = (event.seq, (rows[-1].lastrowid or 0) - len(rows) + 1, rows[-1].lastrowid)
                database.execute("insert or replace into spans values (?, ?, ?)", span)
        touched = dict.fromkeys(_paths(event))
        rows_of_files = ((_sound(path)[::-1], event.seq, what) for path, what in touched)
        database.executemany("insert into files values (?, ?, ?)", rows_of_files)

    def _texts(self, event: Event) -> Iterator[tuple[str, str]]:
        # Its own calls and answers are left out: they would be found before what they were asked for.
        if isinstance(event, ToolFinished):
            if event.name == TOOL:
                return
            yield f"result of {self._titles.get(event.call, event.name)}", event.content
        elif isinstance(event, ModelReplied):
            self._titles = {call.id: f"{call.name} {' '.join(call.arguments.split())[:100]}" for call in event.calls}
            said, thought = said_and_thought(event.message)
            calls = "\n".join(f"{one.name}: {_readable(one.arguments)}" for one in event.calls if one.name != TOOL)
            yield "your reply", "\n".join(part for part in (thought, said, calls) if part)
        elif isinstance(event, TaskDescribed):
            yield "task card", event.card
        elif isinstance(event, Reminded):
            yield "the harness", event.text
        elif isinstance(event, CheckpointTaken):
            yield "your checkpoint", "\n".join([*event.done, *event.decided, *event.todo])
        elif isinstance(event, AttemptEnded):
            words = [event.did, event.criticism, event.next, *event.lessons]
            yield f"end of attempt ({event.why})", "\n".join(filter(None, words))
        elif isinstance(event, EvaluationStarted):
            yield "evaluation started", f"evaluation {event.evaluation} of commit {event.commit}: {event.command}"
        elif isinstance(event, JobFinished):
            yield "job ended", f"job {event.job} {event.ended}, exit {event.exit_code}"


def _prepared(path: Path) -> sqlite3.Connection:
    # What is lost in a power cut is built again, so nothing waits for the disk.
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode = memory")
    database.execute("pragma synchronous = off")
    database.executescript(_SCHEMA)
    row = database.execute("select value from facts where name = 'version'").fetchone()
    if row and row[0] != VERSION:
        database.close()
        raise sqlite3.DatabaseError("made by another version")
    database.execute("insert or replace into facts values ('version', ?)", (VERSION,))
    database.execute("select count(*) from files limit 1").fetchone()
    database.isolation_level = "DEFERRED"
    return database


def _pieces(text: str) -> Iterator[str]:
    """A text in passages of about `PASSAGE_BYTES` characters, cut at line ends where there are any near."""
    start = 0
    while start < len(text):
        end = start + PASSAGE_BYTES
        cut = text.rfind("\n", start + PASSAGE_BYTES // 2, end) + 1 if end < len(text) else 0
        yield text[start : cut or end]
        start = cut or end


def _paths(event: Event) -> Iterator[tuple[str, str]]:
    if not isinstance(event, ModelReplied):
        return
    for call in event.calls:
        try:
            arguments = json.loads(call.arguments)
        except ValueError:
            continue
        if not isinstance(arguments, dict):
            continue
        if isinstance(path := arguments.get("path"), str):
            yield path.removeprefix("./"), call.name
        if isinstance(command := arguments.get("command"), str):
            yield from ((path.removeprefix("./"), f"{call.name} command") for path in _PATH.findall(command)[:20])


def _readable(arguments: str) -> str:
    try:
        fields = json.loads(arguments)
    except ValueError:
        return arguments
    return "\n".join(map(str, fields.values())) if isinstance(fields, dict) else arguments


def _sound(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
