"""Events of what a run takes from earlier runs, and leaves to later ones."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runs.events.base import Audience, Event


class LessonsChosen(Event):
    """The lessons of earlier runs, chosen once when the run starts and never changed in it.

    `text` is what the model reads (empty: nothing), `more` are lines that only `recall` finds. `shown` and `withheld`
    are keys of lessons; the withheld ones were left out by chance, to measure whether lessons help. `sources` says
    what was asked: `ledger`, `knowledge` (the shipped pack). `snapshot` is the sha256 of `text` and `more`. `note` says
    why there is nothing to show. `facts` are those of the task and its data that lessons may ask for.
    """

    kind: Literal["lessons_chosen"] = "lessons_chosen"
    modality: str = ""
    family: str = ""
    facts: list[str] = Field(default_factory=list)
    text: str = ""
    more: list[str] = Field(default_factory=list)
    shown: list[str] = Field(default_factory=list)
    withheld: list[str] = Field(default_factory=list)
    sources: list[str] = Field(default_factory=list)
    knowledge: str = ""
    snapshot: str = ""
    note: str = ""


class LessonsLearned(Event):
    """What the run wrote to the ledger when it ended: the number of actions with evidence, keys of new and of retired
    lessons, and why words of the model became none. `problem`, where set, says why nothing was written."""

    kind: Literal["lessons_learned"] = "lessons_learned"
    audience: Audience = "people"
    evidence: int = 0
    added: list[str] = Field(default_factory=list)
    retired: list[str] = Field(default_factory=list)
    refused: list[str] = Field(default_factory=list)
    problem: str = ""
