"""Events of attempts: their start, their end, the model's notes, and how many lanes play them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runs.events.base import Audience, Event


class AttemptStarted(Event):
    """An attempt begins: a move applied to the `parents` (commits; none: an empty workspace). `brief` is what the model
    reads of the move in the first message. `compared`: the run's best evaluation and the best of another branch, where
    the brief asks what sets them apart."""

    kind: Literal["attempt_started"] = "attempt_started"
    move: str = "improve"
    parents: list[str] = Field(default_factory=list)
    brief: str = ""
    compared: list[str] = Field(default_factory=list)


class AttemptEnded(Event):
    """An attempt is over, with the model's own words if it called `finish`.

    For the memory of later attempts: `done` of its checkpoints, `facts` that its programs printed, and per evaluation
    the idea and the files changed since the commit before. `continue_from` is the evaluation that it
    wants to start from next.
    """

    kind: Literal["attempt_ended"] = "attempt_ended"
    why: Literal["finish", "turns", "time", "window", "poisoned", "budget", "stopped", "unusable_replies", "loop"]
    did: str = ""
    criticism: str = ""
    next: str = ""
    lessons: list[str] = Field(default_factory=list)
    continue_from: str = ""
    killed_jobs: list[str] = Field(default_factory=list)
    done: list[str] = Field(default_factory=list)
    facts: list[str] = Field(default_factory=list)
    ideas: dict[str, str] = Field(default_factory=dict)
    changed: dict[str, list[str]] = Field(default_factory=dict)


class LanesChanged(Event):
    """How many lanes may play from now on. A lane beyond that ends its attempt and starts no other.

    `refused` is how many lanes the endpoint's refusals have taken away so far that did not come back.
    """

    kind: Literal["lanes_changed"] = "lanes_changed"
    audience: Audience = "people"
    parallel: int
    refused: int = 0
    why: str


class NotesKept(Event):
    """The model's `NOTES.md` at the end of an attempt. `size`: bytes of the file, of which `text` may be a part."""

    kind: Literal["notes_kept"] = "notes_kept"
    text: str = ""
    size: int = 0
