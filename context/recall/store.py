"""The tables of the recall index: passages for the full-text search, whole events, and the files that calls named."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from context.recall.documents import Document, Documents
from runs.events.registry import AttemptEnded, Event, ModelReplied

NAME = "recall.sqlite"
VERSION = "3"
PASSAGE_CHARACTERS = 1_200
MOST_MENTIONS = 60
_SCHEMA = """
create table if not exists facts (name text primary key, value text);
create virtual table if not exists passages using fts5(
    text, call, seq unindexed, attempt unindexed, tokenize = 'porter unicode61');
create table if not exists events (seq integer primary key, attempt integer, title text, text text, searched integer);
create table if not exists ended (attempt integer primary key);
create table if not exists turns (attempt integer primary key, seq integer);
create table if not exists files (backwards text, seq integer, attempt integer, what text, change text);
create index if not exists files_by_end on files (backwards, seq);
"""


@dataclass(frozen=True)
class View:
    """What an attempt may find: the run's own events, its own, and those of ended attempts, before event `before`.

    Attempt 0 finds everything.
    """

    attempt: int = 0
    before: int = 2**62

    def condition(self, table: str) -> tuple[str, tuple[int, int, int]]:
        """The condition on a table's `attempt` and `seq`, with its values."""
        text = f"(? = 0 or {table}.attempt in (0, ?) or {table}.attempt in (select attempt from ended))"
        return f"{text} and {table}.seq < ?", (self.attempt, self.attempt, self.before)


@dataclass(frozen=True)
class Row:
    """A passage or a whole event. `title` is its kind and attempt, `call` the beginning of the call it answers."""

    seq: int
    title: str
    call: str
    text: str


@dataclass(frozen=True)
class Mentioned:
    """A recorded call that named a path; `change` as in `documents.Mention`."""

    path: str
    seq: int
    attempt: int
    what: str
    change: str


