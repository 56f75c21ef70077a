"""The order of the tests: a file that takes long begins first, so that none is waited for alone at the end. And what
one test's environment held is not remembered in the next."""

from __future__ import annotations

import pytest

from harness import settings

SLOW_SECONDS = 20.0
"""What a slow test is taken to last that does not say so: `@pytest.mark.slow(seconds=200)`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files change places, tests within a file do not."""
    weights: dict[str, float] = {}
    for item in items:
        mark = item.get_closest_marker("slow")
        seconds = mark.kwargs.get("seconds", SLOW_SECONDS) if mark else 0.0
        weights[item.location[0]] = weights.get(item.location[0], 0.0) + seconds
    items.sort(key=lambda item: -weights[item.location[0]])


@pytest.fixture(autouse=True)
def no_key_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_TAKEN", {})
