"""Notifications: which events bring one, and how a command and an address get them."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.config import notify_addresses
from harness.notify.notices import Notice, NoticeFold
from harness.notify.screen import NotifyingScreen, notifying
from harness.settings import SettingsError, load_settings
from harness.ui.live import PlainLines
from runs.events.registry import AttemptStarted, Event, ModelFailed, ModelReplied, RunEnded
from runs.state import State
from tests.harness.test_live import THRESHOLDS, created, evaluated
from tests.playing import harness_here, only_run, with_digits

ECHO = """import sys, os, json
record = json.load(sys.stdin)
record["environment"] = dict(os.environ)
open(sys.argv[1], "a").write(json.dumps(record) + "\\n")
"""


def notices(*events: Event, start: State | None = None) -> list[tuple[str, str]]:
    """Kind and text of every notice that the events bring."""
    state = start or State()
    fold, found = NoticeFold(state), list[Notice]()
    for event in events:
        state.apply(event)
        found += fold.apply(state, event)
    return [(notice.kind, notice.text) for notice in found]


def failed(at: float) -> ModelFailed:
    return ModelFailed(request=1, error="503", again_in=60.0, mono=at)


def test_a_run_notifies_once_of_each_best_medal_and_end() -> None:
    scores = [*evaluated(0.93, name="001-1"), *evaluated(0.955, name="001-2"), *evaluated(0.953, name="001-3")]
    found = notices(created(attempts=None), THRESHOLDS, AttemptStarted(), *scores, RunEnded(why="hours"))
    assert [kind for kind, _ in found] == ["best", "best", "medal", "finished"]
    assert found[2][1].startswith("the bronze line is crossed: 0.9550 ± 0.0061")


def test_a_resumed_run_repeats_no_notice() -> None:
    state = State()
    for event in [created(attempts=1), THRESHOLDS, AttemptStarted(), *evaluated(0.96)]:
        state.apply(event)
    assert notices(*evaluated(0.95, name="001-2"), start=state) == []


def test_an_endpoint_is_down_after_five_minutes_of_failure_and_up_with_the_next_reply() -> None:
    events = [failed(10.0), failed(200.0), failed(311.0), failed(400.0)]
    reply = ModelReplied.model_construct(kind="model_replied", mono=500.0, lane=0, attempt=0, at="")
    fold, state, kinds = NoticeFold(State()), State(), []
    for event in [*events, reply]:
        state._segment_seconds = event.mono
        kinds.append([notice.kind for notice in fold.apply(state, event)])
    assert kinds == [[], [], ["endpoint_down"], [], ["endpoint_up"]]


def test_a_budget_is_reported_once_at_80_percent() -> None:
    started = [AttemptStarted(lane=lane) for lane in range(5)]
    assert notices(created(attempts=6), *started) == [("budget", "80 % of the budget is spent: attempt 5 of 6")]


def test_a_run_without_a_new_best_for_a_quarter_of_its_hours_is_stuck() -> None:
    quiet = [AttemptStarted(mono=at) for at in (1000.0, 21_500.0, 21_700.0, 43_300.0)]
    kinds = [kind for kind, _ in notices(created(hours=24, attempts=None), *quiet)]
    assert kinds == ["stuck", "stuck"]


def test_the_disk_is_reported_once_when_it_runs_low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Any] = []
    sender: Any = type("Sink", (), {"put": lambda _, message: messages.append(message)})()
    screen, state = NotifyingScreen(PlainLines(sys.stdout), sender, tmp_path), State()
    state.apply(created())
    monkeypatch.setattr("harness.notify.screen.LOW_DISK_BYTES", 1 << 60)
    monkeypatch.setattr("harness.notify.screen.DISK_SECONDS", 0.0)
    for _ in range(3):
        screen.alive(state, "waiting", "")
    assert [message.notice.kind for message in messages] == ["disk_low"]


@pytest.mark.parametrize("text, problem", [("no-such-program-here", "there is no program"), ("'open", "No closing")])
def test_a_command_that_cannot_run_is_refused_before_the_run(tmp_path: Path, text: str, problem: str) -> None:
    code, printed = harness_here(
        with_digits(tmp_path), "run", "digits", "--attempts", "1", "--plain", "--on-event", text
    )
    assert code == 2
    assert problem in printed


def test_a_played_run_calls_its_command_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_API_KEY", "secret-of-the-user")
    home, script, log = with_digits(tmp_path / "home"), tmp_path / "echo.py", tmp_path / "log"
    script.write_text(ECHO)
    command = f"{sys.executable} {script} {log}"
    code, printed = harness_here(home, "run", "digits", "--attempts", "1", "--plain", "--on-event", command)
    assert code == 0, printed
    records = [json.loads(line) for line in log.read_text().splitlines()]
    kinds = [record["kind"] for record in records]
    assert kinds[-1] == "finished" and {"best", "budget", "other"} <= set(kinds)
    assert {record["run"] for record in records} == {only_run(home).name}
    assert records[-1]["event"]["kind"] == "run_ended"
    assert "secret-of-the-user" not in log.read_text()


def test_a_failing_command_is_said_once_and_the_rest_is_delivered(tmp_path: Path) -> None:
    said: list[str] = []
    screen: Any = type("Quiet", (), {"show": lambda *_: None, "say": lambda _, line: said.append(line)})()
    with notifying(screen, "sh -c 'echo broken >&2; exit 3'", [], tmp_path) as outer:
        state = State()
        for event in [created(attempts=None), THRESHOLDS, AttemptStarted(), *evaluated(0.93), RunEnded(why="hours")]:
            state.apply(event)
            outer.show(state, event)
    assert said == ["warning: --on-event: sh exited with 3: broken"]


class Receiver(BaseHTTPRequestHandler):
    """Takes what apprise posts to a json:// address."""

    got: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_an_address_of_apprise_gets_the_notices(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    handler = type("Handler", (Receiver,), {"got": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    screen: Any = type("Quiet", (), {"show": lambda *_: None, "say": print})()
    try:
        with notifying(screen, "", [f"json://127.0.0.1:{server.server_port}/"], tmp_path) as outer:
            state = State()
            for event in [created(), THRESHOLDS, AttemptStarted(), *evaluated(0.96)]:
                state.apply(event)
                outer.show(state, event)
    finally:
        server.shutdown()
        server.server_close()
    assert [one["title"] for one in handler.got] == ["digits: best", "digits: medal"]


def test_addresses_come_from_config_and_variable_and_are_in_no_setting(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('notify = ["ntfy://topic"]\nhours = 2\n')
    settings = load_settings({"HARNESS_HOME": str(tmp_path), "HARNESS_NOTIFY": "json://a json://b"})
    assert notify_addresses(settings) == ["ntfy://topic", "json://a", "json://b"]
    assert "HARNESS_NOTIFY" not in settings.variables
    (tmp_path / "config.toml").write_text('notify = "ntfy://topic"\n')
    with pytest.raises(SettingsError, match=r"config\.toml:1: write notify as a list"):
        notify_addresses(settings)
