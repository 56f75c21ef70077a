"""The time kept for the final selection is the time it uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.final_plan import JOB_SECONDS, MARGIN, MAX_SHARE, SLACK_SECONDS, SPARE_SECONDS, plan_final


@pytest.mark.parametrize("hours", [1, 8, 24])
@pytest.mark.parametrize("folds", [1, 5])
def test_what_is_kept_suffices_for_finalists_from_one_second_to_the_limit(hours: int, folds: int) -> None:
    budget = MAX_SHARE * 3600 * hours
    seconds, none_from = 1.0, None
    while seconds <= 0.2 * 3600 * hours:
        plan = plan_final([seconds] * 5, folds, budget)
        assert plan.seconds <= budget + 1e-6
        # The selection at the end asks the same function with what was kept, and gets the same answer.
        for late in (0.0, 5.0, SLACK_SECONDS):
            used = plan_final([seconds] * 5, folds, plan.seconds + SLACK_SECONDS - late)
            assert used.finalists * used.fresh_folds >= plan.finalists * plan.fresh_folds
        least = SPARE_SECONDS + (2 if folds > 1 else 3) * (MARGIN * seconds + JOB_SECONDS)
        assert (plan.finalists >= 2) == (least <= budget)
        if plan.finalists == 0:
            none_from = none_from or seconds
        seconds *= 1.3
    assert plan_final([1.0] * 5, folds, budget).finalists == 5
    assert none_from is None or none_from > 0.03 * 3600 * hours, "short evaluations are always reproduced"


def test_finalists_and_folds_shrink_with_the_length_of_an_evaluation() -> None:
    budget = MAX_SHARE * 3600 * 24
    sizes = [plan_final([seconds] * 5, 5, budget) for seconds in (60.0, 600.0, 1800.0, 4000.0, 9000.0)]
    assert [plan.finalists * plan.fresh_folds for plan in sizes] == sorted(
        (plan.finalists * plan.fresh_folds for plan in sizes), reverse=True
    )
    assert (sizes[0].finalists, sizes[0].fresh_folds) == (5, 5) and sizes[-1].finalists == 0


@given(
    durations=st.lists(st.floats(0.1, 20_000), min_size=1, max_size=6),
    folds=st.integers(1, 5),
    available=st.floats(0, 50_000),
)
def test_a_plan_never_takes_more_than_there_is(durations: list[float], folds: int, available: float) -> None:
    plan = plan_final(durations, folds, available)
    assert plan.seconds <= max(available, SPARE_SECONDS) + 1e-6
    assert plan.finalists <= len(durations) and plan.fresh_folds <= folds
    assert plan.finalists == 0 or plan.finalists >= 2
