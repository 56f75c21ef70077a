"""One event as one journal line, and back: defaults are left out, long texts become blobs.

A text over 8 kB at the top level of an event keeps its first 200 characters in the line, and the line's `blobs` says
under which name the whole text lies. Arguments of calls stand in the message already and are not repeated.
Because defaults are left out, a default may never change within a format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from runs.blobs import BlobMissing, get_blob, put_blob, to_bytes
from runs.events.registry import FORMAT, Event, read_event
from runs.events.tool_calls import leave_out_arguments, restore_arguments

LONG_BYTES = 8_192
HEAD_CHARACTERS = 200
SHARED = ("system", "tools")
"""Texts that every epoch repeats: always blobs, so that they are on disk once."""


class JournalError(Exception):
    """The journal cannot be used as asked; the message says what to do."""


class JournalMissing(JournalError):
    """There is no run in this folder."""


class JournalVersion(JournalError):
    """The run folder has another format than this version of the harness reads and writes."""


class JournalDamaged(JournalError):
    """A line or a blob is not what was written; the message names it."""


def to_line(event: Event, blobs: Path) -> bytes:
    """The line of an event, newline included; its long texts are in the folder `blobs`, on disk, when this returns.

    Raises OSError where a blob cannot be written.
    """
    fields = event.model_dump(mode="json", exclude_defaults=True)
    line: dict[str, Any] = {"seq": event.seq, "at": event.at, "mono": event.mono}
    line["kind"] = event.kind  # type: ignore[attr-defined]  # every event but the base class has one
    if event.audience != "model":
        line["audience"] = event.audience
    if line["kind"] == "model_replied" and fields.get("calls"):
        fields = leave_out_arguments(fields)
    line.update(fields)
    names = {key: put_blob(blobs, value) for key, value in fields.items() if _is_long(value) or key in SHARED}
    if names:
        line.update({key: fields[key][:HEAD_CHARACTERS] for key in names}, blobs=names)
    try:
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair; escaped, the file stays UTF-8
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes, number: int, path: Path) -> Event:
    """The event of line `number` (from 1) of the journal at `path`, whole.

    Raises `JournalVersion`, `JournalDamaged`.
    """
    try:
        fields = _parse(line)
        if number == 1:
            _check_first(fields, path)
        if fields.get("seq") != number - 1:
            raise ValueError(f"it carries number {fields.get('seq')!r} where {number - 1} was due")
        names = fields.pop("blobs", None)
        if names:
            fields.update({key: get_blob(path.parent / "blobs", name) for key, name in dict(names).items()})
        if fields.get("kind") == "model_replied" and fields.get("calls"):
            fields = restore_arguments(fields)
        return read_event(fields)
    except ValidationError as error:
        raise _damaged(path, number, _first_problem(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BlobMissing) as error:
        raise _damaged(path, number, str(error)) from error


def _parse(line: bytes) -> dict[str, Any]:
    try:
        fields = from_json(line)
    except ValueError:
        # The fast reader refuses half surrogate pairs; they are rare and were recorded, so they are read.
        fields = json.loads(line)
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    return fields


def _check_first(fields: dict[str, Any], path: Path) -> None:
    if fields.get("kind") != "run_created":
        raise ValueError("a journal begins with `run_created`")
    found = fields.get("format", FORMAT)
    if found != FORMAT:
        by = fields.get("harness_version", "unknown")
        raise JournalVersion(
            f"The run in {path.parent} has format {found!r} (written by harness {by}); this harness reads format "
            f"{FORMAT} only: use that version of the harness for this run, or start a new run"
        )


def _is_long(value: Any) -> bool:
    if not isinstance(value, str) or len(value) * 4 <= LONG_BYTES:
        return False
    return len(value) > LONG_BYTES or len(to_bytes(value)) > LONG_BYTES


def _first_problem(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"


def _damaged(path: Path, number: int, why: str) -> JournalDamaged:
    return JournalDamaged(
        f"{path}, line {number} is damaged: {why[:300]}. Nothing was changed. What can be done by hand: bring back "
        f"this file or the blob it names from a backup; or keep a copy of the whole folder and cut the file off "
        f"before line {number} (`head -n {number - 1}`): the run goes on from there, without what came after"
    )
