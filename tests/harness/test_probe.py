"""The probe detects how servers behave, and a run uses the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.endpoint.client import EndpointRefused, EndpointUnreachable
from harness.endpoint.probe import probe_endpoint
from harness.endpoint.probe_result import (
    ProbeResult,
    apply_probe,
    load_probe,
    parse_probe,
    probe_lines,
    store_probe,
)
from harness.endpoint.probe_tools import listed_facts
from harness.endpoint.profiles import MINIMAX, OPENAI, SGLANG, VLLM, Profile, profile_for
from harness.startup.check_endpoint import why_unusable
from runs.events.registry import EndpointProbed
from runs.state import fold
from tests.harness.dialect_texts import glm47
from tests.playing import events_of, harness_here, only_run
from tests.servers.chat_server import ChatServer, Fault, Message, unused_port
from tests.servers.faults import FAULTS

THINKING_FIELDS = ("reasoning_details", "reasoning_content", "reasoning")


def serving(
    out: str = "", keeps: tuple[str, ...] = (), user_costs_thinking: bool = False, cached: int | None = None
) -> Callable[[dict[str, Any]], Message]:
    """A server that thinks in the field `out` and renders only the thinking it finds in the fields of `keeps`.

    As templates do: a later system message is dropped, and (where told) every thought before the last user message.
    """

    def length(messages: list[dict[str, Any]]) -> int:
        last_user = max(n for n, message in enumerate(messages) if message["role"] == "user")
        total = 0
        for place, message in enumerate(messages):
            kept = {key: value for key, value in message.items() if key not in THINKING_FIELDS}
            forgets = user_costs_thinking and place < last_user
            kept |= {key: message[key] for key in keeps if key in message and not forgets}
            if "<think>" in str(kept.get("content")) and ("content" not in keeps or forgets):
                kept["content"] = str(kept["content"]).rpartition("</think>")[2]
            total += 0 if place and message["role"] == "system" else len(json.dumps(kept)) // 4
        return total

    def script(request: dict[str, Any]) -> Message:
        thought = "I look, then answer."
        usage: dict[str, Any] = {"prompt_tokens": length(request["messages"]), "completion_tokens": 9}
        if cached is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
        said: Message = {"content": "One word, after a look.", "usage": usage}
        if out == "content":
            said["content"] = f"<think>\n{thought}\n</think>\n\n{said['content']}"
        elif out:
            said[out] = [{"type": "reasoning.text", "text": thought}] if out == "reasoning_details" else thought
        return said

    return script


def refusing(status: int, message: str, when: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], Any]:
    """The fault of every request for which `when` holds."""
    fault = Fault(lambda exchange: exchange.answer(status, {"error": {"message": message}}))
    return lambda request: fault if when(request) else ""


def probed(server: ChatServer, profile: Profile) -> ProbeResult:
    result = probe_endpoint(replace(profile, model="m"), server.url, "key", sleep=lambda _: None)
    assert len(server.received) == result.calls <= 15 and not server.broken
    assert len("".join(probe_lines(result))) < 1300
    return result


def test_hosted_minimax_matches_its_profile() -> None:
    script = serving("reasoning_details", ("reasoning_details",), user_costs_thinking=True, cached=512)
    refuses = refusing(400, "invalid params, max_completion_tokens must be <= 2048 (2013)",
                       lambda request: request["max_completion_tokens"] > 2048)  # fmt: skip
    with ChatServer(script, refuses) as server:
        found = probed(server, MINIMAX)
    assert (found.thinking_from, found.thinking_back, found.loses_thinking) == (*["reasoning_details"] * 2, False)
    assert (found.late_user, found.late_system) == ("costs_thinking", "dropped")
    assert (found.reports_cached, found.cached_tokens) == (True, 512)
    assert (found.takes_output, found.output_limit) == (False, 2048)
    assert apply_probe(MINIMAX, found).output_tokens == 2048
    told = "\n".join(probe_lines(found))
    assert "a user message makes it drop the reasoning before it" in told and "2048 tokens" in told


@pytest.mark.parametrize(("profile", "field"), [(VLLM, "reasoning"), (SGLANG, "reasoning_content")])
def test_vllm_and_sglang_accept_reasoning_in_its_own_field(profile: Profile, field: str) -> None:
    with ChatServer(serving(field, (field,))) as server:
        found = probed(server, profile)
    assert (found.thinking_from, found.thinking_back, found.not_counted) == (field, field, ())
    assert found.reports_cached is False and found.calls_despite_none is False and found.sends_done
    assert apply_probe(profile, found).thinking_back == field


def test_ignored_field_is_replaced_by_one_that_counts() -> None:
    with ChatServer(serving("reasoning", ("reasoning_content",))) as server:
        found = probed(server, VLLM)
    assert (found.thinking_back, found.not_counted) == ("reasoning_content", ("reasoning", "reasoning_details"))
    assert apply_probe(VLLM, found).thinking_back == "reasoning_content"
    assert apply_probe(replace(VLLM, thinking_back="none"), found).thinking_back == "none", "a choice is a choice"


def test_reasoning_inside_content_stays_there() -> None:
    with ChatServer(serving("content", ("content",))) as server:
        found = probed(server, VLLM)
    assert (found.thinking_from, found.thinking_back, found.not_counted) == ("content", "content", ())


def test_dropped_reasoning_and_other_behaviour_are_reported() -> None:
    """As `transformers serve` does it: no [DONE], text instead of JSON, unknown fields refused, tools always called."""

    def habits(request: dict[str, Any]) -> Any:
        if "harness_probe" in request:
            unknown = {"detail": [{"loc": ["body", "harness_probe"], "msg": "Unexpected"}]}
            return Fault(lambda exchange: exchange.answer(422, unknown))
        if not any(message.get("tool_calls") for message in request["messages"]) and len(request["messages"]) == 3:
            return "500_text"
        return "no_done"

    def script(request: dict[str, Any]) -> Message:
        said = serving("reasoning_content")(request)
        call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        return {**said, "tool_calls": [call]} if request.get("tool_choice") == "none" else said

    with ChatServer(script, habits) as server:
        found = probed(server, OPENAI)
    assert found.loses_thinking
    assert set(found.not_counted) == {*THINKING_FIELDS, "content"}
    told = "\n".join(probe_lines(found))
    for habit in (
        "DROPPED",
        "ends with [DONE]: no",
        "calls tools despite tool_choice none: yes",
        "refuses unknown fields: yes",
        "a result without a call in the history: 500: Internal Server Error",
    ):
        assert habit in told


def test_endpoint_without_reasoning_loses_none() -> None:
    with ChatServer(serving()) as server:
        found = probed(server, OPENAI)
    assert (found.thinking_from, found.loses_thinking) == ("none", False)
    assert "reasoning: none shown" in probe_lines(found)
    assert apply_probe(OPENAI, found) == OPENAI


def test_small_context_leaves_room_for_the_window() -> None:
    text = "This model's maximum context length is 8192 tokens and your request has 1000 input tokens"
    with ChatServer(serving(), refusing(400, text, lambda request: request["max_tokens"] > 7000)) as server:
        found = probed(server, OPENAI)
    assert (found.takes_output, found.context_limit) == (False, 8192)
    assert (apply_probe(OPENAI, found).context_tokens, apply_probe(OPENAI, found).output_tokens) == (8192, 2048)


def test_refused_fields_are_not_sent() -> None:
    refuses = refusing(400, "Unknown parameter: top_k", lambda request: "top_k" in request)
    profile = profile_for("http://localhost:8000/v1", "MiniMax-M2.7", None)
    with ChatServer(serving("reasoning", ("reasoning",)), refuses) as server:
        found = probed(server, profile)
    assert found.refused_fields == ("top_k",) and found.thinking_back == "reasoning"
    assert apply_probe(profile, found).sampling() == {"temperature": 1.0, "top_p": 0.95}


def test_cumulative_stream_is_detected() -> None:
    with ChatServer(serving("reasoning_content", ("reasoning_content",)), lambda _: "cumulative", piece=3) as server:
        found = probed(server, OPENAI)
    assert found.is_cumulative and apply_probe(OPENAI, found).stream == "cumulative"


def test_open_questions_are_unknown_and_end_no_run() -> None:
    with ChatServer(serving("reasoning"), lambda _: "lost_usage") as server:
        found = probed(server, VLLM)
    assert found.thinking_back is None and not found.loses_thinking and found.late_user is None
    assert apply_probe(VLLM, found).thinking_back == "reasoning"
    assert sum("unknown" in line for line in probe_lines(found)) >= 2


@pytest.mark.parametrize(
    "name", [name for name, fault in FAULTS.items() if fault.outcome in ("again", "in place") and "stall" not in name
             and "drip" not in name and "hangs" not in name]
)  # fmt: skip
def test_no_fault_breaks_or_hangs_the_probe(name: str) -> None:
    count = iter(range(1000))
    begun = time.monotonic()
    with ChatServer(serving("reasoning", ("reasoning",)), lambda _: name if next(count) else "") as server:
        probe_endpoint(replace(VLLM, model="m"), server.url, sleep=lambda _: None)
        assert len(server.received) < 25
    assert time.monotonic() - begun < 30


def test_refusing_or_missing_endpoint_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(faults=lambda _: "401") as server, pytest.raises(EndpointRefused, match="HARNESS_API_KEY"):
        probe_endpoint(OPENAI, server.url)
    monkeypatch.setattr("harness.endpoint.probe.FIRST_PATIENCE_SECONDS", 0.2)
    with pytest.raises(EndpointUnreachable):
        probe_endpoint(OPENAI, f"http://127.0.0.1:{unused_port()}/v1")


def test_result_is_stored_for_a_week_and_its_profile(tmp_path: Path) -> None:
    url, profile = "http://h:1/v1", replace(VLLM, model="m")
    with ChatServer(serving("reasoning", ("reasoning",))) as server:
        found = probe_endpoint(profile, server.url)
    store_probe(tmp_path, url, found)
    assert load_probe(tmp_path, url, profile) == found
    assert load_probe(tmp_path, url, replace(profile, thinking_back="none")) is None, "models.toml has changed"
    assert load_probe(tmp_path, url, replace(profile, model="n")) is None
    week_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    store_probe(tmp_path, url, replace(found, when=week_ago))
    assert load_probe(tmp_path, url, profile) is None
    (path,) = (tmp_path / "probes").iterdir()
    path.write_text("{torn")
    assert load_probe(tmp_path, url, profile) is None
    assert parse_probe(json.loads(json.dumps(asdict(found)))) == found
    assert parse_probe({"from": "another version"}) is None


# ------------------------------------------------------------------------------------------------------- in a whole run


def run_with(server: ChatServer, home: Path, *more: str) -> tuple[int, str]:
    flags = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--turns", "1"]
    return harness_here(home, "run", "digits", *flags, *more)


def test_run_is_refused_if_the_endpoint_drops_reasoning(digits_home: Path) -> None:
    with ChatServer(serving("reasoning")) as server:
        code, printed = run_with(server, digits_home)
        assert code == 4 and "--accept-lost-thinking" in printed
        assert not (digits_home / "runs").exists() or not list((digits_home / "runs").iterdir())
        asked = len(server.received)
        code, printed = run_with(server, digits_home, "--accept-lost-thinking")
        assert code == 0, printed
        assert len(server.received) == asked + 1, "the probe of a minute ago still holds"
    events = events_of(only_run(digits_home))
    (told,) = [event for event in events if event.kind == "endpoint_probed"]  # type: ignore[attr-defined]
    assert told.audience == "people" and any("DROPPED" in line for line in told.findings)  # type: ignore[attr-defined]
    _, shown = harness_here(digits_home, "show", "last")
    assert "DROPPED" in shown


def test_run_replays_reasoning_as_the_probe_found(digits_home: Path) -> None:
    with ChatServer(serving("reasoning", ("reasoning_content",))) as server:
        flags = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--turns", "2"]
        code, printed = harness_here(digits_home, "run", "digits", *flags)
        assert code == 0, printed
        replayed = [message for message in server.received[-1].json["messages"] if message["role"] == "assistant"]
    assert [message.get("reasoning_content") for message in replayed] == ["I look, then answer."]


def test_cost_of_the_probe_counts_for_its_run_only(digits_home: Path) -> None:
    (digits_home / "models.toml").write_text("[m]\nprices = {input = 1000.0, cached = 1000.0, output = 1000.0}\n")
    with ChatServer(serving("reasoning", ("reasoning_content",))) as server:
        code, printed = run_with(server, digits_home, "--cost", "0.01")
        assert code == 0, printed
        tried = len(server.received)
        assert not [one for one in server.received if "attempt: " in str(one.json["messages"])], "the cap was reached"
        events = events_of(only_run(digits_home))
        (probe,) = [event for event in events if isinstance(event, EndpointProbed)]
        assert probe.calls == tried and probe.cost > 0.01 and fold(events).cost == probe.cost
        assert f"{tried} short" in harness_here(digits_home, "show", "last", "--cost")[1]
        (digits_home / "runs").rename(digits_home / "before")
        assert run_with(server, digits_home)[0] == 0
    (again,) = [event for event in events_of(only_run(digits_home)) if isinstance(event, EndpointProbed)]
    assert (again.calls, again.cost) == (0, 0.0), "it was paid by the run before"


def test_address_with_a_password_is_not_recorded(digits_home: Path) -> None:
    with ChatServer() as server:
        address = server.url.replace("//", "//user:pass@")
        code, printed = harness_here(digits_home, "run", "digits", "--model", "m", "--base-url", address)
        assert code == 2 and "HARNESS_API_KEY" in printed and "pass@" not in printed
        assert not server.received


# ------------------------------------------------------------------------------------------- tools, long prompts, lists


def calling(message: Message, cuts_at: int = 10**9) -> Callable[[dict[str, Any]], Message]:
    """A server that answers a request for a call with this message and sees at most so many tokens."""

    def script(request: dict[str, Any]) -> Message:
        length = len(json.dumps(request["messages"])) // 4
        usage = {"prompt_tokens": min(length, cuts_at), "completion_tokens": 5}
        is_asked = "Call the tool" in str(request["messages"][-1]["content"])
        return {**(message if is_asked else {"content": "ok"}), "usage": usage}

    return script


def native_look(arguments: str) -> Message:
    function = {"name": "look", "arguments": arguments}
    return {"content": "", "tool_calls": [{"id": "c1", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("message", "arrival", "words"),
    [
        (native_look('{"path": "data"}'), "native", ""),
        (native_look("{}"), "no_arguments", ""),
        ({"content": glm47([("look", {"path": "data"})])}, "text", "glm"),
        ({"content": "<｜DSML｜toolcall>look data"}, "unread", "dsml"),
        ({"content": "I cannot."}, "none", ""),
    ],
)
def test_probe_tells_where_a_tool_call_arrives(message: Message, arrival: str, words: str) -> None:
    with ChatServer(calling(message)) as server:
        found = probed(server, VLLM)
    assert (found.tool_calls, found.tool_words) == (arrival, words)
    assert found.truncates_at is None
    assert arrival != "text" or "--tool-call-parser glm47" in "\n".join(probe_lines(found))


def test_server_that_refuses_tools_is_found_before_a_run(digits_home: Path) -> None:
    text = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    with ChatServer(faults=refusing(400, text, lambda request: bool(request.get("tools")))) as server:
        options = ["--base-url", server.url, "--model", "test-model"]
        code, printed = harness_here(digits_home, "run", "digits", *options, "--sandbox", "local", "--plain")
        assert code == 4 and "refuses requests with tools" in printed
        assert not (digits_home / "runs").exists() or not list((digits_home / "runs").iterdir())
        code, printed = harness_here(digits_home, "doctor", *options)
    assert code == 4 and "--enable-auto-tool-choice" in printed


def test_server_that_cuts_prompts_silently_is_found() -> None:
    with ChatServer(calling({"content": "ok"}, cuts_at=4096)) as server:
        found = probed(server, VLLM)
    assert found.truncates_at == 4096
    assert "4,096" in why_unusable(found)


def test_a_server_that_reports_one_number_for_every_prompt_is_not_a_finding() -> None:
    with ChatServer(calling({"content": "ok"}, cuts_at=900)) as server:
        assert probed(server, VLLM).truncates_at is None


def test_list_of_models_names_context_and_prices() -> None:
    pricing = {"prompt": "0.0000014", "completion": "0.0000044", "input_cache_read": "0.00000026"}
    body = json.dumps({"data": [{"id": "x"}, {"id": "m", "max_model_len": 32768, "pricing": pricing}]}).encode()
    assert listed_facts(body, "m") == (32768, (1.4, 0.26, 4.4))
    assert listed_facts(body, "y") == listed_facts(b"<html>", "m") == (None, None)
    found = ProbeResult("a", "m", "t", "p", context_limit=32768, prices=(1.4, 0.26, 4.4))
    profile = apply_probe(replace(OPENAI, model="m"), found)
    assert (profile.context_tokens, profile.prices.output, profile.output_tokens) == (32768, 4.4, 8192)
