"""The head of the window: the one user message, in the order in which its parts change.

Task card and budget (per run), the memory of attempts (per attempt, growing at its end), what is left of the turns that
went (per epoch, growing too), and last the state, rendered by code from the record.
"""

from __future__ import annotations

from string import Template

from context import facts, memory
from context.notebook import Notebook
from context.tokens import bytes_for
from context.window import prompt
from runs.events.registry import CheckpointTaken
from runs.state import State

MEMORY_TOKENS = 6_000
WORDS_TOKENS = 4_000
"""Room for the model's own words at checkpoints of this attempt; older ones are named, and found by `recall`."""
MOST_LISTED = 40
LONGEST = 400
"""Letters of one decision or to-do in the window; a longer one is found whole by `recall`."""
STATE_HEADING = "# State"


def render_first_message(
    state: State, deadline: str, limits: str, notebook: Notebook | None = None, memory_tokens: int = MEMORY_TOKENS
) -> str:
    """The text of the one user message."""
    notes = render_notes(notebook) if notebook else ""
    return Template(prompt("user")).substitute(
        card=state.card.strip(),
        deadline=deadline,
        limits=limits,
        memory=memory.render_memory(state, memory_tokens) + (f"\n\n# This attempt so far\n\n{notes}" if notes else ""),
        state=render_state(state, notebook or Notebook()),
    )


def render_notes(notebook: Notebook) -> str:
    """What stands for the turns of this attempt that left the window; empty where none did."""
    parts = [*_words(notebook.checkpoints)]
    if notebook.stubs:
        parts.append("Turns before those below, one line a call (`recall` with the event's number shows it whole):")
        parts.append("\n".join(notebook.stubs))
    # What stands in the lines above already is not said twice; it is kept all the same, for when they go.
    if kept := facts.find_missing(notebook.facts, "\n".join(parts)):
        parts.append(f"Kept from earlier turns, word for word:\n{facts.render(kept)}")
    if notebook.last_stage == "alone":
        parts.append("(This window was made smaller by the harness; a request for a checkpoint below is settled.)")
    return "\n\n".join(parts)


def render_state(state: State, notebook: Notebook) -> str:
    """The state of the run, by code."""
    attempt = state.attempts[-1] if state.attempts else None
    best, chosen = state.best, state.chosen
    of_best = (
        f"evaluation {best.id}, {best.shown_score or best.status}, commit {memory.short_commit(best.commit)}"
        if best
        else ""
    )
    origin = f"evaluation {chosen.evaluation}" if chosen and chosen.evaluation else "the sample submission"
    parent = f"as commit {memory.short_commit(attempt.parent)}" if attempt and attempt.parent else "empty"
    lines = [
        f"attempt: {attempt.number if attempt else 1}",
        f"best: {of_best or 'none yet'}",
        f"submission of record: {origin if chosen else 'none yet'}, valid",
        f"workspace: began {parent}",
    ]
    done = state.evaluations_in(attempt.number) if attempt else []
    scored = [memory.render_evaluation(state, e, notebook.ideas.get(e.id, "")) for e in done]
    jobs = [f"{job} `{memory.one_line(notebook.commands.get(job, ''))[:200]}`" for job in state.open_jobs]
    lines += _listed("evaluations of this attempt", scored)
    lines += _listed("open jobs", jobs)
    lines += _listed("decided, with reasons (rejected ideas too)", notebook.decided)
    lines += _listed("to do", [f"{name}: {text}" for name, text in notebook.todos.items()])
    return "\n".join(lines)


def _listed(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    left_out = len(items) - MOST_LISTED
    more = [f"- ({left_out} earlier ones: `recall` finds them)"] if left_out > 0 else []
    return [f"{title}:", *more, *(f"- {memory.cut(item, LONGEST)}" for item in items[-MOST_LISTED:])]


def _words(checkpoints: list[CheckpointTaken]) -> list[str]:
    """The words at each checkpoint as they were said. What does not fit is named, never summarised."""
    told: list[str] = []
    room, left_out = bytes_for(WORDS_TOKENS), 0
    for place, one in reversed(list(enumerate(checkpoints, 1))):
        text = "\n".join(
            [f"## Checkpoint {place} (event {one.seq})", *(f"- done: {memory.one_line(x)}" for x in one.done)]
        )
        room -= len(text.encode())
        if room < 0 and told:
            left_out = place
            break
        told.append(text)
    return [*([f"Checkpoints 1 to {left_out}: `recall` finds them."] if left_out else []), *reversed(told)]
