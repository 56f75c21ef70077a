"""The memory of a run: one Markdown entry per finished attempt. Code renders the facts, the model wrote the words.

Entries are never rewritten, so the memory in the window only grows at its end and stays cached. When it exceeds its
budget, many of the oldest entries become table rows at once; `recall` still shows them whole.
"""

from __future__ import annotations

from context.contradictions import mark_contradictions
from context.tokens import bytes_for
from runs.state import Attempt, Evaluation, State
from runs.views import verdict
from runs.views.format import one_line

KEPT_SHARE = 0.4
"""Share of the budget that whole entries take right after folding. A low share makes folding rare."""
MOST_ROWS = 150
LONGEST = 2_000
"""Characters of one part of an attempt's report in the window; `recall` shows longer ones whole."""
FAULTY = ("invalid", "failed", "timeout")
"""Statuses whose message says what was wrong."""


def render_entry(state: State, attempt: Attempt) -> str:
    """The entry of one finished attempt."""
    lines = [
        f"## Attempt {attempt.number}",
        f"parent: {short_commit(attempt.parent)}; turns: {attempt.turns}; minutes: {attempt.active_seconds / 60:.1f}; "
        f"ended by {attempt.ended.replace('_', ' ')}",
    ]
    evaluations = state.evaluations_in(attempt.number)
    lines += [_as_of_its_end(e) for e in evaluations] or ["no evaluation"]
    for name, text in (("did", attempt.did), ("criticism", attempt.criticism), ("next", attempt.next)):
        if text:
            lines.append(f"{name}: {one_line(mark_contradictions(state, attempt, text), LONGEST)}")
    lessons = [mark_contradictions(state, attempt, lesson) for lesson in attempt.lessons[:20]]
    lines += [f"lesson: {one_line(lesson, 400)}" for lesson in lessons]
    return "\n".join(lines)


def render_memory(state: State, tokens: int | None = None) -> str:
    """All entries, oldest first. With a budget of `tokens` the oldest ones are folded into a table."""
    ended = state.ended_attempts
    entries = [render_entry(state, attempt) for attempt in ended]
    for count, name in state.late_evaluations:
        late = state.evaluations[name]
        entries[count - 1] += f"\nafter attempt {late.attempt} had ended: {render_evaluation(late)}"
    folded = _count_folded([len(text.encode()) for text in entries], tokens)
    parts = [_render_table(state, ended[:folded])] if folded else []
    return "\n\n".join([*parts, *entries[folded:]]) or "(empty: this is the first attempt)"


def _as_of_its_end(evaluation: Evaluation) -> str:
    """An evaluation in the entry of its attempt, which is never rewritten: a later result is a line of its own."""
    if evaluation.is_late or not evaluation.finished:
        return f"evaluation {evaluation.id}: still running when the attempt ended"
    return render_evaluation(evaluation)


def render_open(state: State, lane: int) -> str:
    """What the open attempts of other lanes have evaluated so far; empty if they have nothing."""
    parts = []
    for attempt in state.open_attempts:
        done = [e for e in state.evaluations_in(attempt.number) if e.status]
        if attempt.lane != lane and done:
            lines = [render_evaluation(e) for e in done]
            parts.append("\n".join([f"## Attempt {attempt.number}, in progress beside this one", *lines]))
    return "\n\n".join(parts)


def _count_folded(sizes: list[int], tokens: int | None) -> int:
    """How many of the oldest entries are folded. Replays the entries in order, so that the count never falls."""
    if tokens is None:
        return 0
    folded, unfolded, limit = 0, 0, bytes_for(tokens)
    for count, size in enumerate(sizes, 1):
        unfolded += size
        if unfolded > limit:
            while folded < count - 1 and unfolded > KEPT_SHARE * limit:
                unfolded -= sizes[folded]
                folded += 1
    return folded


def _render_table(state: State, attempts: list[Attempt]) -> str:
    hidden = attempts[:-MOST_ROWS]
    rows = [f"| {_render_row(state, attempt)} |" for attempt in attempts[-MOST_ROWS:]]
    header = [
        "## Earlier attempts, one row each (`recall` shows them whole)",
        "",
        "| attempt | idea | score | verdict | criticism |",
        "|---|---|---|---|---|",
    ]
    if hidden:
        rows.insert(0, f"| 1 to {hidden[-1].number} | left out: use `recall` | | | |")
    return "\n".join([*header, *rows])


def _render_row(state: State, attempt: Attempt) -> str:
    finished = [e for e in state.evaluations_in(attempt.number) if e.status]
    # Not the one with the best exact score: among *unclear* ones that would tell more than their verdicts.
    told = [e for e in finished if e.became_best] or [e for e in finished if e.score is not None] or finished
    best = told[-1] if told else None
    score = (verdict.score_shown(best) or best.status) if best else "none"
    cells = (
        one_line(attempt.did or "(no report)", 160),
        score,
        _row_verdict(best),
        one_line(attempt.criticism or attempt.ended, 120),
    )
    return " | ".join([str(attempt.number), *(cell.replace("|", "/") for cell in cells)])


def _row_verdict(best: Evaluation | None) -> str:
    if best is None:
        return "not evaluated"
    comparison = verdict.comparison_shown(best) or best.status
    return f"best at the time, {comparison}" if best.became_best else verdict.distrust_shown(best) or comparison


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
    reason = f": {one_line(result.message, 400)}" if result and result.status in FAULTY else ""
    suffix = f"; idea: {one_line(idea)}" if idea else ""
    return f"evaluation {evaluation.id}: {', '.join(part for part in parts if part)}{reason}{suffix}"


def short_commit(commit: str | None) -> str:
    """A commit's abbreviated hash, or `none`."""
    return commit[:10] if commit else "none"
