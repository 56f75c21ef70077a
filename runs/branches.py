"""Branches: lines of work. A draft begins a branch, and whatever starts from a commit of it belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from runs.state import Evaluation, State


def branches_of(state: State) -> dict[int, int]:
    """The branch of each attempt: the number of the draft that it descends from."""
    owners = {evaluation.commit: evaluation.attempt for evaluation in state.evaluations.values()}
    branches: dict[int, int] = {}
    for attempt in state.attempts:
        owner = owners.get(attempt.parent or "", attempt.number)
        branches[attempt.number] = branches.get(owner, attempt.number)
    return branches


def count_quiet(state: State) -> int:
    """Attempts that ended since the run's last new best, besides the one that made it."""
    best = state.best
    if best is None:
        return len(state.ended_attempts)
    others = (one for one in state.ended_attempts if one.number != best.attempt)
    return sum(one.began_active + one.active_seconds >= best.ended_active for one in others)


def is_result(evaluation: Evaluation) -> bool:
    """Whether an evaluation counts as a result: it is valid and trusted. An *unclear* one counts."""
    return evaluation.status in ("scored", "unscored") and not evaluation.result.distrust_reason


@dataclass(frozen=True)
class Comparison:
    """How an evaluation compares with another of its branch: the share of draws in its favour, and whether it gains."""

    share: float
    is_gain: bool


@dataclass(frozen=True)
class Line:
    """The results of one branch in the order of their evaluations, and which of them gained.

    `missing` names an evaluation and the one to compare it with, where no comparison is on record: what follows it is
    not known yet.
    """

    results: tuple[Evaluation, ...]
    gains: frozenset[str]
    missing: tuple[str, str] | None = None


def lines_of(state: State) -> dict[int, Line]:
    """The results of every branch. Each is compared with the best by the verdict before it."""
    branches = branches_of(state)
    results: dict[int, list[Evaluation]] = {}
    for evaluation in state.evaluations.values():
        if is_result(evaluation) and evaluation.attempt in branches:
            results.setdefault(branches[evaluation.attempt], []).append(evaluation)
    return {branch: _line(state, found) for branch, found in results.items()}


def origins_of(state: State, evaluation: Evaluation) -> list[Evaluation]:
    """The results that an evaluation is one change away from, nearest first: earlier ones of its attempt, then the one
    that its attempt started from. Empty for a draft."""
    attempt = state.attempts[evaluation.attempt - 1] if 0 < evaluation.attempt <= len(state.attempts) else None
    scored = [one for one in reversed(state.evaluations.values()) if one.status == "scored" and is_result(one)]
    own = [one for one in scored if one.attempt == evaluation.attempt and one.started.seq < evaluation.started.seq]
    parents = [one for one in scored if attempt and one.commit == attempt.parent and one.attempt != attempt.number]
    return [*own, *parents]


def comparison_of(state: State, evaluation: Evaluation, other: Evaluation) -> Comparison | None:
    """How an evaluation compares with an earlier one, if that is on record."""
    result = evaluation.result
    if result.against == other.id and result.share is not None:
        return Comparison(result.share, bool(result.promoted))
    event = state.comparisons.get((evaluation.id, other.id))
    return Comparison(event.share, event.is_gain) if event else None


def _line(state: State, results: list[Evaluation]) -> Line:
    best = results[0]
    gains: set[str] = set()
    for evaluation in results[1:]:
        if evaluation.status == "unscored":
            continue
        comparison = comparison_of(state, evaluation, best)
        if comparison is None:
            return Line(tuple(results), frozenset(gains), (evaluation.id, best.id))
        if comparison.is_gain:
            best = evaluation
            gains.add(evaluation.id)
    return Line(tuple(results), frozenset(gains))
