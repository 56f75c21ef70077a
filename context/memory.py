"""The memory of a run: one Markdown entry per finished attempt. Code renders the facts, the model wrote the words.

In the window a row of each attempt comes first, never rewritten, so that the beginning stays cached; then whole entries
of the latest attempts. `recall` shows the others.
"""

from __future__ import annotations

from context.contradictions import mark_contradictions
from context.tokens import bytes_for
from runs.state import Attempt, Evaluation, State
from runs.views import verdict
from runs.views.format import money_text, one_line

ROWS_SHARE, KEPT_SHARE = 0.5, 0.5
"""The share of the budget that rows may take, and that of it which they take right after the oldest were left out."""
LONGEST = 2_000
"""Characters of one part of an attempt's report in the window; `recall` shows longer ones whole."""
DONE_LONGEST, MOST_DONE, MOST_FACTS = 300, 12, 8
FAULTY, MOST_TOLD = ("invalid", "failed", "timeout"), 400
"""Statuses whose message says what was wrong, and the characters of it that a line shows."""


def render_entry(state: State, attempt: Attempt) -> str:
    """The entry of one finished attempt."""
    parents = ", ".join(map(short_commit, attempt.parents or (None,)))
    cost = f"cost: {money_text(attempt.cost)}; " if attempt.cost else ""
    lines = [
        f"## Attempt {attempt.number}",
        f"parent: {parents}; turns: {attempt.turns}; minutes: {attempt.active_seconds / 60:.1f}; {cost}"
        f"ended by {attempt.ended.replace('_', ' ')}",
    ]
    lines += [_render_tried(attempt, e) for e in state.evaluations_in(attempt.number)] or [
        "no evaluation: nothing of it was scored, and its files were not kept"
    ]
    for name, text in (("did", attempt.did), ("criticism", attempt.criticism), ("next", attempt.next)):
        if text:
            lines.append(f"{name}: {one_line(mark_contradictions(state, attempt, text), LONGEST)}")
    if attempt.closing:
        done = [mark_contradictions(state, attempt, text) for text in attempt.closing.done[-MOST_DONE:]]
        lines += [f"done: {one_line(text, DONE_LONGEST)}" for text in done]
        lines += [f"own result: {fact}" for fact in attempt.closing.facts[-MOST_FACTS:]]
    lessons = [mark_contradictions(state, attempt, lesson) for lesson in attempt.lessons[:20]]
    lines += [f"lesson: {one_line(lesson, 400)}" for lesson in lessons]
    return "\n".join(lines)


def render_memory(state: State, tokens: int | None = None) -> str:
    """One row per attempt, oldest first, then whole entries: of the latest attempts as many as fit into `tokens`.

    Rows are never rewritten and come first, so they stay cached; when they exceed their share of the budget, many of
    the oldest are left to `recall` at once.
    """
    ended = state.ended_attempts
    if not ended:
        return "(empty: no attempt has ended yet)"
    entries = [render_entry(state, attempt) for attempt in ended]
    for count, name in state.late_evaluations:
        late = state.evaluations[name]
        entries[count - 1] += f"\nafter attempt {late.attempt} had ended: {render_evaluation(late)}"
    if tokens is None:
        return "\n\n".join(entries)
    rows = _render_rows(state)
    room = bytes_for(tokens)
    table = _render_table(rows, int(ROWS_SHARE * room))
    room -= len(table.encode())
    whole: list[str] = []
    for entry in reversed(entries):
        room -= len(entry.encode())
        if room < 0 and whole:
            break
        whole.insert(0, entry if room >= 0 else _cut(entry, room + len(entry.encode())))
    return "\n\n".join([table, *whole])


def _render_table(rows: list[str], room: int) -> str:
    hidden = _count_hidden([len(row.encode()) for row in rows], room)
    header = [
        "## All attempts so far, one row each (`recall` shows them whole)",
        "",
        "| attempt | idea | score | verdict | criticism |",
        "|---|---|---|---|---|",
    ]
    more = [f"| {hidden} older | left out: use `recall` | | | |"] if hidden else []
    return "\n".join([*header, *more, *rows[hidden:]])


def _count_hidden(sizes: list[int], room: int) -> int:
    """How many of the oldest rows are left out. Replays the rows in order, so that the count never falls."""
    hidden, shown = 0, 0
    for count, size in enumerate(sizes, 1):
        shown += size
        if shown > room:
            while hidden < count - 1 and shown > KEPT_SHARE * room:
                shown -= sizes[hidden]
                hidden += 1
    return hidden


