"""Whole runs at endpoints that refuse, move, or are replaced: what they were asked, and what the run recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runs.events.registry import (
    EndpointChanged,
    EpochStarted,
    Event,
    ModelFailed,
    ModelReplied,
    Paused,
    RunEnded,
    ToolFinished,
)
from runs.state import fold
from tests.playing import call, events_of, harness_here, only_run, reply, turns_asked
from tests.servers.chat_server import ChatServer, Fault, Message

QUICK = ("--set", "model_first_wait_seconds=0.01", "--set", "model_longest_wait_seconds=0.05")
LONG_OUTPUT = "seq 1 400"


def is_turn(request: dict[str, Any]) -> bool:
    """Whether it is a request of the run, not one of the probe."""
    return "\\nattempt: " in json.dumps(request["messages"])


def looks(turns: int) -> Callable[[dict[str, Any]], Message]:
    """A model that looks so many times and then finishes."""

    def script(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        if not is_turn(request):
            return {"content": "ok"}
        step = sum(message["role"] == "assistant" for message in messages)
        if step < turns:
            return reply(f"step {step}", call("bash", command=f"echo {step}; {LONG_OUTPUT}"), tag=str(step))
        return reply("done", call("finish", did="looked", criticism="", next="", lessons=[]), tag="end")

    return script


def run(home: Path, server: ChatServer, *options: str) -> tuple[int, str]:
    return harness_here(
        home, "run", "digits", "--base-url", server.url, "--model", "m", "--sandbox", "local", "--plain",
        "--attempts", "1", *QUICK, *options,
    )  # fmt: skip


def of_kind(events: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def refusal(status: int, text: str) -> Fault:
    return Fault(lambda exchange: exchange.answer(status, {"error": {"message": text}}))


def test_refusals_in_the_middle_of_a_run_do_not_end_it(digits_home: Path) -> None:
    passing = iter([(400, "There are no healthy deployments for this model"), (404, "Not Found"), (401, "unavailable")])
    asked = 0

    def faults(request: dict[str, Any]) -> str | Fault:
        nonlocal asked
        asked += is_turn(request)
        return refusal(*next(passing)) if asked in (2, 4, 6) else ""

    with ChatServer(looks(6), faults, piece=100_000) as server:
        code, printed = run(digits_home, server)
        bodies = [one.body for one in turns_asked(server)]
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    failed = of_kind(events, ModelFailed)
    assert [event.error[:40].count("refuse") + event.error.count("serve") > 0 for event in failed] == [True] * 3
    assert all(event.again_in is not None for event in failed)
    assert sum(bodies[n] == bodies[n + 1] for n in range(len(bodies) - 1)) == 3, "each was sent once more"
    assert of_kind(events, RunEnded)[0].why == "attempts"


def test_overflow_in_unknown_words_shrinks_the_window(digits_home: Path) -> None:
    def faults(request: dict[str, Any]) -> str | Fault:
        is_long = sum(message["role"] == "tool" for message in request["messages"]) > 4
        return refusal(400, "request rejected by the admission plugin") if is_long else ""

    with ChatServer(looks(7), faults, piece=100_000) as server:
        code, printed = run(digits_home, server, "--turns", "9")
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    assert any(event.reason == "overflow" for event in of_kind(events, EpochStarted))
    assert not of_kind(events, Paused)


def test_bad_minute_with_words_of_length_or_form_costs_no_attempt(digits_home: Path) -> None:
    words = ["context_window_fallbacks=None: no backend", "the tool call service is restarting"]
    refused = 0

    def faults(_: dict[str, Any]) -> str | Fault:
        nonlocal refused
        if len(turns_asked(server)) < 4 or refused > 11:
            return ""
        refused += 1
        return refusal(400, words[refused > 6])

    with ChatServer(looks(6), faults, piece=100_000) as server:
        code, printed = run(digits_home, server)
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    assert refused == 12 and all(event.again_in is not None for event in of_kind(events, ModelFailed))
    assert [event.reason for event in of_kind(events, EpochStarted)] == ["attempt"], "the window stays as it is"


def test_run_paused_by_refusals_resumes_at_a_new_address_with_a_smaller_window(digits_home: Path) -> None:
    with ChatServer(looks(6), piece=100_000) as first:
        # Everything is refused from the fourth turn on, a short request too.
        first.faults = lambda request: refusal(400, "no") if len(turns_asked(first)) > 3 else ""
        code, printed = run(digits_home, first, "--set", "model_refused_seconds=0.3")
    assert code == 4, printed
    folder = only_run(digits_home)
    before = events_of(folder)
    assert of_kind(before, ModelFailed)[-1].is_refusal and of_kind(before, Paused)
    with ChatServer(looks(6), piece=100_000) as second:
        code, printed = harness_here(
            digits_home, "resume", "last", "--base-url", second.url, "--model", "renamed", "--plain"
        )
        asked = turns_asked(second)
    assert code == 0, printed
    events = events_of(folder)
    (change,) = of_kind(events, EndpointChanged)
    assert (change.base_url, change.model) == (second.url, "renamed") and change.probe
    assert all(one.json["model"] == "renamed" for one in asked)
    state = fold(events)
    assert state.created and state.created.settings.base_url == second.url
    assert set(state.turns_by_model) == {"m", "renamed"}
    assert f"turns per model: m {state.turns_by_model['m']}" in (folder / "report.md").read_text()
    kept = sum(len(one["content"]) for one in asked[0].json["messages"] if one["role"] == "tool")
    assert kept < sum(len(event.content) for event in of_kind(before, ToolFinished)), "it is not sent again as it was"
    replied = [event.request for event in of_kind(events, ModelReplied)]
    assert len(set(replied)) == len(replied), "no recorded reply is asked for again"


def test_fallback_takes_over_and_is_counted(digits_home: Path) -> None:
    with ChatServer(looks(4), piece=100_000) as main_server, ChatServer(looks(4), piece=100_000) as spare:
        main_server.faults = lambda request: refusal(503, "down") if len(turns_asked(main_server)) > 2 else ""
        (digits_home / "config.toml").write_text(f'[endpoints.spare]\nbase_url = "{spare.url}"\nmodel = "other"\n')
        code, printed = run(digits_home, main_server, "--fallback", "spare", "--set", "fallback_seconds=0.3")
        asked = turns_asked(spare)
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    (change,) = of_kind(events, EndpointChanged)
    assert change.endpoint == "spare" and "503" in change.why
    after = events[events.index(change) + 1 :]
    assert isinstance(next(event for event in after if isinstance(event, (EpochStarted, ModelReplied))), EpochStarted)
    assert asked and all(one.json["model"] == "other" for one in asked)
    assert set(fold(events).turns_by_model) == {"m", "other"}
    assert "turns per model" in (only_run(digits_home) / "report.md").read_text()


def test_first_call_that_is_asked_to_wait_waits(digits_home: Path) -> None:
    later = Fault(lambda exchange: exchange.answer(429, "later", retry_after="1"))
    with ChatServer(looks(1), faults=[later], piece=100_000) as server:
        code, printed = run(digits_home, server)
    assert code == 0, printed
    assert "waiting" in printed and "429" in printed


def test_address_with_a_secret_is_refused(digits_home: Path, capsys: Any) -> None:
    with ChatServer(looks(1), piece=100_000) as server:
        run(digits_home, server, "--attempts", "2", "--turns", "1")
    code, printed = harness_here(digits_home, "resume", "last", "--base-url", "http://u:pw@h/v1", "--plain")
    assert code == 2 and "pw" not in printed
