"""The line of advice follows from the record alone."""

from __future__ import annotations

from context.advice import render_advice
from runs.events.registry import AttemptEnded, AttemptStarted, Event
from runs.state import State, fold

HOUR = 3600.0


def after(*reports: str) -> State:
    """A run whose attempts ended with these reports, none with a new best."""
    events: list[Event] = []
    for number, did in enumerate(reports, 1):
        events += [AttemptStarted(attempt=number), AttemptEnded(attempt=number, why="finish", did=did)]
    return fold(events)


def test_the_first_attempt_gets_no_advice() -> None:
    assert render_advice(State(), HOUR, 60) == ""


def test_it_names_the_plateau_and_kinds_without_a_try() -> None:
    line = render_advice(after("a random forest", "ridge on counts", "a larger forest"), float("inf"), 60)
    assert "last 3 attempts" in line
    tried, _, untried = line.partition("not yet: ")
    assert "linear model, forest" in tried and "forest" not in untried and "gradient boosting" in untried


def test_it_knows_a_support_vector_machine_by_its_class() -> None:
    tried = render_advice(after("SVC(C=10) on pixels"), float("inf"), 60).partition("not yet: ")[0]
    assert "kernel method" in tried


def test_a_move_about_given_solutions_gets_no_other_ideas() -> None:
    state = after("a random forest", "ridge on counts", "a larger forest")
    assert render_advice(state, float("inf"), 60, "repair") == ""
    assert "more evaluations" in render_advice(state, 0.5 * HOUR, 800, "ensemble")


def test_it_says_how_many_evaluations_fit_once_they_are_few() -> None:
    assert "about 2 more evaluations" in render_advice(after("lightgbm"), 0.5 * HOUR, 800)
    assert "evaluations" not in render_advice(after("lightgbm"), 20 * HOUR, 800)
