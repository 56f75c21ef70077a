"""`recall`: search the turns that left the window."""

from __future__ import annotations

from pydantic import Field

from harness.tools.tool import Arguments, Refused, Tool, ToolContext


class RecallArguments(Arguments):
    query: str = ""
    event: int = Field(-1, ge=-1)
    path: str = ""
    max_tokens: int = Field(2000, ge=50, le=8000)


def _act(context: ToolContext, arguments: RecallArguments) -> str:
    if arguments.event >= 0:
        return context.recall.event(arguments.event, arguments.max_tokens)
    if arguments.path:
        return context.recall.path(arguments.path, arguments.max_tokens)
    if not arguments.query.strip():
        raise Refused("recall needs one of `query`, `event` and `path`")
    return context.recall.search(arguments.query, arguments.max_tokens)


TOOLS = (Tool("recall", RecallArguments, _act),)
