"""One event as one journal line, and back: defaults are left out, long texts become blobs.

A text over 8 kB at the top level of an event keeps its first 200 characters in the line; the line's `blobs` names the
blob with the whole text. Arguments of calls stand in the message already and are not repeated. Because defaults are
left out, a default may never change within a format; event 0 has its settings in full.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runs.blobs import BlobMissing, get_blob, put_blob, to_bytes
from runs.events.base import parse_json
from runs.events.registry import FORMAT, Event, RunCreated, read_event
from runs.events.tool_calls import leave_out_arguments, restore_arguments
from runs.events.upgrade import upgrade

LONG_BYTES = 8_192
HEAD_CHARACTERS = 200
SHARED = ("system", "tools")
"""Texts that every epoch repeats: always blobs, so that they are on disk once."""
LINK_CHARACTERS = 16
"""Length of `prev`: an unkeyed hash that shows accidents, not forgery."""


class JournalError(Exception):
    """The journal cannot be used as asked; the message says what to do."""


class JournalMissing(JournalError):
    """There is no run in this folder."""


class JournalVersion(JournalError):
    """This version of the harness cannot read, or not resume, a run folder of this format."""


class JournalDamaged(JournalError):
    """A line or a blob is not what was written; the message names it, `why` says what is wrong with it."""

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why


def to_line(event: Event, blobs: Path) -> bytes:
    """The line of an event, newline included; its long texts are in the folder `blobs`, on disk, when this returns.

    Raises OSError if a blob cannot be written.
    """
    fields = event.model_dump(mode="json", exclude_defaults=True)
    line: dict[str, Any] = {"seq": event.seq, "at": event.at, "mono": event.mono}
    line["kind"] = event.kind  # type: ignore[attr-defined]  # every event but the base class has one
    if event.audience != "model":
        line["audience"] = event.audience
    if isinstance(event, RunCreated):
        line["format"] = event.format
        fields["settings"] = event.settings.model_dump(mode="json")
    if line["kind"] == "model_replied" and fields.get("calls"):
        fields = leave_out_arguments(fields)
    line.update(fields)
    names = {key: put_blob(blobs, value) for key, value in fields.items() if _is_long(value) or key in SHARED}
    if names:
        line.update({key: fields[key][:HEAD_CHARACTERS] for key in names}, blobs=names)
    try:
        text = _to_json(line, ensure_ascii=False)
    except ValueError:  # JSON has no number for infinity
        line = with_finite_numbers(line, as_text=True)
        text = _to_json(line, ensure_ascii=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair; escaped, the file stays UTF-8
        return _to_json(line, ensure_ascii=True).encode() + b"\n"


def _to_json(line: dict[str, Any], *, ensure_ascii: bool) -> str:
    return json.dumps(line, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"))


def with_finite_numbers(value: Any, *, as_text: bool = False) -> Any:
    """A JSON value whose infinities and NaNs are null, or texts such as "-Infinity", which events read as numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value) if as_text else None
    if isinstance(value, dict):
        return {key: with_finite_numbers(item, as_text=as_text) for key, item in value.items()}
    if isinstance(value, list):
        return [with_finite_numbers(item, as_text=as_text) for item in value]
    return value


def link_of(line: bytes) -> str:
    """What the next line carries as `prev`: the start of this line's sha256."""
    return hashlib.sha256(line).hexdigest()[:LINK_CHARACTERS]


