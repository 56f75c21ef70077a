"""A run that is being played: its pages follow it, catch up after a lost connection, and steer it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.sweep.store import Store
from runs.control import inbox
from runs.control.answer import event_of
from runs.control.requests import Request
from runs.events.registry import AttemptStarted, Call, ModelAsked, ModelReplied, RunCreated, Usage
from runs.journal import EVENTS, Journal, create_run, read_events
from runs.run_settings import RunSettings
from runs.state import fold
from tests.browsing import Watched, watch
from tests.day_run import write_day_run
from tests.page_server import serve, write_sweep
from tests.playing import wait_until

LIVE, ENDED = "20261201-100000_digits_0_live", "20261201-110000_digits_0_ended"


class Player:
    """Plays a run as far as these tests need it: adds turns, and takes requests from the inbox as a run does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = RunSettings(hours=24.0, attempts=50, model="m")
        first = RunCreated(
            harness_version="0.2.0", run_id=folder.name, task_id="digits", task_path="digits", task_digest="0" * 64,
            metric="accuracy", lower_is_better=False, is_demo=False, sandbox="docker", protects_labels=True,
            settings=settings,
        )  # fmt: skip
        create_run(folder, first)
        self.journal = Journal.open(folder)
        self.journal.append(AttemptStarted(attempt=1, move="draft"))
        self.turns = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def turn(self, words: str) -> None:
        """One more reply."""
        self.turns += 1
        call = Call(id=f"c{self.turns}", name="bash", arguments=json.dumps({"command": words}))
        message = json.dumps({"role": "assistant", "content": words})
        with self._lock:
            self.journal.append(ModelAsked(attempt=1, request=self.turns, messages=2, size=100))
            usage = Usage(prompt=100, completion=10)
            self.journal.append(
                ModelReplied(attempt=1, request=self.turns, message=message, calls=[call], usage=usage, cost=0.01)
            )

    def _answer(self) -> None:
        while not self._over.wait(0.05):
            for one in inbox.received(self.folder):
                assert one.request is not None, one.problem
                self._carry_out(one.request, one.id)

    def _carry_out(self, request: Request, name: str) -> None:
        with self._lock:
            self.journal.append(event_of(fold(read_events(self.folder)), request, name))
            inbox.remove(self.folder, name)

    def close(self) -> None:
        """Stop playing."""
        self._over.set()
        self._thread.join(5)
        self.journal.close()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Player, Path]]:
    home = tmp_path_factory.mktemp("home")
    player = Player(home / "runs" / LIVE)
    write_day_run(home / "runs" / ENDED, 0.04, output_mb=0.1, has_code=False)
    yield player, home
    player.close()


@pytest.fixture(scope="module")
def live(browser: Any, played: tuple[Player, Path]) -> Iterator[Watched]:
    with serve(played[1]) as server:
        yield from watch(browser, server)


def turns_in(page: Any, count: int) -> None:
    page.wait_for_function(f"() => document.getElementById('count').textContent.startsWith('{count} turns')")


def test_the_run_page_updates_itself(live: Watched, played: tuple[Player, Path]) -> None:
    page = live.open(f"/run/{LIVE}")
    page.wait_for_selector(".pill.live")
    played[0].turn("echo first")
    page.wait_for_function("() => document.querySelector('.figures').textContent.includes('turns1')")
    played[0].turn("echo second")
    page.wait_for_function("() => document.querySelector('.figures').textContent.includes('turns2')")


def test_an_update_keeps_what_a_person_types_and_replays(live: Watched, played: tuple[Player, Path]) -> None:
    page = live.open(f"/run/{LIVE}")
    page.wait_for_selector("#replay-speed")
    page.select_option("#replay-speed", "120")
    page.locator("#replay-moment").evaluate("each => { each.value = 400; }")
    page.locator("#replay-moment").dispatch_event("input")
    page.fill("textarea[name=hint]", "half a hint")
    played[0].turn("echo more")
    page.wait_for_function(f"() => document.querySelector('.figures').textContent.includes('turns{played[0].turns}')")
    assert page.input_value("textarea[name=hint]") == "half a hint"
    assert page.evaluate("document.activeElement.name") == "hint"
    assert page.input_value("#replay-speed") == "120"
    assert 0 < int(page.input_value("#replay-moment")) < 1000


