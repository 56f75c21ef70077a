"""Memory: the notes of a run, one Markdown entry per finished attempt. Facts by code, words by the model.

An entry is never rewritten, so the chain of entries in the window only grows and stays cached.
"""

from __future__ import annotations

from runs.state import Attempt, Evaluation, State


def entry(state: State, attempt: Attempt) -> str:
    """The entry of one finished attempt."""
    lines = [
        f"## Attempt {attempt.number}",
        f"parent: {_short(attempt.parent)}; turns: {attempt.turns}; minutes: {attempt.active_seconds / 60:.1f}; "
        f"ended by {attempt.ended.replace('_', ' ')}",
    ]
    lines += [_evaluation_line(e) for e in state.evaluations_in(attempt.number)] or ["no evaluation"]
    for name, words in (("did", attempt.did), ("criticism", attempt.criticism), ("next", attempt.next)):
        if words:
            lines.append(f"{name}: {_one_line(words)}")
    lines += [f"lesson: {_one_line(lesson)}" for lesson in attempt.lessons]
    return "\n".join(lines)


def chain(state: State) -> str:
    """All entries, oldest first: the contents of `memory.md` and of the window's memory part."""
    entries = [entry(state, attempt) for attempt in state.attempts if attempt.ended]
    return "\n\n".join(entries) or "(nothing yet: this is the first attempt)"


def standing(state: State) -> str:
    """The code-rendered state of the run that closes the window's head."""
    attempt = state.attempts[-1] if state.attempts else None
    best = state.best
    lines = [
        f"attempt: {attempt.number if attempt else 1}",
        f"best: {f'evaluation {best.id}, {best.told or best.status}' if best else 'none yet'}",
        f"workspace: {f'commit {_short(attempt.parent)}' if attempt and attempt.parent else 'empty'}",
    ]
    return "\n".join(lines)


def _evaluation_line(evaluation: Evaluation) -> str:
    score = f" {evaluation.told}" if evaluation.told else ""
    best = ", best of the run then" if evaluation.was_best else ""
    reason = f": {_one_line(evaluation.message)}" if evaluation.status in ("invalid", "failed", "timeout") else ""
    return (
        f"evaluation {evaluation.id}: {evaluation.status or 'open'}{score}, commit {_short(evaluation.commit)}, "
        f"`{_one_line(evaluation.command)}`{best}{reason}"
    )


def _short(commit: str | None) -> str:
    return commit[:10] if commit else "none"


def _one_line(text: str) -> str:
    return " ".join(text.split())
