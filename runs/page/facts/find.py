"""Full-text search over all texts of a run, without an index: the journal, its blobs and the outputs of jobs are read
once a search.

Upper and lower case of ASCII letters are the same. Of a text in a blob the blob itself is searched.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from pydantic_core import from_json

from runs.blobs import to_bytes
from runs.page.facts.logs import all_logs, open_log
from runs.page.facts.run_view import RunView
from runs.views.format import one_line, printable

MAX_HITS = 200
AROUND = 90
CHUNK = 8_000_000
OUTPUT_SECONDS = 2.0
"""So long the outputs of jobs are searched: about 1 GB."""
BEFORE_BYTES = 2_000
"""The page of an output begins so far before a hit."""
_SKIPPED = ("seq", "at", "mono", "kind", "prev", "digest", "sha256", "commit", "tree", "blobs")
_WHERE = {
    "model_replied": "reply", "tool_finished": "result", "attempt_ended": "notes", "reminded": "harness",
    "evaluation_finished": "evaluation", "warned": "warning", "notes_kept": "NOTES.md", "epoch_started": "window",
}  # fmt: skip


def find_text(view: RunView, words: str, limit: int = MAX_HITS) -> dict[str, Any]:
    """The first `limit` places where `words` occur: in the order of the journal, then in whole outputs of jobs.

    `unread` counts the outputs that there was no time for.
    """
    hits: list[dict[str, Any]] = []
    unread = 0
    for hit in chain(_hits(view, words), _in_outputs(view, words)):
        if isinstance(hit, int):
            unread = hit
        elif len(hits) == limit:
            return {"hits": hits, "more": True, "unread": 0}
        else:
            hits.append(hit)
    return {"hits": hits, "more": False, "unread": unread}


def _in_outputs(view: RunView, words: str) -> Iterator[dict[str, Any] | int]:
    """The first hit in each job's output; at last the number of those that were not read, if there are any."""
    until, logs = time.monotonic() + OUTPUT_SECONDS, all_logs(view.folder)
    for number, (job, path) in enumerate(logs):
        if time.monotonic() > until:
            yield len(logs) - number
            return
        file = open_log(path)
        if file is None:
            continue
        with file:
            found = _first_in(file, to_bytes(words).lower())
        if found:
            place = max(0, found.place - BEFORE_BYTES)
            yield {"seq": -1, "turn": 0, "where": "output", "job": job, "from": place, "parts": found.parts}


def _hits(view: RunView, words: str) -> Iterator[dict[str, Any]]:
    plain = to_bytes(words).lower()
    escaped = to_bytes(json.dumps(words, ensure_ascii=False)[1:-1]).lower()
    # In the arguments of a call, which are JSON in JSON, texts are escaped twice.
    twice = to_bytes(json.dumps(json.dumps(words, ensure_ascii=False)[1:-1], ensure_ascii=False)[1:-1]).lower()
    seen: set[str] = set()
    for seq, line in view.journal.lines():
        lowered = line.lower()
        found = any(one in lowered for one in {escaped, twice})
        if not found and b'"blobs":' not in line:
            continue
        try:
            fields = from_json(line)
        except ValueError:
            continue
        blobs = {key: name for key, name in fields.get("blobs", {}).items() if name not in seen}
        seen.update(blobs.values())
        for field, text in fields.items() if found else ():
            if field not in _SKIPPED and field not in fields.get("blobs", {}):
                yield from _in_text(view, seq, fields, field, text, words)
        for field, name in blobs.items():
            for one in dict.fromkeys((plain, escaped, twice)):
                if (parts := _in_blob(view, str(name), one)) is not None:
                    yield _hit(view, seq, fields, field, parts)
                    break


def _in_text(
    view: RunView, seq: int, fields: dict[str, Any], field: str, value: Any, words: str
) -> Iterator[dict[str, Any]]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if field == "message" and fields.get("kind") == "model_replied":
        # The arguments of calls are JSON in JSON: line ends and quotation marks are escaped once or twice.
        for escaped, plain in (("\\\\n", "\n"), ("\\n", "\n"), ('\\\\\\"', '"'), ('\\"', '"')):
            text = text.replace(escaped, plain)
    place = text.lower().find(words.lower())
    if place >= 0:
        yield _hit(view, seq, fields, field, _cut(text, place, len(words)))


def _in_blob(view: RunView, name: str, words: bytes) -> tuple[str, str, str] | None:
    """The surroundings of the first hit in a blob, which is read in pieces."""
    if not name.isalnum():
        return None
    try:
        with (view.folder / "blobs" / name).open("rb") as file:
            found = _first_in(file, words)
    except OSError:
        return None
    return found.parts if found else None


@dataclass(frozen=True)
class _Found:
    """The byte of a file where words begin, and the texts before, of and after them."""

    place: int
    parts: tuple[str, str, str]


def _first_in(file: BinaryIO, words: bytes) -> _Found | None:
    before, read = b"", 0
    while piece := file.read(CHUNK):
        text = before + piece
        place = text.lower().find(words)
        if place >= 0:
            start, end = max(0, place - AROUND), place + len(words) + AROUND
            near = text[start:end].decode("utf-8", "replace")
            head = text[start:place].decode("utf-8", "replace")
            parts = _cut(near, len(head), len(words.decode("utf-8", "replace")))
            return _Found(read - len(before) + place, parts)
        read += len(piece)
        before = text[-len(words) - AROUND :]
    return None


def _cut(text: str, place: int, length: int) -> tuple[str, str, str]:
    before, after = text[max(0, place - AROUND) : place], text[place + length : place + length + AROUND]
    return (
        one_line(printable(before)) + (" " if before[-1:].isspace() else ""),
        printable(text[place : place + length]),
        (" " if after[:1].isspace() else "") + one_line(printable(after)),
    )


def _hit(view: RunView, seq: int, fields: dict[str, Any], field: str, parts: tuple[str, str, str]) -> dict[str, Any]:
    kind = str(fields.get("kind", ""))
    return {"seq": seq, "turn": view.turn_of(seq), "where": _WHERE.get(kind, kind), "field": field, "parts": parts}
