"""Every page in a real browser: it shows what it should, by mouse and keyboard, and sends requests only to its
server.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import HOSTILE, RUN, Watched, watch
from tests.page_server import PageServer

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
PATHS = {
    "runs": "/",
    "run": f"/run/{RUN}",
    "attempt": f"/run/{RUN}/attempt/7",
    "turn": f"/run/{RUN}/turn/40",
    "window": f"/run/{RUN}/turn/40/window",
    "compare": f"/compare?run={RUN}&run={HOSTILE}",
    "sweep": "/sweep/s",
}


@pytest.mark.parametrize("name", PATHS)
def test_a_page_opens_without_an_error_and_asks_only_loopback(watched: Watched, name: str) -> None:
    page = watched.open(PATHS[name])
    page.wait_for_selector("h1")
    page.wait_for_timeout(300)
    assert watched.complaints == []
    assert watched.hosts == {f"127.0.0.1:{watched.server.access.port}"}
    assert watched.server.access.token not in page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if name == "runs":
        assert page.locator(".scroll").evaluate("table => table.scrollWidth <= table.clientWidth")


def test_the_run_page_draws_its_charts_and_leads_to_the_diff_of_an_attempt(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}")
    page.wait_for_function("() => Number(document.body.dataset.drawn) > 10")
    assert page.locator("#chart-score canvas").count() == 1
    assert page.locator(".graph .edge").count() >= 10
    assert page.locator(".strip rect").count() > 100
    page.click(".tree a:text-is('7')")
    page.wait_for_selector(".diff .d-a")
    assert f"harness fork {RUN} --at 007-1" in watched.text()
    assert "against attempt" in watched.text() or "against an empty workspace" in watched.text()


def test_pages_show_what_jobs_used_of_the_machine(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}")
    assert re.search(r"jobs ended\. .*[\d.]+ cores .*, peak memory [\d.]+ GB, GPU utilization \d+%", watched.text())
    page.goto(page.url + "/attempt/7")
    assert re.search(r"\d+ ended\. .*[\d.]+ cores ", watched.text())
    page.click("#d-jobs summary")
    rows = page.locator("#d-jobs tbody tr").all_inner_texts()
    assert any("explore.py" in row and " cores " in row and "GPU utilization" in row for row in rows)
    assert any("evaluation 007-2, fold4" in row for row in rows)
    page.click("#d-jobs a >> nth=0")
    page.wait_for_selector("text=Output of job")


def test_keys_go_through_the_turns_and_every_turn_has_an_address(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}/turn/40")
    page.wait_for_selector("#list [aria-current]")
    page.keyboard.press("j")
    page.wait_for_selector("article[data-turn='41']")
    page.keyboard.press("j")
    page.wait_for_selector("article[data-turn='42']")
    page.keyboard.press("k")
    page.wait_for_selector("article[data-turn='41']")
    assert page.url.endswith("/turn/41")
    page.go_back()
    page.wait_for_selector("article[data-turn='42']")
    page.keyboard.press("t")
    assert page.locator("details.thinking[open]").count() == 1
    page.keyboard.press("?")
    assert page.locator("#help[open]").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("w")
    page.wait_for_url("**/window")
    assert "What the model saw at turn 42" in watched.text()


def test_search_finds_a_text_and_opens_its_turn(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}/turns")
    page.keyboard.press("/")
    page.keyboard.type("step_20 = ")
    page.wait_for_selector("#hits[data-done='step_20 ='] a mark")
    page.click("#hits a >> nth=0")
    page.wait_for_selector("article[data-turn]")
    assert "step_20" in page.inner_text("main")


def test_scrolling_through_the_list_shows_no_holes(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}/turns")
    page.wait_for_function("() => Number(document.body.dataset.rows) > 300")
    holes = page.evaluate(
        """async () => {
          const list = document.getElementById("list"), holes = [];
          for (let y = 0; y < list.scrollHeight - list.clientHeight; y += 1777) {
            list.scrollTop = y;
            await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
            const box = list.getBoundingClientRect();
            for (let at = 5; at < list.clientHeight; at += 26) {
              const hit = document.elementFromPoint(box.left + 60, box.top + at);
              if (!hit?.closest("#list a")) holes.push([y, at]);
            }
          }
          return holes;
        }"""
    )
    assert holes == []


def test_runs_are_sorted_filtered_and_compared(watched: Watched) -> None:
    page = watched.open("/")
    page.click("th button:text-is('attempts')")
    assert page.inner_text("#rows tr >> nth=0").count(RUN) == 1
    page.click("th button:text-is('attempts')")
    assert page.inner_text("#rows tr >> nth=0").count(HOSTILE) == 1
    page.fill("#filter", "hostile")
    assert page.locator("#rows tr:visible").count() == 1
    page.fill("#filter", "")
    for box in page.locator("#rows input").all():
        box.check()
    page.click("text=Compare two chosen runs")
    page.wait_for_selector("#chart-compare canvas")
    assert "largest losses" in watched.text()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_no_serious_issue(browser: Any, server: PageServer, look: str) -> None:
    """The pages as they look are kept in `build/screenshots`."""
    if not os.environ.get("HARNESS_TEST_BROWSER"):
        pytest.importorskip("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": 390, "height": 844} if look == "phone" else {"width": 1280, "height": 900}
    for watched in watch(browser, server, viewport=size, color_scheme="dark" if look == "dark" else "light"):
        for name, path in PATHS.items():
            page = watched.open(path)
            page.wait_for_selector("h1")
            page.wait_for_timeout(200)
            page.screenshot(path=SCREENSHOTS / f"{name}-{look}.png", full_page=name != "turn")
            found = Axe().run(page).response["violations"]
            serious = [
                (each["id"], each["nodes"][0]["html"][:200])
                for each in found
                if each["impact"] in ("serious", "critical")
            ]
            assert serious == [], f"{name}, {look}"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide"