def test_the_list_of_turns_follows_and_catches_up_after_a_lost_connection(
    live: Watched, played: tuple[Player, Path]
) -> None:
    player = played[0]
    page = live.open(f"/run/{LIVE}/turns")
    turns_in(page, player.turns)
    page.check("#follow")
    player.turn("echo followed")
    page.wait_for_selector(f"article[data-turn='{player.turns}']")
    page.context.set_offline(True)
    for number in range(5):
        player.turn(f"echo lost {number}")
    page.wait_for_timeout(300)
    page.context.set_offline(False)
    turns_in(page, player.turns)
    texts = page.locator("#list a:has-text('lost')").all_inner_texts()
    assert sorted(texts) == sorted(set(texts)) and len(texts) == 5
    live.complaints.clear()  # the browser says that it was offline


def test_a_person_steers_pauses_continues_extends_and_stops(live: Watched, played: tuple[Player, Path]) -> None:
    folder = played[0].folder
    page = live.open(f"/run/{LIVE}")
    page.fill("textarea[name=hint]", "try <b>trees</b> & scale")
    page.click("text=Send the hint")
    page.wait_for_selector("text=Done: steered")
    assert fold(read_events(folder)).control.hints == ["try <b>trees</b> & scale"]
    assert "steered by a person" in live.text()
    page.click("button[value=pause]")
    page.wait_for_selector("text=Done: paused")
    page.wait_for_selector(".pill:has-text('paused')")
    page.click("button[value=continue]")
    page.wait_for_selector("text=Done: the run continues")
    page.fill("input[name=hours]", "2")
    page.fill("input[name=attempts]", "10")
    page.click("text=Extend the budget")
    page.wait_for_selector("text=Done: extended to 26 h, 60 attempts")
    page.click("button[value=stop]")
    page.wait_for_selector("text=Done: the run ends")
    assert fold(read_events(folder)).control.is_stopping


def test_the_page_of_a_sweep_follows_its_runs(live: Watched, played: tuple[Player, Path]) -> None:
    write_sweep(played[1], "s", ENDED, LIVE)
    page = live.open("/sweep/s")
    page.click("button:has-text('seed')")
    assert page.locator("#rows tr").first.get_attribute("data-run") == LIVE
    store = Store(played[1], "s")
    store.append("r0", "started", worker="host", events=0)
    store.append("r0", "ended", kind="done", reason="")
    page.wait_for_selector("#sums:has-text('1 done')")
    assert page.locator(f"tr[data-run='{ENDED}'] .good").inner_text() == "done"
    assert page.locator("#rows tr").first.get_attribute("data-run") == LIVE, "the chosen order stays"


def test_two_viewers_see_the_same(browser: Any, live: Watched, played: tuple[Player, Path]) -> None:
    for other in watch(browser, live.server):
        for page in (live.open(f"/run/{LIVE}/turns"), other.open(f"/run/{LIVE}/turns")):
            turns_in(page, played[0].turns)


def test_what_may_not_be_changed_is_refused(live: Watched, played: tuple[Player, Path]) -> None:
    server, home = live.server, played[1]
    headers = {"Cookie": f"{server.access.cookie}={server.access.session}", "Origin": server.url}
    before = (home / "runs" / LIVE / EVENTS).read_bytes()
    assert server.ask("POST", f"/run/{LIVE}/ask", "action=pause&csrf=guess", headers).status == 403
    assert server.ask("POST", f"/run/{LIVE}/ask", "x" * 40_000, headers).status == 413
    csrf = server.access.csrf
    assert server.ask("POST", f"/run/{LIVE}/ask", f"action=dance&csrf={csrf}", headers).status == 303
    assert (home / "runs" / LIVE / EVENTS).read_bytes() == before
    (home / "grades").mkdir()
    (home / "grades" / f"{ENDED}.json").write_text("{}")
    page = live.open(f"/run/{ENDED}")
    assert "graded and can no longer be changed" in live.text()
    assert "harness fork" not in server.get(f"/run/{ENDED}/attempt/1").text
    assert page.locator("form.steer").count() == 0
    graded = (home / "runs" / ENDED / EVENTS).read_bytes()
    assert server.ask("POST", f"/run/{ENDED}/ask", f"action=extend&hours=1&csrf={csrf}", headers).status == 303
    assert (home / "runs" / ENDED / EVENTS).read_bytes() == graded


def test_the_next_attempt_can_start_from_an_evaluation(browser: Any, tmp_path: Path) -> None:
    folder = write_day_run(tmp_path / "runs" / ENDED, 0.04, output_mb=0.1, has_code=False, is_open=True)
    with serve(tmp_path) as server:
        for watched in watch(browser, server):
            page = watched.open(f"/run/{ENDED}/attempt/1")
            page.click("text=Start the next attempt from here >> nth=0")
            page.wait_for_selector("text=Done: steered")
    wait_until(lambda: fold(read_events(folder)).control.start_from == "001-1", 5)
