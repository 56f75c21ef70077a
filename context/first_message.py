"""The first message: the only user message of a window, ordered by how often its parts change.

Task card, lessons of earlier runs and budget change per run, the memory of earlier attempts per attempt, what replaces
the turns that left the window per epoch, and the state, rendered by code from events, comes last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import Template

from context import memory
from context.memory_scope import render_scope
from context.notebook import Notebook
from context.run_summary import render_summary
from context.tokens import bytes_for
from context.window import prompt
from runs.events.registry import CheckpointTaken
from runs.state import Attempt, Evaluation, State
from runs.views import verdict
from runs.views.format import one_line

MEMORY_TOKENS = 6_000
CHECKPOINT_TOKENS = 4_000
"""Room for the checkpoints of this attempt; older ones are left to `recall`."""
MOST_LISTED = 40
_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+")
LONGEST = 400
"""Characters of one decision or to-do in the window; `recall` shows longer ones whole."""
STATE_HEADING = "# State"


def render_first_message(
    state: State,
    deadline: str,
    limits: str,
    notebook: Notebook | None = None,
    memory_tokens: int = MEMORY_TOKENS,
    *,
    lane: int = 0,
    situation: Sequence[str] = (),
) -> str:
    """The text of the first message of a lane's window. `situation`: lines of the state that change with time."""
    notes = render_notes(notebook) if notebook else ""
    so_far = f"# This attempt so far\n\n{notes}" if notes else ""
    others, earlier = memory.render_open(state, lane), memory.render_memory(state, memory_tokens)
    attempt = state.lane(lane).attempt
    scope = render_scope(state, attempt, earlier) if attempt else ""
    return Template(prompt("user")).substitute(
        card=state.card.strip(),
        lessons=f"\n{state.lessons.text.strip()}\n" if state.lessons and state.lessons.text else "",
        deadline=deadline,
        limits=limits,
        memory="\n\n".join(filter(None, [earlier, render_summary(state), others, scope, so_far])),
        move=_describe_move(state, lane),
        state=render_state(state, notebook or Notebook(), lane, situation),
    )


def _describe_move(state: State, lane: int) -> str:
    """What the attempt is asked to do, as recorded when it started."""
    attempt = state.lane(lane).attempt
    return f"\n{attempt.brief}\n" if attempt and attempt.brief else ""


def render_notes(notebook: Notebook) -> str:
    """What replaces the turns of this attempt that left the window; empty if none did."""
    parts = _render_checkpoints(notebook.checkpoints)
    if notebook.stubs:
        parts.append("Older turns (`recall` with the event number shows one whole):")
        parts.append("\n".join(notebook.stubs))
    words = "\n".join(text for taken in notebook.checkpoints for text in [*taken.done, *taken.decided])
    if facts := [fact for fact in notebook.shown_facts if not _says(words, fact)]:
        parts.append("Results of turns that left your window, rendered by the harness:")
        parts.append("\n".join(f"- {fact}" for fact in facts))
    return "\n\n".join(parts)


def _says(words: str, fact: str) -> bool:
    """Whether the model's own words state all numbers of a result, so that it need not stand twice."""
    numbers = _NUMBER.findall(fact.partition(": ")[2].rpartition(" (event")[0])
    return bool(numbers) and set(numbers) <= set(_NUMBER.findall(words))


def render_state(state: State, notebook: Notebook, lane: int = 0, situation: Sequence[str] = ()) -> str:
    """The state of the run and of one lane in it, rendered by code."""
    attempt, open_jobs = state.lane(lane).attempt, state.lane(lane).open_jobs
    lines = [
        f"attempt: {attempt.number if attempt else 1}",
        f"best: {_describe_best(state.best)}",
        f"submission of record: {_describe_submission(state)}, valid",
        f"workspace: {_describe_workspace(attempt)}",
        *situation,
    ]
    evaluations = state.evaluations_in(attempt.number) if attempt else []
    scored = [memory.render_evaluation(e, notebook.ideas.get(e.id, "")) for e in evaluations]
    jobs = [f"{job} `{one_line(notebook.commands.get(job, ''))[:200]}`" for job in open_jobs]
    lines += _render_list("evaluations of this attempt", scored)
    lines += _render_list("open jobs", jobs)
    lines += _render_list("decisions and rejected ideas", notebook.decided)
    lines += _render_list("to do", [f"{name}: {text}" for name, text in notebook.todos.items()])
    return "\n".join(lines)


def _describe_best(best: Evaluation | None) -> str:
    if best is None:
        return "none yet"
    score = verdict.score_shown(best) or verdict.outcome_shown(best)
    return f"evaluation {best.id}, {score}, commit {memory.short_commit(best.commit)}"


def _describe_submission(state: State) -> str:
    if state.chosen is None:
        return "none yet"
    evaluation = state.evaluations.get(state.chosen.evaluation)
    distrust = f", {verdict.distrust_shown(evaluation)}" if evaluation and verdict.distrust_shown(evaluation) else ""
    name = f"evaluation {state.chosen.evaluation}" if state.chosen.evaluation else "the sample submission"
    return name + distrust


def _describe_workspace(attempt: Attempt | None) -> str:
    if attempt is None or not attempt.parent:
        return "started empty"
    return f"started as commit {memory.short_commit(attempt.parent)}"


def _render_list(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    left_out = len(items) - MOST_LISTED
    more = [f"- ({left_out} older ones: use `recall`)"] if left_out > 0 else []
    return [f"{title}:", *more, *(f"- {one_line(item, LONGEST)}" for item in items[-MOST_LISTED:])]


def _render_checkpoints(checkpoints: list[CheckpointTaken]) -> list[str]:
    """The latest checkpoints that fit, in the model's own words; older ones are named, never summarised."""
    sections: list[str] = []
    room, left_out = bytes_for(CHECKPOINT_TOKENS), 0
    for number, checkpoint in reversed(list(enumerate(checkpoints, 1))):
        heading = f"## Checkpoint {number} (event {checkpoint.seq})"
        section = "\n".join([heading, *(f"- done: {one_line(text)}" for text in checkpoint.done)])
        room -= len(section.encode())
        if room < 0 and sections:
            left_out = number
            break
        sections.append(section)
    return [*([f"Checkpoints 1 to {left_out}: use `recall`."] if left_out else []), *reversed(sections)]