class Store:
    """The open index file. Raises sqlite3.Error if the file is damaged."""

    def __init__(self, folder: Path) -> None:
        """Open or create the file in a folder."""
        self._database = _open_database(folder / NAME)
        row = self._database.execute("select value from facts where name = 'next'").fetchone()
        self._next = int(row[0]) if row else 0
        self._documents = Documents()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    # ---------------------------------------------------------------------------------------------------- reading

    def count(self, expression: str) -> int:
        """How many passages match a full-text expression."""
        rows = self._database.execute("select count(*) from passages where passages match ?", (expression,))
        return int(rows.fetchone()[0])

    def size(self) -> int:
        """The number of passages."""
        return int(self._database.execute("select count(*) from passages_docsize").fetchone()[0])

    def candidates(self, match: str, view: View, most: int) -> list[Row]:
        """The passages in view that match best."""
        visible, values = view.condition("passages")
        rows = self._database.execute(
            "select passages.seq, events.title, call, passages.text from passages "
            f"join events on events.seq = passages.seq where passages match ? and {visible} "
            "order by bm25(passages, 1.0, 0.5) limit ?",
            (match, *values, most),
        )
        return [Row(int(seq), str(title), str(call), str(text)) for seq, title, call, text in rows]

    def event(self, seq: int) -> Row | None:
        """One event, whole."""
        row = self._database.execute("select title, text from events where seq = ?", (seq,)).fetchone()
        return Row(seq, str(row[0]), "", str(row[1])) if row else None

    def mentions(self, path: str, view: View) -> list[Mentioned]:
        """The calls in view that named a path or one that ends with it, latest first."""
        visible, values = view.condition("files")
        # Paths are stored reversed, so that the index finds `src/train.py` for `train.py`.
        end = replace_surrogates(path)[::-1]
        rows = self._database.execute(
            "select distinct backwards, seq, attempt, what, change from files "
            f"where (backwards = ? or (backwards > ? and backwards < ?)) and {visible} order by seq desc limit ?",
            (end, f"{end}/", f"{end}0", *values, MOST_MENTIONS),  # "0" follows "/" in ASCII
        )
        return [Mentioned(str(row[0])[::-1], int(row[1]), int(row[2]), str(row[3]), str(row[4])) for row in rows]

    def view_of(self, attempt: int) -> View:
        """What an attempt finds: nothing of its last reply, which is the one that asks."""
        row = self._database.execute("select seq from turns where attempt = ?", (attempt,)).fetchone()
        return View(attempt, int(row[0])) if row and attempt else View(attempt)

    def coverage(self, view: View) -> tuple[int, int]:
        """How many events and attempts a search covers."""
        visible, values = view.condition("events")
        row = self._database.execute(
            f"select count(*), count(distinct nullif(attempt, 0)) from events where searched and {visible}",
            values,
        ).fetchone()
        return int(row[0]), int(row[1])

    # ---------------------------------------------------------------------------------------------------- writing

    def write(self, events: Iterable[Event]) -> None:
        """Add events, those that were added already excepted. Earlier ones are read for the calls they hold."""
        with self._database:
            for event in events:
                document = self._documents.of(event) if event.audience == "model" else None
                if event.seq < self._next:
                    continue
                self._next = event.seq + 1
                if event.audience == "model":
                    self._add(event, document)
            self._database.execute("insert or replace into facts values ('next', ?)", (str(self._next),))

    def _add(self, event: Event, document: Document | None) -> None:
        insert = self._database.execute
        if isinstance(event, AttemptEnded):
            insert("insert or replace into ended values (?)", (event.attempt,))
        if isinstance(event, ModelReplied):
            insert("insert or replace into turns values (?, ?)", (event.attempt, event.seq))
        if document is not None:
            kind = replace_surrogates(document.kind)
            title = f"attempt {event.attempt}, {kind}" if event.attempt else kind
            row = (event.seq, event.attempt, title, replace_surrogates(document.whole), bool(document.searched))
            insert("insert or replace into events values (?, ?, ?, ?, ?)", row)
            call = replace_surrogates(document.title)
            for piece in _split(replace_surrogates(document.searched)):
                insert("insert into passages values (?, ?, ?, ?)", (piece, call, event.seq, event.attempt))
        for mention in self._documents.mentions(event):
            backwards, change = replace_surrogates(mention.path)[::-1], replace_surrogates(mention.change)
            insert(
                "insert into files values (?, ?, ?, ?, ?)", (backwards, event.seq, event.attempt, mention.what, change)
            )


def delete(folder: Path) -> None:
    """Delete the index in a folder. Raises OSError."""
    for name in (NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal"):
        (folder / name).unlink(missing_ok=True)


def _open_database(path: Path) -> sqlite3.Connection:
    # The index is rebuilt after a power cut, so no write waits for the disk.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)  # `Recall` holds a lock
    try:
        database.execute("pragma journal_mode = memory")
        database.execute("pragma synchronous = off")
        _check_version(database)
        database.executescript(_SCHEMA)
        database.execute("insert or replace into facts values ('version', ?)", (VERSION,))
        database.execute("select count(*) from files limit 1").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    database.isolation_level = "DEFERRED"
    return database


def _check_version(database: sqlite3.Connection) -> None:
    if not database.execute("select 1 from sqlite_master where name = 'facts'").fetchone():
        return
    row = database.execute("select value from facts where name = 'version'").fetchone()
    if row and row[0] != VERSION:
        raise sqlite3.DatabaseError("made by another version")


def _split(text: str) -> Iterator[str]:
    """Passages of about `PASSAGE_CHARACTERS`, split at line ends if there are any nearby."""
    start = 0
    while start < len(text):
        end = start + PASSAGE_CHARACTERS
        line_end = text.rfind("\n", start + PASSAGE_CHARACTERS // 2, end) + 1 if end < len(text) else 0
        yield text[start : line_end or end]
        start = line_end or end


def replace_surrogates(text: str) -> str:
    """A text that SQLite can store."""
    return text.encode("utf-8", "replace").decode()
