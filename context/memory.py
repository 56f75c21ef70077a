"""Memory: the notes of a run, one Markdown entry per finished attempt. Facts by code, words by the model.

An entry is never rewritten, so the chain of entries in the window only grows and stays cached. When it passes its
budget the older entries become the rows of a table, many at once; their full text stays in the record.
"""

from __future__ import annotations

import re

from context.tokens import bytes_for
from runs.state import Attempt, Evaluation, State

KEPT_SHARE = 0.4
"""How much of its budget the chain takes just after folding: far from full, so that it folds seldom."""
MOST_ROWS = 150
LONGEST = 2_000
"""Letters of one part of an attempt's words; all of them are found by `recall`."""
_TOLD = re.compile(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)(?:\s*±\s*(\d+(?:\.\d+)?(?:e-?\d+)?))?")


def render_entry(state: State, attempt: Attempt) -> str:
    """The entry of one finished attempt."""
    lines = [
        f"## Attempt {attempt.number}",
        f"parent: {short_commit(attempt.parent)}; turns: {attempt.turns}; minutes: {attempt.active_seconds / 60:.1f}; "
        f"ended by {attempt.ended.replace('_', ' ')}",
    ]
    lines += [render_evaluation(state, e) for e in state.evaluations_in(attempt.number)] or ["no evaluation"]
    for name, words in (("did", attempt.did), ("criticism", attempt.criticism), ("next", attempt.next)):
        if words:
            lines.append(f"{name}: {cut(words, LONGEST)}")
    lines += [f"lesson: {cut(lesson, 400)}" for lesson in attempt.lessons[:20]]
    return "\n".join(lines)


def render_memory(state: State, tokens: int | None = None) -> str:
    """All entries, oldest first: the contents of `memory.md`, and with a budget of `tokens` of the window's memory."""
    ended = [attempt for attempt in state.attempts if attempt.ended]
    entries = [render_entry(state, attempt) for attempt in ended]
    folded = _folded([len(text.encode()) for text in entries], tokens)
    parts = [_table(state, ended[:folded])] if folded else []
    return "\n\n".join([*parts, *entries[folded:]]) or "(nothing yet: this is the first attempt)"


def _folded(sizes: list[int], tokens: int | None) -> int:
    """How many of the oldest entries are folded, decided entry by entry as they came, so that it never goes back."""
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


def _table(state: State, attempts: list[Attempt]) -> str:
    hidden = attempts[:-MOST_ROWS]
    rows = [f"| {_row(state, attempt)} |" for attempt in attempts[-MOST_ROWS:]]
    head = [
        "## Earlier attempts, one row each (`recall` finds their full text)",
        "",
        "| attempt | idea | score | verdict | why |",
        "|---|---|---|---|---|",
    ]
    if hidden:
        rows.insert(0, f"| 1 to {hidden[-1].number} | left out here | | | recall them |")
    return "\n".join([*head, *rows])


def _row(state: State, attempt: Attempt) -> str:
    done = [e for e in state.evaluations_in(attempt.number) if e.status]
    scored = [e for e in done if e.score is not None]
    pick = min if state.lower_is_better else max
    best = pick(scored, key=lambda e: e.score or 0.0) if scored else (done[-1] if done else None)
    score = (best.shown_score or best.status) if best else "none"
    verdict = (compare_with_best(state, best) or best.status) if best else "not evaluated"
    if best and best.was_best:
        verdict = f"best then{f', {verdict}' if compare_with_best(state, best) else ''}"
    cells = (cut(attempt.did or "(no words)", 160), score, verdict, cut(attempt.criticism or attempt.ended, 120))
    return " | ".join([str(attempt.number), *(cell.replace("|", "/") for cell in cells)])


def render_evaluation(state: State, evaluation: Evaluation, idea: str = "") -> str:
    """One evaluation: verdict, what the model was told of its score, how that compares, commit, command."""
    score = f" {evaluation.shown_score}" if evaluation.shown_score else ""
    delta = f" ({told})" if (told := compare_with_best(state, evaluation)) else ""
    best = ", best of the run then" if evaluation.was_best else ""
    reason = f": {cut(evaluation.message, 400)}" if evaluation.status in ("invalid", "failed", "timeout") else ""
    said = f"; idea: {one_line(idea)}" if idea else ""
    return (
        f"evaluation {evaluation.id}: {evaluation.status or 'open'}{score}{delta}, "
        f"commit {short_commit(evaluation.commit)}, `{cut(evaluation.command, 300)}`{best}{reason}{said}"
    )


def compare_with_best(state: State, evaluation: Evaluation) -> str:
    """A score against the best before it, from what the model was told of both; empty where there is nothing to
    compare."""
    before: Evaluation | None = None
    for other in state.evaluations.values():
        if other.id == evaluation.id:
            break
        before = other if other.was_best else before
    mine, theirs = _TOLD.match(evaluation.shown_score), _TOLD.match(before.shown_score) if before else None
    if evaluation.verdict and evaluation.status == "scored":  # as judged, not as rounded numbers suggest
        on = f" on {evaluation.against}" if evaluation.against else ""
        if mine and theirs and before and before.id == evaluation.against and evaluation.verdict != "unclear":
            return f"{float(mine[1]) - float(theirs[1]):+.6g}{on}: {evaluation.verdict}"
        return f"{evaluation.verdict}{on}"
    if before is None or mine is None or theirs is None or evaluation.status != "scored":
        return ""
    delta = float(mine[1]) - float(theirs[1])
    noise = max(float(mine[2] or 0), float(theirs[2] or 0))
    gain = -delta if state.lower_is_better else delta
    verdict = "within noise" if abs(delta) <= noise else "better" if gain > 0 else "worse"
    return f"{delta:+.6g} on {before.id}: {verdict}"


def short_commit(commit: str | None) -> str:
    """A commit as it is named in texts."""
    return commit[:10] if commit else "none"


def one_line(text: str) -> str:
    """A text without line ends or runs of spaces."""
    return " ".join(text.split())


def cut(text: str, most: int) -> str:
    """A text in one line of at most so many letters."""
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
