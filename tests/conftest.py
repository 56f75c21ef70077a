"""Order long test files first, isolate keys between tests, and share prepared data between workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import settings
from tests.playing import Prepared, with_digits

SLOW_SECONDS = 20.0
"""Assumed duration of a slow test without a figure of its own, such as `@pytest.mark.slow(seconds=200)`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by the seconds of their slow tests; the order within a file stays."""
    weights: dict[str, float] = {}
    for item in items:
        mark = item.get_closest_marker("slow")
        seconds = mark.kwargs.get("seconds", SLOW_SECONDS) if mark else 0.0
        weights[item.location[0]] = weights.get(item.location[0], 0.0) + seconds
    items.sort(key=lambda item: -weights[item.location[0]])


@pytest.fixture(scope="session", autouse=True)
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Say where the workers of this session share prepared data."""
    base = tmp_path_factory.getbasetemp()
    Prepared.home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prepared"


@pytest.fixture
def digits_home(tmp_path: Path) -> Path:
    """A HARNESS_HOME in which `digits` is prepared."""
    return with_digits(tmp_path / "home")


@pytest.fixture(autouse=True)
def no_key_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_TAKEN", {})
