"""A real browser (Debian's chromium, driven by Playwright) and pages to look at, served on loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import HOSTILE, RUN, Watched, watch
from tests.day_run import write_day_run
from tests.page_server import PageServer, serve, write_sweep

CHROMIUM = os.environ.get("HARNESS_TEST_BROWSER") or shutil.which("chromium") or ""
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser; without one the tests are skipped, unless HARNESS_TEST_BROWSER says that there must be one."""
    if not os.environ.get("HARNESS_TEST_BROWSER") and not CHROMIUM:
        pytest.skip("chromium is not installed")
    if not os.environ.get("HARNESS_TEST_BROWSER"):
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HARNESS_HOME with a part of a made-up day, and one whose texts are hostile."""
    home = tmp_path_factory.mktemp("home")
    write_day_run(home / "runs" / RUN, 0.15, output_mb=3)
    write_day_run(home / "runs" / HOSTILE, 0.1, output_mb=0.5, is_hostile=True, seed=4)
    write_sweep(home, "s", RUN, f"{RUN}_not_begun")
    return home


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[PageServer]:
    with serve(home) as server:
        yield server


@pytest.fixture
def watched(browser: Any, server: PageServer) -> Iterator[Watched]:
    yield from watch(browser, server)
