"""The first message: the only user message of a window, ordered by how often its parts change.

Task card, lessons of earlier runs and budget change per run, the memory of earlier attempts per attempt, what replaces
the turns that left the window per epoch, and the state, rendered by code from events, comes last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from context import memory
from context.memory_scope import SCOPE_TOKENS, render_scope
from context.notebook import Notebook
from context.run_summary import render_summary
from context.tokens import bytes_for
from context.truncation.truncate import truncate
from context.window import prompt
from runs.events.registry import CheckpointTaken
from runs.state import Attempt, Evaluation, State
from runs.views import verdict
from runs.views.format import one_line

MEMORY_TOKENS, CHECKPOINT_TOKENS, STUB_TOKENS, LIST_TOKENS = 6_000, 4_000, 4_000, 2_000
"""Room for the memory, for the checkpoints of this attempt, for the lines of its turns that left (`recall` finds older
ones), and for each list of the state, in a window of 100,000 tokens or more; smaller windows have their share."""
NOTES_TOKENS = 1_500
LEAST_SHARE = 0.25
MOST_LISTED = 40
_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+")
LONGEST = 400
"""Characters of one decision or to-do in the window; `recall` shows longer ones whole."""
STATE_HEADING = "# State"


@dataclass(frozen=True)
class WorkspaceView:
    """What the first message shows of a workspace: the text of its `NOTES.md` and a line per file. `window`: the
    tokens that the whole window may take."""

    notes: str = ""
    files: Sequence[str] = ()
    window: int = 120_000

    @property
    def share(self) -> float:
        """The share of the usual room that the parts of the first message have in this window."""
        return min(1.0, max(LEAST_SHARE, self.window / 100_000))


def render_first_message(
    state: State,
    deadline: str,
    limits: str,
    notebook: Notebook | None = None,
    *,
    lane: int = 0,
    situation: Sequence[str] = (),
    workspace: WorkspaceView = WorkspaceView(),
) -> str:
    """The text of the first message of a lane's window. `situation`: lines of the state that change with time."""
    share = workspace.share
    notes = render_notes(notebook, share) if notebook else ""
    so_far = f"# This attempt so far\n\n{notes}" if notes else ""
    own, others = render_own_notes(workspace.notes), memory.render_open(state, lane)
    earlier = memory.render_memory(state, int(MEMORY_TOKENS * share))
    attempt = state.lane(lane).attempt
    scope = render_scope(state, attempt, earlier, int(SCOPE_TOKENS * share)) if attempt else ""
    return Template(prompt("user")).substitute(
        card=state.card.strip(),
        lessons=f"\n{state.lessons.text.strip()}\n" if state.lessons and state.lessons.text else "",
        deadline=deadline,
        limits=limits,
        memory="\n\n".join(filter(None, [earlier, render_summary(state), others, scope, own, so_far])),
        move=_describe_move(state, lane),
        state=render_state(state, notebook or Notebook(), lane, situation, workspace),
    )


def render_own_notes(notes: str) -> str:
    """The model's `NOTES.md` as a quotation, so that no line of it passes for the harness's; empty if none."""
    if not notes.strip():
        return ""
    shown = truncate(notes.strip("\n"), NOTES_TOKENS, "read_file NOTES.md shows all of it")
    lines = re.sub(r"<(/?)harness>", r"[\1harness]", shown).split("\n")
    return "\n".join(["# Your notes (NOTES.md)", "", *(f"> {line}" for line in lines)])


def _describe_move(state: State, lane: int) -> str:
    """What the attempt is asked to do, as recorded when it started."""
    attempt = state.lane(lane).attempt
    return f"\n{attempt.brief}\n" if attempt and attempt.brief else ""


def render_notes(notebook: Notebook, share: float = 1.0) -> str:
    """What replaces the turns of this attempt that left the window; empty if none did."""
    parts = _render_checkpoints(notebook.checkpoints, int(CHECKPOINT_TOKENS * share))
    if stubs := _latest_that_fit(notebook.stubs, bytes_for(int(STUB_TOKENS * share))):
        parts.append("Older turns (`recall` with the event number shows one whole):")
        parts.append("\n".join(stubs))
    words = "\n".join(text for taken in notebook.checkpoints for text in [*taken.done, *taken.decided])
    if facts := [fact for fact in notebook.shown_facts if not _says(words, fact)]:
        parts.append("Results of turns that left your window, rendered by the harness:")
        parts.append("\n".join(f"- {fact}" for fact in facts))
    return "\n\n".join(parts)


def _says(words: str, fact: str) -> bool:
    """Whether the model's own words state all numbers of a result, so that it need not stand twice."""
    numbers = _NUMBER.findall(fact.partition(": ")[2].rpartition(" (event")[0])
    return bool(numbers) and set(numbers) <= set(_NUMBER.findall(words))


def render_state(
    state: State,
    notebook: Notebook,
    lane: int = 0,
    situation: Sequence[str] = (),
    workspace: WorkspaceView = WorkspaceView(),
) -> str:
    """The state of the run and of one lane in it, rendered by code."""
    room = bytes_for(int(LIST_TOKENS * workspace.share))
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
    lines += _render_list("files", list(workspace.files), room)
    lines += _render_list("evaluations of this attempt", scored, room)
    lines += _render_list("open jobs", jobs, room)
    lines += _render_list("decisions and rejected ideas", notebook.decided, room)
    lines += _render_list("to do", [f"{name}: {text}" for name, text in notebook.todos.items()], room)
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


def _render_list(title: str, items: list[str], room: int) -> list[str]:
    """The latest items that fit into `room` bytes, at least one."""
    shown = _latest_that_fit([f"- {one_line(item, LONGEST)}" for item in items[-MOST_LISTED:]], room)
    left_out = len(items) - len(shown)
    more = [f"- ({left_out} others: use `recall`)"] if left_out > 0 else []
    return [f"{title}:", *more, *shown] if items else []


def _latest_that_fit(lines: Sequence[str], room: int) -> list[str]:
    """The latest lines that fit into `room` bytes, at least one."""
    shown: list[str] = []
    for line in reversed(lines):
        room -= len(line.encode())
        if room < 0 and shown:
            break
        shown.insert(0, line)
    return shown


def _render_checkpoints(checkpoints: list[CheckpointTaken], tokens: int) -> list[str]:
    """The latest checkpoints that fit, in the model's own words; older ones are named, never summarised."""
    sections: list[str] = []
    room, left_out = bytes_for(tokens), 0
    for number, checkpoint in reversed(list(enumerate(checkpoints, 1))):
        heading = f"## Checkpoint {number} (event {checkpoint.seq})"
        section = "\n".join([heading, *(f"- done: {one_line(text)}" for text in checkpoint.done)])
        room -= len(section.encode())
        if room < 0 and sections:
            left_out = number
            break
        sections.append(section)
    return [*([f"Checkpoints 1 to {left_out}: use `recall`."] if left_out else []), *reversed(sections)]
