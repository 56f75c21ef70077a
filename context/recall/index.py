"""Recall: full text of everything the model was shown or wrote, found by words, by event or by path.

A full-text index (SQLite, FTS5) in the run folder, built from the journal; it can be deleted at any time. It contains
only events whose audience is the model, so that what is for people alone cannot be found.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from context.recall.snippets import Passage, excerpt, match_any, render_passages
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
from runs.views.messages import split_thinking

Answer = TypeVar("Answer")
NAME = "recall.sqlite"
TOOL = "recall"
VERSION = "2"
PASSAGE_BYTES = 1_200
MOST_HITS = 40
CANDIDATES = 300
"""Passages that are searched line by line before the best are shown."""
RANKED = 2_000
"""Above this many matches ranking is slow and useless: the latest are taken instead."""
MOST_WORDS = 24
QUERY_CHARACTERS, WORD_CHARACTERS = 2_000, 100
FLUSH = 64
"""Events that are written together."""
_WORD = re.compile(r"[\w][\w.\-/=:+]*", re.UNICODE)
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*")
_SUFFIX = re.compile(r"(?<=[\w.-])\.\w{1,11}\b")
_ROWS = "select rowid from passages where passages match ? limit ?"
_FILES = (
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
    """The index of one run. `note` adds events as they are recorded; a question first catches up with the journal."""

    def __init__(self, folder: Path) -> None:
        """The index in a run folder; the file is opened, or built, by the first question."""
        self.folder = folder
        self._waiting: list[Event] = []
        self._titles: dict[str, str] = {}
        self._next = 0
        self._is_behind = True
        self._database: sqlite3.Connection | None = None

    def note(self, event: Event) -> None:
        """Add one event; it is written together with later ones."""
        if event.audience != "model" or self._is_behind:  # before the first question the journal is enough
            return
        self._waiting.append(event)
        if len(self._waiting) >= FLUSH:
            try:
                self._flush()
            except sqlite3.Error:  # an index error must not stop a run: the next question rebuilds it
                self._discard()

    def search(self, query: str, tokens: int) -> str:
        """The passages that match the words best, within `tokens`."""
        return self._answer(lambda: self._search(query, tokens))

    def _search(self, query: str, tokens: int) -> str:
        passages = self._matches(query)
        if not passages:
            return f"no match for {query[:80]!r}"
        return render_passages(passages, tokens, f"passages: {len(passages)}")

    def event(self, seq: int, tokens: int) -> str:
        """One event, within `tokens`."""
        passages = self._answer(lambda: self._passages(seq)) if seq < 2**63 else []
        if not passages:
            return f"event {seq} has no text"
        whole = "".join(passage.text for passage in passages)
        return render_passages([Passage(seq, passages[0].title, whole)], tokens, "events: 1")

    def path(self, path: str, tokens: int) -> str:
        """Calls that wrote, read or mentioned a path, latest first; where there are none, a search for the path."""
        return self._answer(lambda: self._path(path, tokens))

    def _path(self, path: str, tokens: int) -> str:
        # Paths are stored reversed, so that the index finds `src/train.py` for `train.py`.
        end = _replace_surrogates(path.removeprefix("./"))[::-1]
        rows = self._open().execute(_FILES, (end, f"{end}/", f"{end}0", MOST_HITS))  # "0" follows "/" in ASCII
        calls = [(int(seq), str(what)) for seq, what in rows]
        if not calls:
            return self._search(path, tokens)
        passages = []
        for seq, what in calls:
            parts = self._passages(seq)
            title = f"{what}; {parts[0].title}" if parts else what
            passages.append(Passage(seq, title, "".join(part.text for part in parts)))
        return render_passages(passages, tokens, f"events: {len(passages)}, latest first")

    def close(self) -> None:
        """Close the index file."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    # ---------------------------------------------------------------------------------------------------- searching

    def _passages(self, seq: int) -> list[Passage]:
        rows = self._open().execute(
            "select title, text from spans join passages on passages.rowid between first and last "
            "where spans.seq = ? order by passages.rowid",
            (seq,),
        )
        return [Passage(seq, row[0], row[1]) for row in rows]

    def _matches(self, query: str) -> list[Passage]:
        """The best passages with all words, or with any of them if none has all."""
        words = list(dict.fromkeys(word[:WORD_CHARACTERS] for word in _WORD.findall(query[:QUERY_CHARACTERS])))
        words = words[:MOST_WORDS]
        if not words:
            return []
        pattern = match_any(words)
        for operator in (" ", " OR "):
            rows = self._candidates(operator.join(f'"{word}"' for word in words))
            if hits := [(seq, title, *excerpt(text, pattern)) for seq, title, text in rows]:
                # A line with all the words says more than a passage in which they are scattered.
                ranked = sorted(hits, key=lambda hit: -hit[2])
                return [Passage(seq, title, text) for seq, title, _, text in ranked[:MOST_HITS]]
        return []

    def _candidates(self, match: str) -> list[tuple[int, str, str]]:
        is_rare = len(self._open().execute(_ROWS, (match, RANKED + 1)).fetchall()) <= RANKED
        order = "rank" if is_rare else "rowid desc"
        rows = self._open().execute(
            f"select seq, title, text from passages where passages match ? order by {order} limit ?",
            (match, CANDIDATES),
        )
        return [(int(row[0]), str(row[1]), row[2]) for row in rows]

    # --------------------------------------------------------------------------------------------------- building

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        path = self.folder / NAME
        try:
            database = _open_database(path)
        except sqlite3.DatabaseError:
            self._discard()
            database = _open_database(path)
        row = database.execute("select value from facts where name = 'next'").fetchone()
        self._next = int(row[0]) if row else 0
        return database

    def _answer(self, question: Callable[[], Answer]) -> Answer:
        """Ask an index that is up to date; rebuild a broken one once. Raises `OSError` if that fails too."""
        try:
            self._catch_up()
            return question()
        except sqlite3.Error:
            self._discard()
        try:
            self._catch_up()
            return question()
        except sqlite3.Error as error:
            self._discard()
            raise OSError(f"recall does not work at the moment ({error}); continue without it") from None

    def _discard(self) -> None:
        self.close()
        for name in (NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal"):
            (self.folder / name).unlink(missing_ok=True)
        self._waiting.clear()
        self._is_behind = True

    def _catch_up(self) -> None:
        """Index all recorded events: from the journal the first time, then those passed to `note`."""
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
            full_title = f"attempt {event.attempt}, {title}" if event.attempt else title
            rows = [
                database.execute(
                    "insert into passages (text, seq, title) values (?, ?, ?)", (piece, event.seq, full_title)
                )
                for piece in _split(_replace_surrogates(text))
            ]
            if rows:
                span = (event.seq, (rows[-1].lastrowid or 0) - len(rows) + 1, rows[-1].lastrowid)
                database.execute("insert or replace into spans values (?, ?, ?)", span)
        files = ((_replace_surrogates(path)[::-1], event.seq, what) for path, what in dict.fromkeys(_paths(event)))
        database.executemany("insert into files values (?, ?, ?)", files)

    def _texts(self, event: Event) -> Iterator[tuple[str, str]]:
        # Calls and results of `recall` itself are left out: a search would find them before what it is for.
        if isinstance(event, ToolFinished):
            if event.name != TOOL:
                yield f"result of {self._titles.get(event.call, event.name)}", event.content
        elif isinstance(event, ModelReplied):
            self._titles = {call.id: f"{call.name} {' '.join(call.arguments.split())[:100]}" for call in event.calls}
            yield "your reply", _reply_text(event)
        elif isinstance(event, TaskDescribed):
            yield "task card", event.card
        elif isinstance(event, Reminded):
            yield "the harness", event.text
        elif isinstance(event, CheckpointTaken):
            yield "your checkpoint", "\n".join([*event.done, *event.decided, *event.todo])
        elif isinstance(event, AttemptEnded):
            report = [event.did, event.criticism, event.next, *event.lessons]
            yield f"end of attempt ({event.why})", "\n".join(filter(None, report))
        elif isinstance(event, EvaluationStarted):
            yield "evaluation started", f"evaluation {event.evaluation} of commit {event.commit}: {event.command}"
        elif isinstance(event, JobFinished):
            yield "job ended", f"job {event.job} {event.ended}, exit {event.exit_code}"


def _open_database(path: Path) -> sqlite3.Connection:
    # The index is rebuilt after a power cut, so no write waits for the disk.
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


def _split(text: str) -> Iterator[str]:
    """Passages of about `PASSAGE_BYTES` characters, split at line ends if there are any nearby."""
    start = 0
    while start < len(text):
        end = start + PASSAGE_BYTES
        line_end = text.rfind("\n", start + PASSAGE_BYTES // 2, end) + 1 if end < len(text) else 0
        yield text[start : line_end or end]
        start = line_end or end


def _paths(event: Event) -> Iterator[tuple[str, str]]:
    """The paths that the calls of a reply name, each with the kind of call."""
    if not isinstance(event, ModelReplied):
        return
    for call in event.calls:
        arguments = _arguments(call.arguments)
        if isinstance(path := arguments.get("path"), str):
            yield path.removeprefix("./"), call.name
        if isinstance(command := arguments.get("command"), str):
            paths = islice(_paths_in(command), 20)
            yield from ((path.removeprefix("./"), f"{call.name} command") for path in paths)


def _paths_in(command: str) -> Iterator[str]:
    """The words of a command that name a file with a suffix, in linear time."""
    for word in _PATH.finditer(command):
        ends = [match.end() for match in _SUFFIX.finditer(word[0])]
        if ends:
            yield word[0][: ends[-1]]


def _arguments(text: str) -> dict[str, object]:
    try:
        arguments = json.loads(text)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _reply_text(event: ModelReplied) -> str:
    said, thought = split_thinking(event.message)
    calls = (f"{call.name}: {_values(call.arguments)}" for call in event.calls if call.name != TOOL)
    return "\n".join(part for part in (thought, said, *calls) if part)


def _values(arguments: str) -> str:
    """The values of a call's arguments without JSON escapes; text that is no JSON as it is."""
    values = _arguments(arguments).values()
    return "\n".join(map(str, values)) if values else arguments


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
