"""What the model is told at the head of a window that changes with time: clock, money, limits, advice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from context.advice import render_advice
from harness.run import Lane
from harness.timing.attempt_time import OVERTIME, attempt_seconds, evaluation_seconds
from harness.timing.limits import evaluation_limit, longest_evaluation
from harness.timing.notes import HINT
from runs.views.format import duration_text, money_text

MOST_HINTS = 3
"""Hints that the state repeats: the last ones."""


def describe_situation(lane: Lane) -> list[str]:
    """Lines for the state in the first message. They stand at its end, so that what is before them stays cached."""
    return list(_lines(lane))


def _lines(lane: Lane) -> Iterator[str]:
    run, state, settings = lane.run, lane.run.state, lane.run.settings
    left, own = run.seconds_left(), attempt_seconds(settings, state)
    now = f"time: now {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if left != float("inf"):
        now += f", {duration_text(left)} left for attempts"
    if own != float("inf"):
        now += f"; an attempt has {duration_text(own)}"
    yield now
    usable = OVERTIME * own  # when the attempt is ended, and its evaluation with it
    longest, limit = min(longest_evaluation(settings), usable), min(evaluation_limit(run), usable)
    more = f", with `minutes` up to {duration_text(longest)}" if longest > limit else ""
    yield f"limit of one evaluation: {duration_text(limit)}{more}"
    if lost := len(run.gpus) - len({gpu for each in run.lanes for gpu in each.sandbox.paths.gpus}):
        yield f"GPUs: {lost} of {len(run.gpus)} have failed since the run began, so fewer are visible than listed above"
    if settings.cost is not None:
        yield f"money: {money_text(max(0.0, settings.cost - state.cost))} of {money_text(settings.cost)} left"
    for number, hint in list(enumerate(state.control.hints, 1))[-MOST_HINTS:]:
        if f"run hint {number}" in lane.state.told:  # else a note tells it
            yield f"{HINT}: {' '.join(hint.split())}"
    attempt = lane.state.attempt
    if advice := render_advice(state, left, evaluation_seconds(state), attempt.move if attempt else "draft"):
        yield f"advice: {advice}"
