"""Full-text search over all texts of a run, without an index: the journal and its blobs are read once a search.

Upper and lower case of ASCII letters are the same. Of a text in a blob the blob itself is searched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from runs.blobs import to_bytes
from runs.page.facts.run_view import RunView
from runs.views.format import one_line, printable

MAX_HITS = 200
AROUND = 90
CHUNK = 8_000_000
_SKIPPED = ("seq", "at", "mono", "kind", "prev", "digest", "sha256", "commit", "tree", "blobs")
_WHERE = {
    "model_replied": "reply", "tool_finished": "result", "attempt_ended": "notes", "reminded": "harness",
    "evaluation_finished": "evaluation", "warned": "warning", "notes_kept": "NOTES.md", "epoch_started": "window",
}  # fmt: skip


def find_text(view: RunView, words: str, limit: int = MAX_HITS) -> dict[str, Any]:
    """Places where `words` occur, the first `limit` of them in the order of the journal."""
    hits: list[dict[str, Any]] = []
    for hit in _hits(view, words):
        if len(hits) == limit:
            return {"hits": hits, "more": True}
        hits.append(hit)
    return {"hits": hits, "more": False}


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
        text = text.replace('\\"', '"').replace("\\n", "\n").replace('\\"', '"')
    place = text.lower().find(words.lower())
    if place >= 0:
        yield _hit(view, seq, fields, field, _cut(text, place, len(words)))


def _in_blob(view: RunView, name: str, words: bytes) -> tuple[str, str, str] | None:
    """The surroundings of the first hit in a blob, which is read in pieces."""
    if not name.isalnum():
        return None
    try:
        with (view.folder / "blobs" / name).open("rb") as file:
            before = b""
            while piece := file.read(CHUNK):
                text = before + piece
                place = text.lower().find(words)
                if place >= 0:
                    start, end = max(0, place - AROUND), place + len(words) + AROUND
                    near = text[start:end].decode("utf-8", "replace")
                    head = text[start:place].decode("utf-8", "replace")
                    return _cut(near, len(head), len(words.decode("utf-8", "replace")))
                before = text[-len(words) - AROUND :]
    except OSError:
        return None
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
