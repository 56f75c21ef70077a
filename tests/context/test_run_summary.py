"""What code says of a run: numbers that contradict the record, and the summary of what gained and what failed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from context.contradictions import mark_contradictions
from context.memory import render_entry, render_memory
from context.run_summary import render_summary
from runs.state import State, fold
from tests.context.test_learning import attempt, evaluation, run_events


def story() -> State:
    """Four attempts: a first score, a real gain, a failure, a worse score."""
    real = {"shown_score": "0.9512 ± 0.004", "against": "001-1", "gain": 0.05, "shown_gain": "+0.0508 ± 0.0091"}
    return fold(
        run_events(
            attempt(1, *evaluation("001-1", "scored", 0.9, "first", shown_score="0.9004 ± 0.005"), did="ridge"),
            attempt(
                2,
                *evaluation("002-1", "scored", 0.95, "real", **real),
                did="gradient boosting scored 0.9612, not 0.9004",
            ),
            attempt(3, *evaluation("003-1", "failed", message="KeyError: 'x'"), did="stacking"),
            attempt(
                4,
                *evaluation("004-1", "scored", 0.94, "worse", shown_score="0.94", against="002-1"),
                did="LightGBM with larger leaves",
            ),
        )
    )


@pytest.mark.parametrize(
    ("words", "contradicted"),
    [
        ("002-1 scored 0.9512", False),
        ("002-1 scored 0.95", False),
        ("evaluation 002-1: 0.961", True),
        ("002-1 gained 0.0508 over 001-1", False),
        ("it scored 0.9512, up from 0.9004", False),
        ("it scored 0.9712", True),
        ("The score is 0.99", True),
        ("cross-validation score of 0.99", False),
        ("my own validation said 0.97", False),
        ("learning rate 0.05 with 0.8 of the columns", False),
        ("we expect a score of 0.99", False),
        ("", False),
    ],
)
def test_numbers_are_compared_with_the_record(words: str, contradicted: bool) -> None:
    state = story()
    marked = mark_contradictions(state, state.attempts[1], words)
    assert ("[record:" in marked) == contradicted
    assert re.sub(r" \[record:[^]]*\]", "", marked) == words


def test_the_entry_of_an_attempt_carries_the_mark() -> None:
    state = story()
    assert "scored 0.9612 [record: no evaluation" in render_entry(state, state.attempts[1])
    assert "scored 0.9612 [record: no evaluation" in render_memory(state, 2_000).partition("## Attempt 1")[0]


def test_the_entry_of_an_attempt_names_every_parent_and_its_cost() -> None:
    state = story()
    merged = replace(state.attempts[1], parents=("a" * 40, "b" * 40), cost=0.25)
    assert "parent: aaaaaaaaaa, bbbbbbbbbb;" in render_entry(state, merged)
    assert "; cost: $0.2500; ended by" in render_entry(state, merged)
    assert "parent: none;" in render_entry(state, state.attempts[0])


def test_a_result_after_the_end_of_an_attempt_changes_none_of_its_words() -> None:
    started, finished = evaluation("001-1", "scored", 0.9, "first", shown_score="0.9004 ± 0.005")
    events = [*attempt(1, started, did="it scored 0.99"), finished.model_copy(update={"attempt": 1})]
    before, after = (fold(run_events(events[:count])) for count in (3, 4))
    assert after.evaluations["001-1"].score == 0.9
    for state in (before, after):
        assert mark_contradictions(state, state.attempts[0], "001-1 scored 0.99") == "001-1 scored 0.99"
        assert "| 1 | it scored 0.99 |" in render_memory(state, 2_000)


def test_the_summary_counts_kinds_of_change_with_their_gains_and_failures() -> None:
    state = story()
    text = render_summary(state)
    assert "- model.gradient_boosting: 2 attempts, 1 real, 1 worse; gains +0.0508 ± 0.0091 in 002-1" in text
    assert "- model.linear: 1 attempt, 1 first score" in text
    assert "- 1 x failed: KeyError: 'x'" in text


def test_a_short_run_has_no_summary() -> None:
    assert render_summary(fold(run_events(attempt(1, *evaluation("001-1", "failed"))))) == ""
