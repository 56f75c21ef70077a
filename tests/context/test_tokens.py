"""Token estimates are fitted to an endpoint's own counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from context.tokens import BYTES_PER_TOKEN, LEAST, MOST, TokenFit


def test_fit_follows_the_endpoint_counts() -> None:
    fit = TokenFit()
    assert fit.estimate(300) == 100
    for turn in range(1, 20):
        fit.learn(4_400 * turn, 1_000 * turn)
    assert abs(fit.bytes_per_token - 4.4) < 0.01
    assert fit.estimate(4_400) == 1_000


def test_restart_counts_the_whole_window() -> None:
    fit = TokenFit()
    fit.learn(400_000, 100_000)
    fit.restart()
    fit.learn(40_000, 10_000)
    assert fit.bytes_per_token == 4.0


def test_short_additions_are_ignored() -> None:
    fit = TokenFit()
    fit.learn(100, 90)
    assert fit.bytes_per_token == BYTES_PER_TOKEN


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20))
def test_fit_stays_within_bounds_for_any_counts(counts: list[tuple[int, int]]) -> None:
    fit = TokenFit()
    for size, tokens in counts:
        fit.learn(size, tokens)
    assert LEAST <= fit.bytes_per_token <= MOST
