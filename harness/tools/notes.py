"""`checkpoint` and `finish`: the model's own notes, in an attempt and at its end."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Tool, ToolContext


class Checkpoint(Arguments):
    done: list[str] = Field(default_factory=list)
    decided: list[str] = Field(default_factory=list)
    todo: list[str] = Field(default_factory=list)


class Finish(Arguments):
    did: str = ""
    criticism: str = ""
    next: str = ""
    lessons: list[str] = Field(default_factory=list)
    continue_from: str = ""


def _checkpoint(context: ToolContext, arguments: Checkpoint) -> str:
    return context.take_checkpoint(arguments.done, arguments.decided, arguments.todo)


def _finish(context: ToolContext, arguments: Finish) -> str:
    raise AssertionError("finish ends the attempt; it is not performed")


TOOLS = (Tool("checkpoint", Checkpoint, _checkpoint), Tool("finish", Finish, _finish))
