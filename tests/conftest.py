"""Order long test files first, isolate keys between tests, and share prepared data between workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import settings
from tests.playing import Prepared, with_digits

LONG_FILES = (
    "tests/harness/test_lanes",
    "tests/harness/test_whole_run",
    "tests/harness/test_storm",
    "tests/harness/test_resume",
    "tests/context/test_long_window",
    "tests/harness/test_environment_of_a_run",
    "tests/tasks/test_real_data",
    "tests/context/test_context_gates",
)
"""Files to start first, so that no worker runs one of them alone at the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="play as many kills, turns and runs as the slow tests' docstrings name"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long files first; otherwise the order stays."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FILES))


@pytest.fixture(scope="session", autouse=True)
def one_attempt_at_a_time() -> None:
    """Play one lane, where a test does not say otherwise: its story is then the same every time."""
    os.environ["HARNESS_PARALLEL"] = "1"


@pytest.fixture(scope="session", autouse=True)
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Say where the workers of this session share prepared data."""
    base = tmp_path_factory.getbasetemp()
    Prepared.home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prepared"


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether `--full` is given, as in `.ci/slow`; without it, long tests play the smaller number they document."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def digits_home(tmp_path: Path) -> Path:
    """A HARNESS_HOME in which `digits` is prepared."""
    return with_digits(tmp_path / "home")


@pytest.fixture(autouse=True)
def no_key_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_TAKEN", {})
