"""Checkpoints: the model's notes on the epoch that closes, checked by code.

A checkpoint that is nearly empty is refused once. A to-do that it does not mention stays open, and the result says so.
"""

from __future__ import annotations

from harness.run import Lane
from runs.events.registry import CheckpointTaken
from runs.state import Pending

MIN_SHARE = 0.25
"""A checkpoint shorter than this share of the one before it has probably lost content."""


class CheckpointRefused(Exception):
    """The checkpoint omits something; the message says what."""


def take(lane: Lane, pending: Pending, done: list[str], decided: list[str], todo: list[str]) -> str:
    """Record a checkpoint and return the tool's result. Raises `CheckpointRefused`, at most once an epoch."""
    notebook = lane.notebook
    if not notebook.has_checkpoint(pending.call.id, pending.turn):
        forgotten = notebook.unmentioned_todos([*done, *decided, *todo])
        if notebook.refusals == 0 and (problem := _problem(lane, done, decided)):
            raise CheckpointRefused(problem)
        lane.record(
            CheckpointTaken(
                call=pending.call.id,
                turn=pending.turn,
                done=done,
                decided=decided,
                todo=notebook.merge_todos(done, todo),
                completed=forgotten,
                closes=bool(notebook.asked_turns),
            )
        )
    open_now = "; ".join(f"{name}: {text}" for name, text in lane.notebook.todos.items()) or "none"
    added = lane.notebook.checkpoints[-1].completed
    names = ", ".join(text.partition(":")[0] for text in added)
    kept = f" Kept open because you did not mention them: {names}." if added else ""
    return f"Noted.{kept} Open to-dos: {open_now}. Go on with your work."


def _problem(lane: Lane, done: list[str], decided: list[str]) -> str:
    size = sum(map(len, [*done, *decided]))
    last = lane.notebook.checkpoints[-1] if lane.notebook.checkpoints else None
    if size == 0:
        return "`done` and `decided` are empty: say what these turns brought, and what was decided and why"
    if last and size < MIN_SHARE * sum(map(len, [*last.done, *last.decided])):
        return "this is less than a quarter of your last checkpoint: say all that these turns brought"
    return ""
