"""When turns leave the window: a pure function of figures, so every rule of it is a line here."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from context.compaction.policy import Figures, Rates, Thresholds, choose_tail, decide, halve_tail
from context.window import Group

MARKS = Thresholds.within(120_000)
FULL = Figures(fill=85_000, stable=10_000, after_stub=28_000, after_checkpoint=24_000, turns_left=100)


def test_a_window_below_its_mark_is_left_alone() -> None:
    assert decide(replace(FULL, fill=79_000), MARKS).stage == "none"


def test_a_full_window_is_stubbed_first_and_next_time_asks_for_words() -> None:
    assert decide(FULL, MARKS).stage == "stub"
    assert decide(replace(FULL, stubs_since=1), MARKS).stage == "checkpoint"


def test_a_recorded_score_is_a_good_moment_for_words() -> None:
    at_sixty = replace(FULL, fill=60_000)
    assert decide(at_sixty, MARKS).stage == "none"
    assert decide(replace(at_sixty, is_boundary=True), MARKS).stage == "checkpoint"


def test_near_the_end_nothing_changes_any_more() -> None:
    assert decide(replace(FULL, turns_left=5), MARKS).stage == "none"
    assert decide(replace(FULL, turns_left=20), MARKS).stage != "none"


def test_a_small_batch_never_leaves_alone() -> None:
    assert decide(replace(FULL, after_stub=70_000, after_checkpoint=68_000), MARKS).stage == "none"


def test_a_window_over_its_limit_is_made_smaller_whatever_it_costs() -> None:
    assert decide(replace(FULL, fill=125_000, turns_left=1), MARKS).stage == "alone"


def test_what_was_read_again_after_earlier_epochs_makes_forgetting_dearer() -> None:
    near = replace(FULL, turns_left=9)
    assert decide(near, MARKS).stage == "stub"
    assert decide(replace(near, rework_tokens=120_000), MARKS).stage == "none"


def test_before_a_long_wait_words_are_asked_for_while_reading_is_still_cheap() -> None:
    waiting = replace(FULL, fill=60_000, is_cold=True, stubs_since=1, turns_left=12)
    assert decide(waiting, MARKS).stage == "checkpoint"
    assert decide(replace(waiting, is_cold=False), MARKS).stage == "none"


def test_an_endpoint_that_costs_nothing_is_weighed_by_the_usual_ratios() -> None:
    assert decide(replace(FULL, rates=Rates(0, 0, 0)), MARKS) == decide(FULL, MARKS)


def test_a_small_window_has_small_marks() -> None:
    marks = Thresholds.within(30_000)
    assert (marks.high, marks.low, marks.batch) == (20_000, 12_500, 5_000)


def test_the_figures_that_decided_can_be_read() -> None:
    why = decide(FULL, MARKS).why
    assert "85,000 -> 28,000 tokens (10,000 unchanged), 100 turns left: saves $0." in why


def test_why_nothing_changes_can_be_read_too() -> None:
    kept = decide(replace(FULL, turns_left=9, rework_tokens=120_000), MARKS)
    assert kept.refused == "no change pays" and 0 < kept.saving < kept.price
    assert "no change pays: 85,000 -> 28,000 tokens (10,000 unchanged), 9 turns left: saves $0." in kept.why
    assert decide(replace(FULL, turns_left=5), MARKS).why == "few turns are left: 5, and 85,000 tokens"
    assert decide(replace(FULL, after_stub=70_000, after_checkpoint=68_000), MARKS).refused == "too little would leave"
    assert not decide(replace(FULL, fill=40_000), MARKS).refused, "a small window is not weighed"


figures = st.builds(
    Figures,
    fill=st.integers(0, 200_000),
    stable=st.integers(0, 20_000),
    after_stub=st.integers(0, 100_000),
    after_checkpoint=st.integers(0, 100_000),
    turns_left=st.floats(0, 1_000),
    stubs_since=st.integers(0, 3),
    is_boundary=st.booleans(),
    is_cold=st.booleans(),
    may_ask=st.booleans(),
)


@given(figures)
def test_whatever_is_decided_pays_or_is_forced(found: Figures) -> None:
    decision = decide(found, MARKS)
    if decision.stage in ("stub", "checkpoint"):
        assert decision.saving > decision.price > 0
        assert found.fill - decision.target >= MARKS.batch
        assert decision.stage == "stub" or found.may_ask
    assert (decision.stage == "alone") == (found.fill > MARKS.limit)


@given(figures, st.floats(1, 500))
def test_more_turns_never_make_keeping_cheaper(found: Figures, more: float) -> None:
    if decide(found, MARKS).stage != "none":
        assert decide(replace(found, turns_left=found.turns_left + more), MARKS).stage != "none"


sizes = st.lists(st.integers(1, 40_000), min_size=1, max_size=40)


def groups_of(found: list[int]) -> list[Group]:
    return [Group(place, place + 1, size) for place, size in enumerate(found)]


@given(sizes)
def test_the_last_exchange_always_stays_and_few_others_do(found: list[int]) -> None:
    groups = groups_of(found)
    kept = choose_tail(groups, MARKS, 3.0)
    assert kept == groups[len(groups) - len(kept) :]
    assert 1 <= len(kept) <= MARKS.kept_groups
    assert len(kept) == 1 or sum(one.size for one in kept) <= MARKS.tail * 3


@given(sizes)
def test_a_refused_window_loses_at_least_half_of_its_turns(found: list[int]) -> None:
    groups = groups_of(found)
    kept = halve_tail(groups)
    assert sum(one.size for one in kept) <= sum(found) / 2
    assert kept == groups[len(groups) - len(kept) :]