class LineReader:
    """Read the lines of one journal in order, from the first on.

    `format` is the run's format once line 1 was read, `link` what the next line must carry as `prev`. With
    `is_whole` false no blob is opened: long texts are their heads, and the event's extra field `blobs` names the rest.
    """

    def __init__(self, path: Path, is_whole: bool = True) -> None:
        self._path = path
        self._is_whole = is_whole
        self._number = 0
        self.format = FORMAT
        self.link = ""

    def read(self, line: bytes) -> Event:
        """The event of the next line, whole. Raises `JournalVersion`, `JournalDamaged`."""
        self._number += 1
        try:
            fields = _parse(line)
            if self._number == 1:
                self.format = _format_of(fields, self._path)
            self._check_order(fields)
            event = read_event(self._whole(fields))
        except ValidationError as error:
            raise self._damaged(_first_problem(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BlobMissing) as error:
            raise self._damaged(str(error)) from error
        if self._number == 1 and not isinstance(event, RunCreated):
            by = fields.get("harness_version", "unknown")
            raise JournalVersion(f"The run in {self._path.parent} was written by a newer harness ({by}): use that one")
        self.link = link_of(line)
        return event

    def skip(self, line: bytes) -> None:
        """Go on after a line that is damaged: the next one must follow its bytes."""
        self.link = link_of(line)

    def _whole(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields with blobs and arguments put back, as this format has them."""
        if self._is_whole and (names := fields.pop("blobs", None)):
            blobs = self._path.parent / "blobs"
            fields.update({key: get_blob(blobs, name) for key, name in dict(names).items()})
        return _complete(fields, self.format)

    def _check_order(self, fields: dict[str, Any]) -> None:
        if fields.get("seq") != self._number - 1:
            raise ValueError(f"its number is {fields.get('seq')!r} instead of {self._number - 1}")
        if fields.get("prev", self.link) != self.link:
            raise ValueError("it does not follow the line before it (`prev` is another line's hash)")

    def _damaged(self, why: str) -> JournalDamaged:
        number, path = self._number, self._path
        by_hand = "Restore this file, or the blob it names, from a backup"
        if number > 1:
            by_hand += (
                "; or copy what is intact with `harness check RUN --save DIR`, to resume from there without what came "
                "after"
            )
        message = f"{path}, line {number} is damaged: {why[:300]}. Nothing was changed. {by_hand}."
        return JournalDamaged(message, why[:300])


def read_alone(line: bytes, folder: Path, run_format: int) -> Event:
    """The event of one line of a run's journal, whole, without a look at the lines around it.

    A text whose blob is missing or changed keeps its head and says so. Raises `JournalDamaged`.
    """
    try:
        fields = _parse(line)
        for key, name in dict(fields.pop("blobs", {})).items():
            try:
                fields[key] = get_blob(folder / "blobs", name)
            except BlobMissing as error:
                fields[key] = f"{fields.get(key, '')} … [the rest of this text is missing: {error}]"
        return read_event(_complete(fields, run_format))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise JournalDamaged(f"A line of {folder} is damaged: {str(error)[:300]}") from error


def _complete(fields: dict[str, Any], run_format: int) -> dict[str, Any]:
    """The fields as this version has them, the arguments of calls included, where the message is at hand."""
    if fields.get("kind") == "model_replied" and fields.get("calls"):
        try:
            fields = restore_arguments(fields)
        except KeyError:
            if "blobs" not in fields and "is missing:" not in fields.get("message", ""):
                raise
            fields = {**fields, "calls": [{"arguments": "", **one} for one in fields["calls"]]}
    return upgrade(fields) if run_format < FORMAT else fields


def _parse(line: bytes) -> dict[str, Any]:
    fields = parse_json(line)
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    return fields


def _format_of(fields: dict[str, Any], path: Path) -> int:
    if fields.get("kind") != "run_created":
        raise ValueError("a journal begins with `run_created`")
    found = fields.get("format", 1)  # format 1 left it out
    if not isinstance(found, int) or found > FORMAT:
        by = fields.get("harness_version", "unknown")
        raise JournalVersion(
            f"The run in {path.parent} has format {found!r} (written by harness {by}); this harness reads formats up "
            f"to {FORMAT}: use harness {by} for this run"
        )
    return found


def _is_long(value: Any) -> bool:
    if not isinstance(value, str) or len(value) * 4 <= LONG_BYTES:
        return False
    return len(value) > LONG_BYTES or len(to_bytes(value)) > LONG_BYTES


def _first_problem(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
