"""`checkpoint` and `finish`: the model's own notes, in an attempt and at its end."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Tool, ToolContext


class Checkpoint(Arguments):
    done: list[str] = Field(
        default_factory=list,
        description="What the turns since your last checkpoint found out and achieved, with numbers and paths.",
    )
    decided: list[str] = Field(default_factory=list, description="Decisions and rejected ideas, each with its reason.")
    todo: list[str] = Field(default_factory=list, description="What is left to do.")


class Finish(Arguments):
    did: str = Field(default="", description="What you tried, and the result.")
    criticism: str = Field(default="", description="What is weak about it.")
    next: str = Field(default="", description="What to try next.")
    lessons: list[str] = Field(default_factory=list, description="Short rules worth keeping.")
    continue_from: str = Field(default="", description="Evaluation to start from next.")


def _checkpoint(context: ToolContext, arguments: Checkpoint) -> str:
    return context.take_checkpoint(arguments.done, arguments.decided, arguments.todo)


def _finish(context: ToolContext, arguments: Finish) -> str:
    raise AssertionError("finish ends the attempt; it is not performed")


TOOLS = (Tool("checkpoint", Checkpoint, _checkpoint), Tool("finish", Finish, _finish))