def _cut(entry: str, room: int) -> str:
    """The beginning of an entry that alone is too large."""
    return entry.encode()[: max(200, room)].decode(errors="ignore") + "\n(the rest: use `recall`)"


def _render_tried(attempt: Attempt, evaluation: Evaluation) -> str:
    """An evaluation of an ended attempt, with its idea and the files it changed."""
    closing = attempt.closing
    files = ", ".join(closing.changed.get(evaluation.id, ()) if closing else ())
    line = _as_of_its_end(evaluation, closing.ideas.get(evaluation.id, "") if closing else "")
    return f"{line}; changed: {files}" if files else line


def _as_of_its_end(evaluation: Evaluation, idea: str) -> str:
    """An evaluation in the entry of its attempt, which is never rewritten: a later result is a separate line."""
    if evaluation.is_late or not evaluation.finished:
        return f"evaluation {evaluation.id}: still running when the attempt ended"
    return render_evaluation(evaluation, idea)


def render_open(state: State, lane: int) -> str:
    """What the open attempts of other lanes have evaluated so far; empty if they have nothing."""
    parts = []
    for attempt in state.open_attempts:
        done = [e for e in state.evaluations_in(attempt.number) if e.status]
        if attempt.lane != lane and done:
            lines = [render_evaluation(e) for e in done]
            parts.append("\n".join([f"## Attempt {attempt.number}, in progress beside this one", *lines]))
    return "\n\n".join(parts)


def _render_rows(state: State) -> list[str]:
    """A row of each attempt in the order of their ends, and one of each result that came later."""
    rows = [[_render_row(attempt, state)] for attempt in state.ended_attempts]
    for count, name in state.late_evaluations:
        late = state.evaluations[name]
        rows[count - 1].append(_row(f"{late.attempt}, later", f"result of {name}", *_result_cells(late), ""))
    return [row for after in rows for row in after]


def _render_row(attempt: Attempt, state: State) -> str:
    evaluations = state.evaluations_in(attempt.number)
    finished = [e for e in evaluations if e.status and not e.is_late]
    # Not the one with the best exact score: among *unclear* ones that would tell more than their verdicts.
    told = [e for e in finished if e.became_best] or [e for e in finished if e.score is not None] or finished
    missing = ("running", "not known yet") if evaluations else ("none", "not evaluated")
    did = one_line(mark_contradictions(state, attempt, attempt.did) or "(no report)", 160)
    criticism = one_line(mark_contradictions(state, attempt, attempt.criticism) or _end_shown(attempt), 120)
    return _row(str(attempt.number), did, *(_result_cells(told[-1]) if told else missing), criticism)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _end_shown(attempt: Attempt) -> str:
    """How an attempt without a report of its weaknesses ended, in brackets, so that it passes for none."""
    return "(none given)" if attempt.ended == "finish" else f"(ended by {attempt.ended.replace('_', ' ')})"


def _result_cells(evaluation: Evaluation) -> tuple[str, str]:
    """The score and the verdict of an evaluation, as the model was told."""
    comparison = verdict.comparison_shown(evaluation) or evaluation.status
    told = verdict.distrust_shown(evaluation) or comparison
    return (
        verdict.score_shown(evaluation) or evaluation.status,
        f"best at the time, {comparison}" if evaluation.became_best else told,
    )


def render_evaluation(evaluation: Evaluation, idea: str = "") -> str:
    """One evaluation in a line: what the model was told of it, its minutes, commit and command."""
    result = evaluation.finished
    parts = [verdict.outcome_shown(evaluation)]
    if result and evaluation.status == "scored":
        parts += [verdict.comparison_shown(evaluation)] if verdict.score_shown(evaluation) else []
        parts += [f"own score {result.claimed:.6g}"] if result.claimed is not None else []
    parts += [f"{result.seconds / 60:.1f} min"] if result else []
    parts += [f"commit {short_commit(evaluation.commit)}", f"`{one_line(evaluation.command, 300)}`"]
    parts += ["best at the time"] if evaluation.became_best else []
    parts += [distrust] if (distrust := verdict.distrust_shown(evaluation)) else []
    reason = f": {one_line(result.message, MOST_TOLD)}" if result and result.status in FAULTY else ""
    suffix = f"; idea: {one_line(idea)}" if idea else ""
    return f"evaluation {evaluation.id}: {', '.join(part for part in parts if part)}{reason}{suffix}"


def short_commit(commit: str | None) -> str:
    """A commit's abbreviated hash, or `none`."""
    return commit[:10] if commit else "none"
