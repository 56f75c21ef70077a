"""The `SearchState` of a run: what a policy sees, built from the run's own state."""

from __future__ import annotations

from harness import budget
from harness.search.moves import KINDS
from harness.search.state import Result, SearchState, Trial
from runs.branches import Line, branches_of, comparison_of, is_result, lines_of
from runs.state import Attempt, Evaluation, State


def search_state(state: State, active_seconds: float, lane: int = 0, lanes: int = 1) -> SearchState:
    """What a policy sees when a lane chooses its next move after `active_seconds` of the run."""
    branches, lines, values = branches_of(state), lines_of(state), values_of(state)
    trials = tuple(_trial(state, attempt, branches[attempt.number], lines, values) for attempt in state.attempts)
    wish = _wish(state, lane)
    left = _seconds_left(state, active_seconds)
    return SearchState(
        trials,
        gone=share_gone(state, active_seconds),
        seconds_left=left,
        expected=expected_attempts(state, left, lanes),
        wish=wish,
        wish_problem=_wish_problem(state, wish),
        lane=lane,
        lanes=lanes,
        is_scored=any(e.status == "scored" for e in state.evaluations.values())
        or not any(e.status == "unscored" for e in state.evaluations.values()),
    )


def share_gone(state: State, active_seconds: float) -> float:
    """The share of the run that is used up, by its tightest budget."""
    assert state.created is not None
    settings = state.created.settings
    shares = [0.0]
    if settings.hours is not None:
        usable = settings.hours * 3600 - budget.kept_back_seconds(settings, state.plan)
        shares.append(active_seconds / max(1.0, usable))
    if settings.cost is not None:
        shares.append(state.cost / settings.cost)
    if settings.attempts is not None:
        shares.append(len(state.attempts) / settings.attempts)
    if settings.turns is not None:
        shares.append(state.turns / settings.turns)
    return min(1.0, max(shares))


def expected_attempts(state: State, seconds_left: float, lanes: int) -> float:
    """How many attempts the run will have made at its end at the present pace; 0 where nothing tells."""
    assert state.created is not None
    settings = state.created.settings
    ended = [attempt for attempt in state.attempts if attempt.ended]
    most = [float(settings.attempts)] if settings.attempts is not None else []
    if ended and seconds_left != float("inf"):
        mean = max(1.0, sum(attempt.active_seconds for attempt in ended) / len(ended))
        most.append(len(ended) + lanes * seconds_left / mean)
    if ended and settings.cost is not None and state.cost > 0:
        most.append(len(ended) * settings.cost / state.cost)
    if ended and settings.turns is not None and state.turns > 0:
        most.append(len(ended) * settings.turns / state.turns)
    return round(min(most, default=0.0), 1)


def _seconds_left(state: State, active_seconds: float) -> float:
    assert state.created is not None
    return round(budget.seconds_left(state.created.settings, active_seconds, state.plan), 1)


def _trial(state: State, attempt: Attempt, branch: int, lines: dict[int, Line], values: dict[str, float]) -> Trial:
    evaluations = state.evaluations_in(attempt.number)
    results = [e for e in evaluations if is_result(e)]
    failures = [e for e in evaluations if e.finished and not is_result(e) and e.status != "sampled"]
    is_open = not attempt.ended or any(e.finished is None for e in evaluations)
    ended = max([attempt.began_active + attempt.active_seconds, *(e.ended_active for e in evaluations)])
    return Trial(
        attempt.number,
        attempt.move if attempt.move in KINDS else "improve",
        attempt.parents,
        branch,
        round(attempt.began_active, 3),
        None if is_open else round(ended, 3),
        tuple(_result(state, e, branch, lines[branch], values[e.id]) for e in results),
        failures[-1].commit if failures and not results else "",
        attempt.lane,
    )


def _result(state: State, evaluation: Evaluation, branch: int, line: Line, value: float) -> Result:
    draft = line.results[0]
    over_draft = comparison_of(state, evaluation, draft) if evaluation is not draft else None
    return Result(
        evaluation.id,
        evaluation.commit,
        evaluation.attempt,
        branch,
        value,
        is_gain=evaluation.id in line.gains,
        draft_share=over_draft.share if over_draft else 0.5,
        is_promoted=evaluation.became_best,
        seconds=evaluation.result.seconds,
    )


def values_of(state: State) -> dict[str, float]:
    """The score of each result on one scale, a larger one being better.

    Some are scored on all folds, those that were worse on the first fold on that one alone: for these, the difference
    on the first fold is added to the score of the evaluation they were compared with.
    """
    sign = -1.0 if state.lower_is_better else 1.0
    values: dict[str, float] = {}
    for count, evaluation in enumerate(state.evaluations.values()):
        if not evaluation.finished:
            continue
        score = evaluation.score
        if score is None:
            values[evaluation.id] = float(count)
            continue
        other = state.evaluations.get(evaluation.result.against)
        base = other.result if other is not None and other.finished else None
        if base and evaluation.result.folds <= 1 < base.folds:
            score += (base.score or 0.0) - (base.first_score if base.first_score is not None else base.score or 0.0)
        values[evaluation.id] = sign * score
    return values


def _wish(state: State, lane: int) -> str:
    """The evaluation that the model named at the end of the lane's last attempt."""
    last = next((attempt for attempt in reversed(state.attempts) if attempt.lane == lane), None)
    return last.continue_from if last and last.ended else ""


def _wish_problem(state: State, wish: str) -> str:
    """Why an evaluation cannot be the base of an improvement; empty if it can."""
    if not wish:
        return ""
    evaluation = state.evaluations.get(wish)
    if evaluation is None:
        return "there is no such evaluation"
    if not evaluation.finished:
        return "it is not finished"
    if evaluation.status == "sampled":
        return "it saw only a share of the training rows"
    if not is_result(evaluation):
        is_scored = evaluation.status == "scored"
        return "its score is not trusted" if is_scored else "it failed, so only a repair starts from it"
    return ""
