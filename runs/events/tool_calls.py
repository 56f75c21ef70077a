"""Tool calls: as replies carry them, their token counts, their start and result, and their short form in the journal.

The arguments of a call are in the reply's message already, and a file the model writes is long: the journal keeps them
once, and reading puts them back.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runs.events.base import Event, parse_json


class Usage(BaseModel):
    """Tokens of one reply as the endpoint counted them; `estimated` where it did not and we did."""

    model_config = ConfigDict(frozen=True, extra="allow")

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    estimated: bool = False


class Call(BaseModel):
    """One tool call as it will be performed and as history carries it.

    `arguments` is valid JSON of an object. `problem`, where set, is told to the model instead of performing it.
    `repair_step` names the step that read it (`native`: nothing had to be repaired). `note` rides on its result: which
    arguments were read under another name or ignored.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    name: str
    arguments: str
    problem: str = ""
    repair_step: str = "native"
    note: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the call stood in the text of the reply."""
        return self.repair_step in ("in_content", "in_thinking")

    @property
    def is_empty(self) -> bool:
        """Whether the call has no arguments."""
        return self.arguments == "{}"


def leave_out_arguments(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a reply with those arguments left out that its message repeats."""
    known = _arguments_by_id(fields)
    calls = [
        {key: value for key, value in one.items() if key != "arguments" or known.get(one["id"]) != value}
        for one in fields["calls"]
    ]
    return {**fields, "calls": calls}


def restore_arguments(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a reply as they were before `leave_out_arguments`. Raises ValueError, KeyError, TypeError."""
    if all("arguments" in one for one in fields["calls"]):
        return fields
    known = _arguments_by_id(fields)
    return {**fields, "calls": [{"arguments": known[one["id"]], **one} for one in fields["calls"]]}


def _arguments_by_id(fields: dict[str, Any]) -> dict[str, str]:
    try:
        calls = parse_json(fields["message"]).get("tool_calls") or []
        return {one["id"]: one["function"]["arguments"] for one in calls}
    except (ValueError, AttributeError, KeyError, TypeError):
        return {}


class ToolStarted(Event):
    """A call is about to be performed. `job` is the id of its job; `before` and `after` are the sha256 of an edited
    file, so that a resumed edit knows whether it was made."""

    kind: Literal["tool_started"] = "tool_started"
    call: str
    name: str
    job: str = ""
    before: str = ""
    after: str = ""


class ToolFinished(Event):
    """The result of a call: `content` is the whole tool message. `asks` names what it asks the model for; what it then
    names as about to leave the window are the exchanges up to the event `leaves`. `told` names the notes in it that are
    told once, `results` the evaluations whose results it contains."""

    kind: Literal["tool_finished"] = "tool_finished"
    call: str
    name: str
    content: str
    failed: bool = False
    asks: Literal["", "checkpoint"] = ""
    leaves: int = -1
    told: list[str] = Field(default_factory=list)
    results: list[str] = Field(default_factory=list)
