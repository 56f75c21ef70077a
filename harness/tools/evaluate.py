"""`evaluate`: have the harness run and score the workspace."""

from __future__ import annotations

from harness.tools.tool import Arguments, Command, Tool, ToolContext


class Evaluate(Arguments):
    command: Command


def _act(context: ToolContext, arguments: Evaluate) -> str:
    return context.evaluate(arguments.command)


TOOLS = (Tool("evaluate", Evaluate, _act),)
