"""The model's notes in `NOTES.md`: placed in each workspace, and kept at the end of an attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.run import Lane
from runs.events.registry import NotesKept, Warned
from runs.versions.files import NOTES
from sandboxes.base import PathRefused, SandboxError

NOTES_BYTES = 1_000_000
"""Of longer notes only the end is kept for later attempts."""
_HEADING = "# Notes of attempts beside yours (lane"
_QUOTED = re.compile(rf"^{re.escape(_HEADING)} \d+\)\n(?:>.*(?:\n|$))*\n?", re.MULTILINE)


def place_notes(lane: Lane, move: str) -> None:
    """Write the lane's notes into its workspace; a draft begins with those of all lanes. Raises `PathRefused`."""
    lane.sandbox.write(NOTES, notes_of(lane, move).encode("utf-8", "replace"))


def notes_of(lane: Lane, move: str) -> str:
    """The notes that an attempt begins with."""
    return merge_notes({number: state.notes for number, state in lane.run.state.lanes.items()}, lane.number, move)


def merge_notes(notes: Mapping[int, str], lane: int, move: str) -> str:
    """A lane's notes; for a draft, and while it has none, with a quotation of those of the other lanes.

    Quotations of before are replaced and never quoted again: otherwise the notes would double with each draft.
    """
    mine = {number: _QUOTED.sub("", text).strip("\n") for number, text in notes.items()}
    others = [number for number, text in mine.items() if number != lane and text.strip()]
    own = mine.get(lane, "")
    if not others or (own.strip() and move != "draft"):
        return notes.get(lane, "")
    quoted = ["\n".join([f"{_HEADING} {n})", *(f"> {line}" for line in mine[n].split("\n"))]) for n in others]
    return "\n\n".join([*([own] if own.strip() else []), *quoted]) + "\n"


def keep_notes(lane: Lane) -> None:
    """Record the notes at the end of an attempt, if they changed. Deleted notes come back in the next attempt."""
    try:
        content = lane.sandbox.read(NOTES)
    except FileNotFoundError:
        return
    except (PathRefused, SandboxError, OSError) as error:
        lane.record(Warned(message=f"{NOTES} was not kept, and the notes before it stay: {error}"))
        return
    text = content.decode("utf-8", "replace")
    if len(content) > NOTES_BYTES:
        end = content[-NOTES_BYTES + 100 :].decode("utf-8", "ignore")
        text = f"[the beginning of {len(content):,} bytes was not kept]\n{end.partition(chr(10))[2] or end}"
    if text != lane.state.notes:
        lane.record(NotesKept(text=text, size=len(content)))


def read_notes(lane: Lane) -> str:
    """The notes as they are in the workspace now; if they are gone, as they were kept last."""
    try:
        return lane.sandbox.read(NOTES).decode("utf-8", "replace")
    except (FileNotFoundError, PathRefused, SandboxError, OSError):
        return lane.state.notes
