"""The first message: the only user message of a window, ordered by how often its parts change.

Task card, lessons of earlier runs and budget change per run; the memory of earlier attempts per attempt; what replaces
the turns that left the window per epoch. The state, rendered by code from events, comes last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from string import Template

from context import memory
from context.memory_scope import SCOPE_TOKENS, render_scope
from context.notebook import Notebook
from context.run_summary import render_summary
from context.tokens import bytes_for
from context.truncation.keep_lines import Line, SkippedLines
from context.truncation.truncate import truncate_lines
from context.window import prompt
from runs.events.registry import CheckpointTaken
from runs.state import Attempt, Evaluation, State
from runs.views import verdict
from runs.views.format import one_line

MEMORY_TOKENS, CHECKPOINT_TOKENS, STUB_TOKENS, LIST_TOKENS = 6_000, 4_000, 4_000, 2_000
"""Room for the memory, for the checkpoints of this attempt, for the lines of its turns that left (`recall` finds older
ones), and for each list of the state, in a window of 100,000 tokens or more; smaller windows have their share."""
NOTES_TOKENS, NOTES_LINES = 1_500, 2_000
HEAD_SHARE, SHRINK = 0.25, 0.8
"""The most of the window that the first message takes; a longer one is rendered again with less room for each part."""
SMALL_SHARE, LEAST_SHARE = 0.25, 0.08
MOST_LISTED = 40
_RESULT = re.compile(r"(- evaluation [\w-]+: ).*")
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
        return min(1.0, max(SMALL_SHARE, self.window / 100_000))


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
    parts = partial(_render_parts, state, notebook or Notebook(), lane=lane, situation=situation, workspace=workspace)
    fixed = {
        "card": state.card.strip(),
        "lessons": f"\n{state.lessons.text.strip()}\n" if state.lessons and state.lessons.text else "",
        "deadline": deadline,
        "limits": limits,
    }
    share = workspace.share
    while True:
        text = Template(prompt("user")).substitute(fixed, **parts(share=share))
        if len(text.encode()) <= bytes_for(int(HEAD_SHARE * workspace.window)) or share <= LEAST_SHARE:
            return text
        share = max(LEAST_SHARE, SHRINK * share)


def _render_parts(
    state: State,
    notebook: Notebook,
    *,
    lane: int,
    situation: Sequence[str],
    workspace: WorkspaceView,
    share: float,
) -> dict[str, str]:
    """The parts of the first message that change within a run, each with its share of the usual room."""
    notes = render_notes(notebook, share)
    so_far = f"# This attempt so far\n\n{notes}" if notes else ""
    own, others = render_own_notes(workspace.notes, share), memory.render_open(state, lane)
    earlier = memory.render_memory(state, int(MEMORY_TOKENS * share))
    attempt = state.lane(lane).attempt
    scope = render_scope(state, attempt, earlier, int(SCOPE_TOKENS * share)) if attempt else ""
    return {
        "memory": "\n\n".join(filter(None, [earlier, render_summary(state, share=share), others, scope, own, so_far])),
        "move": _describe_move(attempt, f"{earlier}\n{scope}"),
        "state": render_state(state, notebook, lane, situation, workspace.files, share),
    }


def render_own_notes(notes: str, share: float = 1.0) -> str:
    """The model's `NOTES.md` as a quotation, so that no line of it passes for the harness's; empty if none."""
    if not notes.strip():
        return ""
    tokens = int(NOTES_TOKENS * min(1.0, max(0.4, share / SMALL_SHARE)))
    shown = truncate_lines(_numbered(notes.strip("\n")), tokens, "read_file NOTES.md shows all of it")
    lines = re.sub(r"<(/?)harness>", r"[\1harness]", shown).split("\n")
    return "\n".join(["# Your notes (NOTES.md)", "", *(f"> {line}" for line in lines)])


def _numbered(text: str) -> list[Line]:
    """The lines of a text with their numbers; of very many only those near both ends are looked at."""
    lines = text.split("\n")
    numbered = list(enumerate(lines, 1))
    if len(lines) <= 2 * NOTES_LINES:
        return numbered
    left_out = lines[NOTES_LINES:-NOTES_LINES]
    skipped = SkippedLines(f"[{len(left_out)} lines]")
    skipped.lines, skipped.size = len(left_out), len("\n".join(left_out).encode(errors="replace")) + 1
    return [*numbered[:NOTES_LINES], (len(lines) - NOTES_LINES, skipped), *numbered[-NOTES_LINES:]]


def _describe_move(attempt: Attempt | None, shown: str) -> str:
    """What the attempt is asked to do, as recorded when it started, without results that `shown` states."""
    if attempt is None or not attempt.brief:
        return ""
    lines = attempt.brief.split("\n")
    lines = [
        _RESULT.sub(r"\1its result stands above", one) if _RESULT.match(one) and one[2:] in shown else one
        for one in lines
    ]
    return "\n".join(["", *lines, ""])


def render_notes(notebook: Notebook, share: float = 1.0) -> str:
    """What replaces the turns of this attempt that left the window; empty if none did."""
    parts = _render_checkpoints(notebook.checkpoints, int(CHECKPOINT_TOKENS * share))
    if stubs := _latest_that_fit(notebook.stubs, bytes_for(int(STUB_TOKENS * share))):
        parts.append("Older turns (`recall` with the event number shows one whole):")
        left_out = len(notebook.stubs) - len(stubs)
        more = [f"- ({left_out} lines of turns before these left out: use `recall`)"] if left_out else []
        parts.append("\n".join([*more, *stubs]))
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
    files: Sequence[str] = (),
    share: float = 1.0,
) -> str:
    """The state of the run and of one lane in it, rendered by code."""
    room = bytes_for(int(LIST_TOKENS * share))
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
    lines += _render_list("files", list(files), room, "`ls` shows them")
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


def _render_list(title: str, items: list[str], room: int, where: str = "use `recall`") -> list[str]:
    """The latest items that fit into `room` bytes, at least one."""
    shown = _latest_that_fit([f"- {one_line(item, LONGEST)}" for item in items[-MOST_LISTED:]], room)
    left_out = len(items) - len(shown)
    more = [f"- ({left_out} others: {where})"] if left_out > 0 else []
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
