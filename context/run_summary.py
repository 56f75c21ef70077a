"""The run in a few lines, by code: which kinds of change gained, what failed and why, and which ideas are open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from context.ledger.vocabulary import Vocabulary, shipped_vocabulary
from runs.state import Attempt, Evaluation, State
from runs.views import verdict
from runs.views.format import one_line

MOST_KINDS, MOST_IDEAS = 12, 5
"""Kinds of change, and failures or ideas, that the summary names."""
MIN_ATTEMPTS = 3
"""With fewer the entries of the memory say it all."""


@dataclass
class Kind:
    """One kind of change: its attempts and verdicts, and the gains that were told."""

    attempts: set[int] = field(default_factory=set)
    verdicts: Counter[str] = field(default_factory=Counter)
    gains: list[str] = field(default_factory=list)


def render_summary(state: State, vocabulary: Vocabulary | None = None, share: float = 1.0) -> str:
    """The summary of all ended attempts as Markdown; empty while there are few. `share`: of the usual room."""
    ended = state.ended_attempts
    if len(ended) < MIN_ATTEMPTS:
        return ""
    kinds = summarize_kinds(state, vocabulary or shipped_vocabulary())
    few = max(2, round(min(1.0, 2 * share) * MOST_IDEAS))
    kinds_shown = max(4, round(min(1.0, 2 * share) * MOST_KINDS))
    parts = [*_kind_lines(kinds, kinds_shown), *_failure_lines(state, few), *_idea_lines(ended, few)]
    return "\n".join(["## The run so far", "", *parts]) if parts else ""


def summarize_kinds(state: State, vocabulary: Vocabulary) -> dict[str, Kind]:
    """What each kind of change brought. The kind is an action of the vocabulary that the attempt's words name, else
    the attempt's move."""
    kinds: dict[str, Kind] = {}
    for attempt in state.ended_attempts:
        done = [one for one in state.evaluations_in(attempt.number) if one.status]
        for name in vocabulary.in_words(attempt.did)[:3] or [attempt.move]:
            kind = kinds.setdefault(name, Kind())
            kind.attempts.add(attempt.number)
            for evaluation in done:
                _count(kind, evaluation)
    return kinds


def _count(kind: Kind, evaluation: Evaluation) -> None:
    result = evaluation.finished
    assert result is not None
    name = (result.verdict or evaluation.status) if evaluation.status == "scored" else evaluation.status
    name = "first score" if name == "first" else name
    kind.verdicts["not trusted" if result.distrust_reason else name] += 1
    if result.verdict == "real" and result.shown_gain and not result.distrust_reason:
        kind.gains.append(f"{result.shown_gain} in {evaluation.id}")


def _kind_lines(kinds: dict[str, Kind], most: int) -> list[str]:
    def order(item: tuple[str, Kind]) -> tuple[int, int, str]:
        return -item[1].verdicts["real"], -len(item[1].attempts), item[0]

    lines = []
    for name, kind in sorted(kinds.items(), key=order)[:most]:
        counts = ", ".join(f"{count} {word}" for word, count in sorted(kind.verdicts.items())) or "no evaluation"
        gains = f"; gains {'; '.join(kind.gains[-3:])}" if kind.gains else ""
        plural = "s" if len(kind.attempts) > 1 else ""
        lines.append(f"- {name}: {len(kind.attempts)} attempt{plural}, {counts}{gains}")
    return ["Kinds of change (verdicts count evaluations, gains are paired):", *lines] if lines else []


def _failure_lines(state: State, most: int) -> list[str]:
    found: Counter[tuple[str, str]] = Counter()
    for evaluation in state.evaluations.values():
        if evaluation.finished and evaluation.status in ("failed", "timeout", "invalid"):
            found[evaluation.status, one_line(evaluation.finished.message, 160)] += 1
        elif reason := verdict.distrust_shown(evaluation):
            found["scored", one_line(reason, 160)] += 1
    lines = [f"- {count} x {status}: {message}" for (status, message), count in found.most_common(most)]
    return ["Failures:", *lines] if lines else []


def _idea_lines(ended: Sequence[Attempt], most: int) -> list[str]:
    lines = [f"- attempt {one.number}: {one_line(one.next, 300)}" for one in ended if one.next][-most:]
    return ["What attempts proposed to do next, latest last:", *lines] if lines else []
