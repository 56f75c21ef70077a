"""The memory of a run: one Markdown entry per finished attempt. Code renders the facts, the model wrote the words.

Entries are never rewritten, so the memory in the window only grows at its end and stays cached. When it exceeds its
budget, many of the oldest entries become table rows at once; `recall` still shows them whole.
"""

from __future__ import annotations

import re

from context.tokens import bytes_for
from runs.state import Attempt, Evaluation, State
from runs.views.format import one_line

KEPT_SHARE = 0.4
"""Share of the budget that whole entries take right after folding. A low share makes folding rare."""
MOST_ROWS = 150
LONGEST = 2_000
"""Characters of one part of an attempt's report in the window; `recall` shows longer ones whole."""
_SHOWN_SCORE = re.compile(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)(?:\s*±\s*(\d+(?:\.\d+)?(?:e-?\d+)?))?")


def render_entry(state: State, attempt: Attempt) -> str:
    """The entry of one finished attempt."""
    lines = [
        f"## Attempt {attempt.number}",
        f"parent: {short_commit(attempt.parent)}; turns: {attempt.turns}; minutes: {attempt.active_seconds / 60:.1f}; "
        f"ended by {attempt.ended.replace('_', ' ')}",
    ]
    lines += [render_evaluation(state, e) for e in state.evaluations_in(attempt.number)] or ["no evaluation"]
    for name, text in (("did", attempt.did), ("criticism", attempt.criticism), ("next", attempt.next)):
        if text:
            lines.append(f"{name}: {one_line(text, LONGEST)}")
    lines += [f"lesson: {one_line(lesson, 400)}" for lesson in attempt.lessons[:20]]
    return "\n".join(lines)


def render_memory(state: State, tokens: int | None = None) -> str:
    """All entries, oldest first. With a budget of `tokens` the oldest ones are folded into a table."""
    ended = state.ended_attempts
    entries = [render_entry(state, attempt) for attempt in ended]
    folded = _count_folded([len(text.encode()) for text in entries], tokens)
    parts = [_render_table(state, ended[:folded])] if folded else []
    return "\n\n".join([*parts, *entries[folded:]]) or "(empty: this is the first attempt)"


def render_open(state: State, lane: int) -> str:
    """What the open attempts of other lanes have evaluated so far; empty if they have nothing."""
    parts = []
    for attempt in state.open_attempts:
        done = [e for e in state.evaluations_in(attempt.number) if e.status]
        if attempt.lane != lane and done:
            lines = [render_evaluation(state, e) for e in done]
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
    scored = [e for e in finished if e.score is not None]
    pick = min if state.lower_is_better else max
    best = pick(scored, key=lambda e: e.score or 0.0) if scored else (finished[-1] if finished else None)
    score = (best.shown_score or best.status) if best else "none"
    cells = (
        one_line(attempt.did or "(no report)", 160),
        score,
        _row_verdict(state, best),
        one_line(attempt.criticism or attempt.ended, 120),
    )
    return " | ".join([str(attempt.number), *(cell.replace("|", "/") for cell in cells)])


def _row_verdict(state: State, best: Evaluation | None) -> str:
    if best is None:
        return "not evaluated"
    comparison = compare_with_best(state, best)
    if best.became_best:
        return f"best at the time{f', {comparison}' if comparison else ''}"
    return comparison or best.status


def render_evaluation(state: State, evaluation: Evaluation, idea: str = "") -> str:
    """One evaluation in a line: status, score as the model saw it, comparison with the best, commit, command."""
    score = f" {evaluation.shown_score}" if evaluation.shown_score else ""
    comparison = compare_with_best(state, evaluation)
    delta = f" ({comparison})" if comparison else ""
    best = ", best at the time" if evaluation.became_best else ""
    has_reason = evaluation.status in ("invalid", "failed", "timeout")
    reason = f": {one_line(evaluation.result.message, 400)}" if has_reason else ""
    suffix = f"; idea: {one_line(idea)}" if idea else ""
    return (
        f"evaluation {evaluation.id}: {evaluation.status or 'open'}{score}{delta}, "
        f"commit {short_commit(evaluation.commit)}, `{one_line(evaluation.command, 300)}`{best}{reason}{suffix}"
    )


def compare_with_best(state: State, evaluation: Evaluation) -> str:
    """A score against the best before it, computed only from scores the model saw; empty if none can be compared."""
    before = _best_before(state, evaluation)
    mine = _SHOWN_SCORE.match(evaluation.shown_score)
    other = _SHOWN_SCORE.match(before.shown_score) if before else None
    if evaluation.status == "scored" and (verdict := evaluation.result.verdict):  # it wins over rounded scores
        baseline = evaluation.result.against
        against = f" vs {baseline}" if baseline else ""
        if mine and other and before and before.id == baseline and verdict != "unclear":
            return f"{float(mine[1]) - float(other[1]):+.6g}{against}: {verdict}"
        return "first score" if verdict == "first" else f"{verdict}{against}"
    if before is None or mine is None or other is None or evaluation.status != "scored":
        return ""
    delta = float(mine[1]) - float(other[1])
    noise = max(float(mine[2] or 0), float(other[2] or 0))
    gain = -delta if state.lower_is_better else delta
    verdict = "within noise" if abs(delta) <= noise else "better" if gain > 0 else "worse"
    return f"{delta:+.6g} vs {before.id}: {verdict}"


def _best_before(state: State, evaluation: Evaluation) -> Evaluation | None:
    before: Evaluation | None = None
    for other in state.evaluations.values():
        if other.id == evaluation.id:
            break
        before = other if other.became_best else before
    return before


def short_commit(commit: str | None) -> str:
    """A commit's abbreviated hash, or `none`."""
    return commit[:10] if commit else "none"
