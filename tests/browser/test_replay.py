"""The replay on the page of a run: by mouse and keyboard, at a chosen speed, also in the exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.commands.report_html import write_pages
from harness.settings import Settings
from tests.browsing import RUN, Watched

SHOWN = "#attempts tr:not(.later)"
DRAWN = """() => {
  const canvas = document.querySelector("#chart-score canvas"), seen = canvas.getContext("2d");
  const pixels = seen.getImageData(0, 0, canvas.width, canvas.height).data;
  let right = 0;
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(accent.slice(place, place + 2), 16));
  for (let at = 0; at < pixels.length; at += 4)
    if (pixels[at] === red && pixels[at + 1] === green && pixels[at + 2] === blue)
      right = Math.max(right, (at / 4) % canvas.width);
  return right / canvas.width;
}"""
"""How far the line of the best score reaches, as a part of the chart's width."""


def set_moment(page: Any, per_mille: int) -> None:
    page.locator("#replay-moment").evaluate(f"each => {{ each.value = {per_mille}; }}")
    page.locator("#replay-moment").dispatch_event("input")


def test_the_slider_shows_the_run_as_it_was_at_a_moment(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}")
    page.wait_for_function("() => Number(document.body.dataset.drawn) > 10")
    whole, width = page.locator(SHOWN).count(), page.evaluate(DRAWN)
    set_moment(page, 500)
    page.wait_for_selector("#s-replay.on")
    half = page.locator(SHOWN).count()
    assert 1 < half < whole
    assert page.locator(".graph g:not(.later)").count() == half
    assert 0.3 < page.evaluate(DRAWN) < width - 0.2
    assert page.locator("#attempts tr.open").count() == page.locator(".graph g.open").count() > 0
    assert not page.locator(".graph g.open > :not(.begun)").first.is_visible(), "its verdict is not known yet"
    assert not page.locator(".submitted").first.is_visible()
    assert "attempt" in page.inner_text("#replay-now") and "best 0." in page.inner_text("#replay-now")
    assert page.locator(".strip .later").first.get_attribute("width") == "50%"
    set_moment(page, 1000)
    assert page.locator(SHOWN).count() == whole and page.evaluate(DRAWN) == width
    assert watched.complaints == []


def test_the_replay_is_played_and_paused_with_keys_at_a_chosen_speed(watched: Watched) -> None:
    page = watched.open(f"/run/{RUN}")
    page.wait_for_function("() => Number(document.body.dataset.drawn) > 10")
    whole = page.locator(SHOWN).count()
    page.select_option("#replay-speed", "10")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.focus("#replay-moment")
    page.keyboard.press("p")
    page.wait_for_function("() => document.getElementById('replay-moment').value > 100")
    assert page.locator(SHOWN).count() < whole
    page.keyboard.press("p")
    stopped = page.input_value("#replay-moment")
    page.wait_for_timeout(200)
    assert page.input_value("#replay-moment") == stopped
    page.focus("#replay-moment")
    page.keyboard.press("ArrowRight")
    assert int(page.input_value("#replay-moment")) == int(stopped) + 1
    page.focus("[data-act=replay]")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('replay-moment').value === '1000'")
    assert page.locator(SHOWN).count() == whole
    assert asked == []


def test_the_exported_file_is_replayed_from_disk(watched: Watched, home: Path, tmp_path: Path) -> None:
    write_pages([RUN], Settings(home), tmp_path)
    watched.page.goto((tmp_path / f"{RUN}.html").as_uri(), wait_until="domcontentloaded")
    watched.page.wait_for_function("() => Number(document.body.dataset.drawn) > 10")
    whole = watched.page.locator(SHOWN).count()
    set_moment(watched.page, 300)
    assert 0 < watched.page.locator(SHOWN).count() < whole
    assert watched.complaints == []
