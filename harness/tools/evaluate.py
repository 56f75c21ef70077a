"""`evaluate`: have the harness run and score the workspace."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Command, Tool, ToolContext


class Evaluate(Arguments):
    command: Command
    minutes: float = Field(0, ge=0)


def _act(context: ToolContext, arguments: Evaluate) -> str:
    return context.evaluate(arguments.command, 60 * arguments.minutes)


TOOLS = (Tool("evaluate", Evaluate, _act),)
