"""Medal thresholds by MLE-bench's rule, at the leaderboard sizes where the rule changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.metrics.medals import (
    Thresholds,
    board_is_lower_better,
    is_above_median,
    medal_of,
    medal_ranks,
    thresholds_from_leaderboard,
)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, (1, 1, 1)),
        (9, (1, 1, 3)),
        (51, (5, 10, 20)),
        (99, (9, 19, 39)),
        (100, (10, 20, 40)),
        (249, (10, 49, 99)),
        (250, (10, 50, 100)),
        (999, (11, 50, 100)),
        (1000, (12, 50, 100)),
        (4321, (18, 216, 432)),
    ],
)
def test_medal_ranks_depend_on_the_size_of_the_leaderboard(rows: int, expected: tuple[int, int, int]) -> None:
    assert medal_ranks(rows) == expected


def test_thresholds_are_the_scores_at_the_last_medal_ranks() -> None:
    board = [1 - rank / 100 for rank in range(1, 11)]
    assert thresholds_from_leaderboard(board) == Thresholds(0.99, 0.98, 0.96, pytest.approx(0.945), 10)


def test_lower_wins_on_a_leaderboard_that_increases() -> None:
    assert board_is_lower_better([0.1, 0.5])
    assert not board_is_lower_better([0.5, 0.1])
    assert not board_is_lower_better([0.5, 0.5])


def test_a_leaderboard_in_the_wrong_order_or_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="best first"):
        thresholds_from_leaderboard([0.1, 0.5], lower_is_better=False)
    with pytest.raises(ValueError, match="no rows"):
        thresholds_from_leaderboard([])


def test_reaching_a_threshold_after_rounding_is_enough() -> None:
    thresholds = Thresholds(0.9, 0.8, 0.7, 0.5)
    assert medal_of(0.899996, thresholds, lower_is_better=False) == "gold"
    assert medal_of(0.89999, thresholds, lower_is_better=False) == "silver"
    assert medal_of(0.7, thresholds, lower_is_better=False) == "bronze"
    assert medal_of(0.69, thresholds, lower_is_better=False) is None
    assert medal_of(None, thresholds, lower_is_better=False) is None


def test_low_scores_win_if_lower_is_better() -> None:
    thresholds = Thresholds(1.0, 2.0, 3.0, 4.0)
    assert [medal_of(x, thresholds, True) for x in (1.0, 1.5, 3.0, 3.1)] == ["gold", "silver", "bronze", None]


def test_above_median_is_strict() -> None:
    thresholds = Thresholds(0.9, 0.8, 0.7, 0.5)
    assert is_above_median(0.51, thresholds, lower_is_better=False)
    assert not is_above_median(0.5, thresholds, lower_is_better=False)
    assert is_above_median(0.49, thresholds, lower_is_better=True)
    assert not is_above_median(None, thresholds, lower_is_better=True)


@given(st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=1500), st.booleans())
def test_the_first_of_any_leaderboard_wins_gold(scores: list[float], lower: bool) -> None:
    board = sorted(scores, reverse=not lower)
    thresholds = thresholds_from_leaderboard(board, lower)
    assert medal_of(board[0], thresholds, lower) == "gold"
    sign = -1 if lower else 1
    assert sign * thresholds.gold >= sign * thresholds.silver >= sign * thresholds.bronze
