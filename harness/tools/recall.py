"""`recall`: search the turns that left the window."""

from __future__ import annotations

from pydantic import Field

from context.recall.snippets import Passage
from harness.tools.tool import Arguments, Refused, Tool, ToolContext


class RecallArguments(Arguments):
    query: str = Field(default="", description="A question or words.")
    event: int = Field(-1, ge=-1, description="The number of an event to show whole.")
    path: str = Field(default="", description="A file: its last content.")
    max_tokens: int = Field(800, ge=50, le=8000, description="The longest answer.")


def _act(context: ToolContext, arguments: RecallArguments) -> str:
    recall, tokens = context.recall, arguments.max_tokens
    if arguments.event >= 0:
        return recall.event(arguments.event, tokens)
    if arguments.path:
        return recall.path(arguments.path, tokens, context.attempt, _committed(context, arguments.path))
    if not arguments.query.strip():
        raise Refused("recall needs one of `query`, `event` and `path`")
    return recall.search(arguments.query, tokens, context.attempt)


def _committed(context: ToolContext, path: str) -> Passage | None:
    """The content of a file in the latest commit that has it."""
    found = context.evaluated.last(path)
    if found is None:
        return None
    evaluation, seq, content = found
    return Passage(seq, f"{path} in the commit of evaluation {evaluation}", content.decode("utf-8", "replace"))


TOOLS = (Tool("recall", RecallArguments, _act),)
