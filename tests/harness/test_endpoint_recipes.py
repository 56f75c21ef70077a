"""The recipes of docs/models.md, tried against imitations of the servers' habits on loopback."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.config import Endpoint, read_config
from harness.endpoint.client import open_model
from harness.endpoint.probe import probe_endpoint
from harness.endpoint.probe_result import apply_probe
from harness.endpoint.profiles import Profile
from harness.settings import Settings
from harness.startup.check_endpoint import profile_of
from harness.tools.registry import specs, tools_bytes
from runs.run_settings import RunSettings
from tests.playing import call
from tests.servers.chat_server import ChatServer, Fault, Message

DOCS = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
RECIPES = "\n".join(re.findall(r"```toml\n(\[endpoints\.\w+\]\n.*?)```", DOCS.partition("## Recipes")[2], re.DOTALL))
THINKS_IN = {
    "vllm": "reasoning",
    "sglang": "reasoning_content",
    "llama_cpp": "reasoning_content",
    "ollama": "reasoning",
    "lm_studio": "reasoning",
    "litellm": "reasoning_content",
    "minimax": "reasoning_details",
    "openrouter": "reasoning_details",
    "azure": "",
}
"""The field in which each server shows and takes back reasoning."""
STREAMS = {
    "vllm": "",
    "sglang": "no_done",
    "llama_cpp": "null_entries",
    "ollama": "calls_without_index",
    "lm_studio": "event_names_and_ids",
    "litellm": "usage_on_last_choice",
    "minimax": "cumulative",
    "openrouter": "comments_between",
    "azure": "empty_choices",
}
"""How the stream of each server differs from the plain one: a name of `FAULTS`."""
REFUSES = {"azure": ("top_k", "chat_template_kwargs"), "minimax": ("chat_template_kwargs",)}


def recipe(name: str, folder: Path) -> tuple[Endpoint, Profile]:
    path = folder / "config.toml"
    path.write_text(RECIPES, encoding="utf-8")
    endpoint = read_config(path).endpoints[name]
    settings = RunSettings(base_url=endpoint.base_url, model=endpoint.model, endpoint=name)
    return endpoint, profile_of(settings, endpoint, False, Settings(folder).home)


def imitation(field: str) -> Any:
    """A server that thinks in `field` and counts the thoughts it is sent there."""

    def script(request: dict[str, Any]) -> Message:
        fields = {"role", "content", "tool_calls", "tool_call_id", field}
        seen = [{key: value for key, value in one.items() if key in fields} for one in request["messages"]]
        length = len(str(seen)) // 4
        said: Message = {"content": "ok, I look", "usage": {"prompt_tokens": length, "completion_tokens": 5}}
        if request.get("tools"):
            said["tool_calls"] = [{"id": "call_1", **call("bash", command="ls")}]
        if field:
            said[field] = [{"type": "reasoning.text", "text": "I look."}] if field == "reasoning_details" else "I look."
        return said

    return script


def test_there_is_a_recipe_for_each_server() -> None:
    assert set(tomllib.loads(RECIPES)["endpoints"]) == set(THINKS_IN)


@pytest.mark.parametrize("name", THINKS_IN)
def test_recipe_works_with_the_habits_of_its_server(name: str, tmp_path: Path) -> None:
    endpoint, profile = recipe(name, tmp_path)
    field = THINKS_IN[name]

    def faults(request: dict[str, Any]) -> str | Fault:
        bad = next((key for key in REFUSES.get(name, ()) if key in request), "")
        error = {"error": {"message": f"Unrecognized request argument supplied: {bad}"}}
        return Fault(lambda exchange: exchange.answer(400, error)) if bad else STREAMS[name]

    with ChatServer(imitation(field), faults) as server:
        found = probe_endpoint(profile, server.url, "a-key-of-ours", endpoint.extras, sleep=lambda _: None)
        model = open_model(
            apply_probe(profile, found), server.url, "a-key-of-ours", tools=specs(), extras=endpoint.extras
        )
        reply = model.complete(b"", tools_bytes(), [b'{"role":"user","content":"go"}'])
        last = server.received[-1]
    assert not found.loses_thinking and not found.refused_fields
    assert (found.thinking_from, found.thinking_back) == ((field, field) if field else ("none", None))
    assert reply.text == "ok, I look" and [one.name for one in reply.calls] == ["bash"] and not reply.usage.estimated
    assert last.json["model"] == endpoint.model
    carrier = "api-key" if name == "azure" else "authorization"
    assert last.headers[carrier].endswith("a-key-of-ours")
    assert ("authorization" in last.headers) == (name != "azure")
    assert all(last.headers[header.lower()] == value for header, value in endpoint.extras.headers.items())
    assert profile.prices.is_known or (name == "openrouter" and last.json["usage"] == {"include": True})


def test_query_of_an_endpoint_is_sent(tmp_path: Path) -> None:
    endpoint, profile = recipe("azure", tmp_path)
    with ChatServer(imitation("")) as server:
        open_model(profile, server.url, "k", extras=endpoint.extras).complete(b"", b"[]", [b'{"role":"user"}'])
        assert server.received[0].path.endswith("?api-version=2026-05-01")
