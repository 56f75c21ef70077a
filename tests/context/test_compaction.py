"""The compaction policy is a pure function of figures: one test per rule."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from context.compaction.policy import Figures, Rates, Thresholds, choose_tail, decide
from context.window import Group

THRESHOLDS = Thresholds.within(120_000)
FULL = Figures(fill=85_000, stable=10_000, after_mask=28_000, after_checkpoint=24_000, turns_left=100)


def test_window_below_the_high_threshold_is_unchanged() -> None:
    assert decide(replace(FULL, fill=79_000), THRESHOLDS).stage == "none"


def test_full_window_is_masked_first_then_asks_for_a_checkpoint() -> None:
    assert decide(FULL, THRESHOLDS).stage == "mask"
    assert decide(replace(FULL, masks_since=1), THRESHOLDS).stage == "checkpoint"


def test_a_recorded_score_lowers_the_threshold() -> None:
    sixty_thousand = replace(FULL, fill=60_000)
    assert decide(sixty_thousand, THRESHOLDS).stage == "none"
    assert decide(replace(sixty_thousand, is_boundary=True), THRESHOLDS).stage == "checkpoint"


def test_few_turns_left_means_no_compaction() -> None:
    assert decide(replace(FULL, turns_left=5), THRESHOLDS).stage == "none"
    assert decide(replace(FULL, turns_left=20), THRESHOLDS).stage != "none"


def test_less_than_a_batch_never_leaves() -> None:
    assert decide(replace(FULL, after_mask=70_000, after_checkpoint=68_000), THRESHOLDS).stage == "none"


def test_window_over_the_limit_is_shortened_at_any_price() -> None:
    assert decide(replace(FULL, fill=125_000, turns_left=1), THRESHOLDS).stage == "automatic"


def test_measured_rework_raises_the_price_of_compaction() -> None:
    near = replace(FULL, turns_left=9)
    assert decide(near, THRESHOLDS).stage == "mask"
    assert decide(replace(near, rework_tokens=120_000), THRESHOLDS).stage == "none"


def test_cold_cache_lowers_the_threshold() -> None:
    waiting = replace(FULL, fill=60_000, is_cold=True, masks_since=1, turns_left=12)
    assert decide(waiting, THRESHOLDS).stage == "checkpoint"
    assert decide(replace(waiting, is_cold=False), THRESHOLDS).stage == "none"


def test_free_endpoint_is_weighed_with_default_rates() -> None:
    assert decide(replace(FULL, rates=Rates(0, 0, 0)), THRESHOLDS) == decide(FULL, THRESHOLDS)


def test_thresholds_scale_with_the_limit() -> None:
    thresholds = Thresholds.within(30_000)
    assert (thresholds.high, thresholds.low, thresholds.batch) == (20_000, 12_500, 5_000)


def test_cheap_cached_input_and_measured_rework_let_the_window_grow() -> None:
    usual, tenth, fiftieth = (Thresholds.within(400_000, Rates(0.30, 0.30 / ratio)) for ratio in (5, 10, 50))
    assert usual.high == 80_000
    assert 105_000 < tenth.high < 120_000 and 240_000 < fiftieth.high < 260_000
    assert Thresholds.within(120_000, Rates(0.30, 0.006)).high == 84_000, "three tenths are left for a checkpoint"
    assert Thresholds.within(32_000, rework=0.0).high < Thresholds.within(32_000, rework=6_000.0).high <= 22_400


def test_decision_explains_its_figures() -> None:
    why = decide(FULL, THRESHOLDS).why
    assert "85,000 -> 28,000 tokens (10,000 unchanged), 100 turns left: saves $0." in why


def test_refusal_explains_its_figures() -> None:
    kept = decide(replace(FULL, turns_left=9, rework_tokens=120_000), THRESHOLDS)
    assert kept.refused == "no change pays" and 0 < kept.saving < kept.price
    assert "no change pays: 85,000 -> 28,000 tokens (10,000 unchanged), 9 turns left: saves $0." in kept.why
    assert decide(replace(FULL, turns_left=5), THRESHOLDS).why == "few turns are left: 5, and 85,000 tokens"
    assert (
        decide(replace(FULL, after_mask=70_000, after_checkpoint=68_000), THRESHOLDS).refused
        == "too little would leave"
    )
    assert not decide(replace(FULL, fill=40_000), THRESHOLDS).refused, "a small window is not refused"


FIGURES = st.builds(
    Figures,
    fill=st.integers(0, 200_000),
    stable=st.integers(0, 20_000),
    after_mask=st.integers(0, 100_000),
    after_checkpoint=st.integers(0, 100_000),
    turns_left=st.floats(0, 1_000),
    masks_since=st.integers(0, 3),
    is_boundary=st.booleans(),
    is_cold=st.booleans(),
    may_ask=st.booleans(),
)


@given(FIGURES)
def test_every_decision_pays_or_is_forced(figures: Figures) -> None:
    decision = decide(figures, THRESHOLDS)
    if decision.stage in ("mask", "checkpoint"):
        assert decision.saving > decision.price > 0
        assert figures.fill - decision.target >= THRESHOLDS.batch
        assert decision.stage == "mask" or figures.may_ask
    assert (decision.stage == "automatic") == (figures.fill > THRESHOLDS.limit)


@given(FIGURES, st.floats(1, 500))
def test_more_turns_left_never_cancel_a_compaction(figures: Figures, more: float) -> None:
    if decide(figures, THRESHOLDS).stage != "none":
        assert decide(replace(figures, turns_left=figures.turns_left + more), THRESHOLDS).stage != "none"


SIZES = st.lists(st.integers(1, 40_000), min_size=1, max_size=40)


def groups_of(sizes: list[int]) -> list[Group]:
    return [Group(index, index + 1, size) for index, size in enumerate(sizes)]


@given(SIZES)
def test_choose_tail_keeps_the_last_exchange_and_few_others(sizes: list[int]) -> None:
    groups = groups_of(sizes)
    kept = choose_tail(groups, THRESHOLDS, 3.0)
    assert kept == groups[len(groups) - len(kept) :]
    assert 1 <= len(kept) <= THRESHOLDS.kept_groups
    assert len(kept) == 1 or sum(group.size for group in kept) <= THRESHOLDS.tail * 3
