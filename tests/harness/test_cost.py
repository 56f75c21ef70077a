"""The cost of a reply, counted by the endpoint or estimated."""

from __future__ import annotations

from typing import Any

import pytest

from harness.endpoint.cost import cost_of, counted, estimated
from harness.endpoint.profiles import Prices
from runs.events.registry import Usage


def test_cached_tokens_have_their_own_price() -> None:
    usage = Usage(prompt=1_000_000, cached=600_000, completion=100_000)
    assert cost_of(usage, Prices(input=0.30, cached=0.06, output=1.20)) == pytest.approx(0.12 + 0.036 + 0.12)


def test_cached_tokens_are_at_most_the_prompt() -> None:
    usage = counted({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}, 3, 3)
    assert usage == Usage(prompt=10, cached=10, completion=1)


@pytest.mark.parametrize(
    "reported",
    [{}, {"prompt_tokens": None}, {"prompt_tokens": "12", "completion_tokens": True}, {"prompt_tokens": -1}],
)
def test_missing_counts_are_estimated_from_bytes_and_marked(reported: dict[str, Any]) -> None:
    assert counted(reported, 3000, 31) == estimated(3000, 31) == Usage(prompt=1000, completion=11, estimated=True)


def test_total_fills_a_missing_count() -> None:
    assert counted({"prompt_tokens": 10, "total_tokens": 14}, 9, 9) == Usage(prompt=10, completion=4)


@pytest.mark.parametrize("name", ["cached_tokens", "prompt_cache_hit_tokens"])
def test_alternative_names_of_cached_tokens_are_read(name: str) -> None:
    assert counted({"prompt_tokens": 10, "completion_tokens": 4, name: 8}, 9, 9).cached == 8
