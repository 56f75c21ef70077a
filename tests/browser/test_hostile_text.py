"""Whatever the agent wrote, the browser executes nothing of it and sends no request."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.commands.report_html import write_pages
from harness.settings import Settings
from tests.browsing import HOSTILE, Watched

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => violations.push(`${event.violatedDirective} ${event.sample}`));
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => { document.title = "pwned"; };
"""
PATHS = ("", "/attempt/3", "/attempt/5", "/turns", "/turn/9", "/turn/12", "/turn/30", "/turn/30/window", "/job/00302-0")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_of_the_agents_text_is_executed(watched: Watched, path: str) -> None:
    watched.page.add_init_script(WATCH)
    page = watched.open(f"/run/{HOSTILE}{path}")
    page.wait_for_selector("h1, #list a")
    page.wait_for_timeout(200)
    assert "pwned" not in page.title()
    assert page.evaluate("violations") == []
    assert page.locator("iframe, main img, [onload], [onerror], a[href^='javascript:']").count() == 0
    assert watched.complaints == []
    assert watched.hosts == {f"127.0.0.1:{watched.server.access.port}"}


def test_search_results_are_texts(watched: Watched) -> None:
    watched.page.add_init_script(WATCH)
    page = watched.open(f"/run/{HOSTILE}/turns?find=1")
    page.fill("#find", "onerror=")
    page.wait_for_selector("#hits a mark")
    assert page.locator("#hits img").count() == 0
    assert page.evaluate("violations") == [] and "pwned" not in page.title()


def test_no_control_sequence_and_no_mark_of_direction_reaches_the_page(watched: Watched) -> None:
    for path in ("", "/attempt/3", "/turn/9"):
        text = watched.server.get(f"/run/{HOSTILE}{path}").text
        assert not {"\x1b", "\u202e", "\u202c"} & set(text)


def test_the_exported_file_runs_only_its_own_script(watched: Watched, home: Path, tmp_path: Path) -> None:
    write_pages([HOSTILE], Settings(home), tmp_path)
    file = tmp_path / f"{HOSTILE}.html"
    assert file.stat().st_size < 5_000_000
    watched.page.add_init_script(WATCH)
    watched.hosts.clear()
    watched.page.goto(file.as_uri(), wait_until="domcontentloaded")
    watched.page.wait_for_function("() => Number(document.body.dataset.drawn) > 3")
    assert watched.page.evaluate("violations") == [] and "pwned" not in watched.page.title()
    assert watched.hosts <= {""}
    assert watched.complaints == []
    for section in ("Score over time", "Final choice", "Disclosure", "The winning code"):
        assert section in watched.text()
    assert "def fit(rows)" in watched.text()
