"""Recall: full text of everything the model was shown or wrote, found by words, by event or by path.

A full-text index (SQLite, FTS5) in the run folder, built from the journal; it can be deleted at any time. It contains
only events whose audience is the model, so that what is for people alone cannot be found.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from context.recall import store
from context.recall.documents import apply_change
from context.recall.ranking import Fit, Question, rate, weigh_words
from context.recall.snippets import EXCERPT_BYTES, Passage, cut_bytes, excerpt, render_passages
from context.tokens import bytes_for
from runs.events.registry import Event
from runs.journal import read_events

Answer = TypeVar("Answer")
MOST_HITS = 40
CANDIDATES = 300
"""Passages that are rated line by line before the best are shown."""
RANKED = 20_000
"""Above this many matches a word only slows the search down, unless all words are as frequent."""
BEST, BEST_BYTES = 3, 550
"""The first excerpts are longer."""
FLUSH = 64
"""Events that are written together."""
PATH_HITS = 12


class Recall:
    """The index of one run. `note` adds events as they are recorded; a question first catches up with the journal.

    Questions name the attempt that asks: it finds its own events and those of ended attempts. Threads may share it.
    """

    def __init__(self, folder: Path, index_folder: Path | None = None) -> None:
        """The index of a run, kept in `index_folder` or its folder; the first question opens the file, or builds it."""
        self.folder, self._index_folder = folder, index_folder or folder
        self._waiting: list[Event] = []
        self._is_behind = True
        self._store: store.Store | None = None
        self._lock = threading.RLock()

    def note(self, event: Event) -> None:
        """Add one event; it is written together with later ones."""
        with self._lock:
            if event.audience != "model" or self._is_behind:  # before the first question the journal is enough
                return
            self._waiting.append(event)
            if len(self._waiting) >= FLUSH:
                try:
                    self._flush()
                except sqlite3.Error:  # an index error must not stop a run: the next question rebuilds it
                    self._discard()

    def search(self, query: str, tokens: int, attempt: int = 0) -> str:
        """Excerpts that answer a question in plain words, within `tokens`: first those with the whole question."""
        return self._answer(lambda: self._search(query, tokens, attempt))

    def event(self, seq: int, tokens: int) -> str:
        """One event, within `tokens`."""
        found = self._answer(lambda: self._whole(seq)) if seq < 2**63 else None
        return render_passages([found], tokens, "events: 1") if found else f"event {seq} has no text"

    def path(self, path: str, tokens: int, attempt: int = 0, content: Passage | None = None) -> str:
        """The last content of a file and the calls that named it, latest first; without any, a search for the path.

        `content` is what a commit holds of it; the newer one of that and of what was written is shown.
        """
        return self._answer(lambda: self._path(path, tokens, attempt, content))

    def close(self) -> None:
        """Close the index file."""
        if self._store is not None:
            self._store.close()
            self._store = None

    # ---------------------------------------------------------------------------------------------------- searching

    def _search(self, query: str, tokens: int, attempt: int) -> str:
        question, view = Question.read(query), self._open().view_of(attempt)
        rated = self._rated(question, view)
        if not rated:
            return self._nothing(question, view, tokens)
        exact = sum(fit.exact for fit, _, _ in rated)
        passages = [Passage(row.seq, row.title, text) for _, row, text in rated]
        counted = f" ({exact} with these exact words)" if exact else ""
        return render_passages(passages, tokens, f"passages: {len(passages)}{counted}")

    def _rated(self, question: Question, view: store.View) -> list[tuple[Fit, store.Row, str]]:
        """The passages that fit best, each with its excerpt; what stands in a better one already is left out."""
        index, expressions = self._open(), question.expressions()
        counts = [index.count(expression) for expression in expressions]
        used = [word for word, count in zip(expressions, counts, strict=True) if 0 < count <= RANKED] or expressions
        rows = index.candidates(" OR ".join(used), view, CANDIDATES) if used else []
        weights = weigh_words(counts, index.size())
        fits = [(rate(question, row.call, row.text, weights), row) for row in rows]
        fits.sort(key=lambda one: (-one[0].exact, -one[0].score, -one[1].seq))
        shown: list[tuple[Fit, store.Row, str]] = []
        known: list[set[str]] = []
        for fit, row in fits:
            size = BEST_BYTES if len(shown) < BEST else EXCERPT_BYTES
            text = excerpt(row.text, fit.lines, question.pattern, size)
            lines = {line.strip() for line in text.split("\n")}
            if not any(lines <= seen for seen in known):
                shown.append((fit, row, text))
                known.append(lines)
            if len(shown) == MOST_HITS:
                break
        return shown

    def _nothing(self, question: Question, view: store.View, tokens: int) -> str:
        events, attempts = self._open().coverage(view)
        words = ", ".join(question.words) or "no word"
        return cut_bytes(
            f"no match in {events} events of {attempts} attempts for any of: {cut_bytes(words, 200)}. "
            "Try other words, `path` for a file, or `event` for a number",
            bytes_for(tokens),
        )

    def _whole(self, seq: int) -> Passage | None:
        row = self._open().event(seq)
        return Passage(seq, row.title, row.text) if row else None

    def _path(self, path: str, tokens: int, attempt: int, content: Passage | None) -> str:
        index = self._open()
        mentions = index.mentions(path.removeprefix("./"), index.view_of(attempt))
        written = self._last_written(mentions)
        newest = max((one for one in (written, content) if one), key=lambda one: one.seq, default=None)
        if not mentions and newest is None:
            return self._search(path, tokens, attempt)
        calls = []
        for mention in mentions[:PATH_HITS]:
            if row := index.event(mention.seq):
                calls.append(Passage(mention.seq, f"{mention.what}; {row.title}", row.text))
        shown = [*([newest] if newest else []), *calls]
        return render_passages(shown, tokens, f"last content and {len(calls)} calls, latest first")

    def _last_written(self, mentions: list[store.Mentioned]) -> Passage | None:
        """The content of the path that was written last, as far as the calls that wrote it tell."""
        latest = next((one for one in mentions if one.change), None)
        if latest is None:
            return None
        content: str | None = None
        for one in reversed([one for one in mentions if one.change and one.path == latest.path]):
            content = apply_change(content, one.change)
        if content is None:
            return None
        return Passage(latest.seq, f"{latest.path} as {latest.what} left it, attempt {latest.attempt}", content)

    # --------------------------------------------------------------------------------------------------- keeping up

    def _open(self) -> store.Store:
        if self._store is None:
            try:
                self._store = store.Store(self._index_folder)
            except sqlite3.DatabaseError:
                self._discard()
                self._store = store.Store(self._index_folder)
        return self._store

    def _answer(self, question: Callable[[], Answer]) -> Answer:
        """Ask an index that is up to date; rebuild a broken one once. Raises `OSError` if that fails too."""
        with self._lock:
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
        with contextlib.suppress(OSError):
            store.delete(self._index_folder)
        self._waiting.clear()
        self._is_behind = True

    def _catch_up(self) -> None:
        """Index all recorded events: from the journal the first time, then those passed to `note`."""
        index = self._open()
        if self._is_behind:
            index.write(read_events(self.folder))
            self._waiting.clear()
            self._is_behind = False
        self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._open().write(iter(self._waiting))
            self._waiting.clear()
