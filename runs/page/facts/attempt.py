"""One attempt: why its move was chosen, its evaluations with folds, its code against its parents', its notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runs.events.registry import EvaluationFinished, Event, FoldFinished, NotesKept
from runs.page.facts.diffs import diff_facts
from runs.page.facts.jobs import job_facts
from runs.page.facts.logs import tail_of_log
from runs.page.facts.overview import gain_of, verdict_of
from runs.page.facts.run_view import RunView
from runs.serialization import JournalError
from runs.state import Attempt, Evaluation
from runs.usage.job_use import JobUse, use_texts
from runs.views.format import (
    duration_text,
    evaluation_text,
    fold_text,
    money_text,
    one_line,
    printable_lines,
    score_text,
)

MOST_CHARACTERS = 40_000
"""Longer texts of the model are cut on the page of an attempt; search and the pages of turns have them."""


def attempt_facts(view: RunView, number: int) -> dict[str, Any]:
    """The facts of an attempt. Raises `JournalError` if there is none with this number."""
    with view.lock:
        if not 1 <= number <= len(view.state.attempts):
            raise JournalError(f"{view.folder.name} has no attempt {number}; it has {len(view.state.attempts)}")
        attempt = view.state.attempts[number - 1]
        found = view.state.evaluations_in(number)
        shown = _shown(found, view.state.lower_is_better)
        events = list(_events(view, attempt))
        facts = {
            "number": number,
            "count": len(view.state.attempts),
            "move": attempt.move,
            "lane": attempt.lane,
            "turns": attempt.turns,
            "first_turn": next((row.turn for row in view.rows if row.turn and row.attempt == number), 0),
            "did": _cut(attempt.did) or ("It has not ended." if not attempt.ended else "It left no notes."),
            "facts": _facts(attempt, view),
            "parents": _parents(attempt, view),
            "notes": [(name, _cut(text)) for name, text in _notes(attempt)],
            "notebook": _notebook(events) if attempt.ended else "",
            "jobs": job_facts(events),
            "diff_of": shown.id if shown else "",
            "diff_commit": shown.commit if shown else "",
            "evaluations": [_evaluation(one, view) for one in found],
            **_move(attempt, view),
        }
    # Outside the lock: git takes a while.
    parents = [(one["commit"], f"attempt {one['attempt']}, commit {one['commit'][:10]}") for one in facts["parents"]]
    starts = parents or [(None, "an empty workspace")]
    facts["diffs"] = [diff_facts(view.folder, start, shown.commit, name) for start, name in starts] if shown else []
    return facts


def _shown(found: list[Evaluation], lower_is_better: bool) -> Evaluation | None:
    """The evaluation whose code is shown: the best one, or the last if none has a score."""
    scored = [one for one in found if one.score is not None]
    if not scored:
        return found[-1] if found else None
    return (min if lower_is_better else max)(scored, key=lambda one: one.score or 0.0)


def _facts(attempt: Attempt, view: RunView) -> list[str]:
    return [
        f"ended: {attempt.ended}" if attempt.ended else "still open",
        f"{attempt.turns} turns",
        duration_text(attempt.active_seconds) if attempt.ended else f"began {attempt.started_at[:19]}",
        money_text(attempt.cost, is_known=view.state.is_cost_known),
    ]


def _move(attempt: Attempt, view: RunView) -> dict[str, Any]:
    move = view.moves.get(attempt.number)
    started = view.journal.read(view.attempt_seqs[attempt.number]) if attempt.number in view.attempt_seqs else None
    wish = ""
    if move is not None and move.wish:
        wish = f"continue from {move.wish}" + (f"; refused: {move.refusal}" if move.refusal else "")
    return {
        "reasons": [*move.reasons, f"chosen by {move.policy}"] if move else [],
        "focus": move.focus if move else "",
        "wish": wish,
        "brief": _cut(getattr(started, "brief", "")),
    }


def _parents(attempt: Attempt, view: RunView) -> list[dict[str, Any]]:
    by_commit = {one.commit: one for one in view.state.evaluations.values()}
    return [
        {
            "commit": commit,
            "attempt": by_commit[commit].attempt if commit in by_commit else 0,
            "score": score_text(by_commit[commit].score, by_commit[commit].noise) if commit in by_commit else "unknown",
        }
        for commit in attempt.parents
    ]


def _notes(attempt: Attempt) -> Iterator[tuple[str, str]]:
    for name, text in (("did", attempt.did), ("criticism", attempt.criticism), ("next", attempt.next)):
        if text:
            yield name, text
    yield from (("lesson", lesson) for lesson in attempt.lessons)
    if attempt.closing is not None:
        yield from (("fact it printed", fact) for fact in attempt.closing.facts[:20])
        yield from (("done", done) for done in attempt.closing.done[:20])
        if attempt.closing.killed_jobs:
            yield "jobs killed at the end", ", ".join(attempt.closing.killed_jobs)


def _events(view: RunView, attempt: Attempt) -> Iterator[Event]:
    """The whole events of an attempt."""
    for event in view.lane_events(attempt.lane, view.attempt_seqs.get(attempt.number, 0)):
        if event.attempt > attempt.number:
            return
        if event.attempt == attempt.number:
            yield event


def _notebook(events: Sequence[Event]) -> str:
    return next((printable_lines(_cut(event.text)) for event in events if isinstance(event, NotesKept)), "")


def _cut(text: str) -> str:
    left = len(text) - MOST_CHARACTERS
    return text if left <= 0 else f"{text[:MOST_CHARACTERS]} … ({left:,} more characters)"


def _evaluation(evaluation: Evaluation, view: RunView) -> dict[str, Any]:
    finished = view.whole(evaluation.finished) or EvaluationFinished(
        evaluation=evaluation.id, status="failed", commit="", tree="", message="it has no result yet"
    )
    return {
        "id": evaluation.id,
        "is_over": evaluation.finished is not None,
        "verdict": verdict_of(evaluation),
        "outcome": evaluation_text(evaluation, view.state)
        + (f", verdict {finished.verdict}" if finished.verdict else ""),
        "score": score_text(evaluation.score, evaluation.noise),
        "gain": gain_of(evaluation),
        "against": finished.against,
        "gain_folds": finished.gain_folds,
        "share": f"{finished.share:.1%}" if finished.share is not None else "",
        "claimed": score_text(finished.claimed) if finished.claimed is not None else "",
        "shown": finished.shown_score,
        "time": duration_text(finished.seconds),
        "command": one_line(evaluation.command, 400),
        "message": one_line(finished.message, 600),
        "notes": [one_line(note, 300) for note in finished.notes],
        "folds": _folds(evaluation, view),
        "steps": list(_steps(finished)),
        "output": printable_lines(tail_of_log(view.folder, evaluation.started.job)),
    }


def _folds(evaluation: Evaluation, view: RunView) -> list[dict[str, str]]:
    found = [(fold, result) for (name, fold), result in view.state.folds.items() if name == evaluation.id]
    if not found:
        return []
    finished = evaluation.finished
    first = finished.first_score if finished and finished.first_score is not None else None
    noise = finished.first_noise if finished else None
    name = fold_text("", view.state)
    rows = [{"name": name, "score": score_text(first, noise), "time": ""}] if first is not None else []
    return rows + [
        {
            "name": fold_text(fold, view.state),
            "score": _fold_score(result) if result else "open",
            "time": duration_text(result.seconds) if result else "",
        }
        for fold, result in found
    ]


def _fold_score(result: FoldFinished) -> str:
    return score_text(result.score, result.noise) if result.score is not None else result.status


def _steps(finished: EvaluationFinished) -> Iterator[dict[str, str]]:
    for place, step in enumerate(finished.steps, 1):
        use = JobUse()
        use.add(step.seconds, step.cpu_seconds, step.peak_bytes)
        used = "".join(f", {text}" for text in use_texts(use))
        cached = f", from the cache of {step.cached_from}" if step.cached_from else ""
        notes = f" ({'; '.join(step.notes)})" if step.notes else ""
        text = f"Step {place}: {duration_text(step.seconds)}{used}{cached}{notes}"
        yield {"text": one_line(text, 500), "job": step.job}
