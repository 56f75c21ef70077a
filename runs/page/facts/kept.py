"""The facts of a long run's page, kept in `page.json` beside its journal, so that the page opens before the journal is
read again. They are plain data, escaped like all others when they are shown; the file can be deleted at any time.
"""

from __future__ import annotations

import functools
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.files import replace_file, sha256_hex
from runs.journal import EVENTS
from runs.page.facts.overview import overview
from runs.page.facts.run_view import RunView
from runs.page.steer import steering

KEPT = "page.json"
LONG_BYTES = 2_000_000
"""Shorter journals are read in a fraction of a second: nothing is kept of them."""
TAIL_BYTES = 4_096
"""By the hash of its last bytes an old state of a journal is known again."""


@dataclass(frozen=True)
class Standing:
    """What the page of a run depends on beside its journal: whether a process plays it, and its grades."""

    is_live: bool = False
    is_graded: bool = False
    grade: dict[str, Any] | None = None


@dataclass(frozen=True)
class Kept:
    """Facts from a file. `is_current`: nothing has changed since they were kept."""

    facts: dict[str, Any]
    is_current: bool


def page_facts(view: RunView, standing: Standing) -> dict[str, Any]:
    """All facts of the run page, the forms that a person may send included."""
    with view.lock:
        forms = steering(view.state, is_live=standing.is_live, is_graded=standing.is_graded)
    return {**overview(view, standing.is_live, standing.grade), "steering": forms}


def keep_facts(view: RunView, standing: Standing, facts: dict[str, Any]) -> None:
    """Keep the facts of a long run without a grade, since grades are kept apart from runs.

    If the folder cannot be written, nothing happens.
    """
    size = view.journal.size
    if size < LONG_BYTES or facts["is_empty"] or standing.grade is not None:
        return
    with suppress(OSError):
        text = json.dumps(facts, ensure_ascii=False)
        head = {"code": _code(), "size": size, "end": _end_of(view.folder, size), "facts": sha256_hex(_bytes(text))}
        lines = (json.dumps({**head, "standing": _digest(standing)}), text)
        replace_file(view.folder / KEPT, _bytes("\n".join(lines) + "\n"))


def kept_facts(folder: Path, standing: Standing) -> Kept | None:
    """The facts that were kept of this journal, or of its beginning; None if there are none, or if they are damaged or
    from another version of the code."""
    try:
        first, _, text = (folder / KEPT).read_bytes().partition(b"\n")
        head = json.loads(first)
        size = (folder / EVENTS).stat().st_size
        if head["code"] != _code() or head["facts"] != sha256_hex(text.removesuffix(b"\n")):
            return None
        if head["size"] > size or head["end"] != _end_of(folder, head["size"]):
            return None
        is_current = head["size"] == size and head["standing"] == _digest(standing)
        return Kept(json.loads(text), is_current)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_page(folder: Path) -> None:
    """Read a run that is over and keep the facts of its page. Raises `JournalError`."""
    if (folder / EVENTS).stat().st_size >= LONG_BYTES:
        view = RunView(folder)
        view.refresh()
        keep_facts(view, Standing(), page_facts(view, Standing()))


def _end_of(folder: Path, size: int) -> str:
    with (folder / EVENTS).open("rb") as file:
        file.seek(max(0, size - TAIL_BYTES))
        return sha256_hex(file.read(min(size, TAIL_BYTES)))


def _digest(standing: Standing) -> str:
    return sha256_hex(_bytes(json.dumps([standing.is_live, standing.is_graded, standing.grade], sort_keys=True)))


@functools.cache
def _code() -> str:
    """The version of the code that makes the facts: a hash of this room's files."""
    room = Path(__file__).parents[2]
    found = hashlib.sha256()
    for path in sorted([*room.rglob("*.py"), *room.rglob("*.html")]):
        found.update(path.read_bytes())
    return found.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
