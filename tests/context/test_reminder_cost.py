"""Cost of answering a reply without calls in three ways, measured at an engine that caches and renders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from context.window import Window
from runs.events.registry import Call, EpochStarted, ModelReplied, Reminded, ToolFinished
from runs.usage.cache import measure_cache
from tests.long_play import Calls, Worker, play
from tests.playing import call
from tests.servers.engine import BlockCache, render, tokens_of

TURNS = 60


def add_exchanges(window: Window) -> None:
    for number in range(TURNS):
        message = {
            "role": "assistant",
            "content": "",
            "reasoning_content": f"thought {number} " * 60,
            "tool_calls": [{"id": f"c{number}", "type": "function", "function": {"name": "bash", "arguments": "{}"}}],
        }
        calls = [Call(id=f"c{number}", name="bash", arguments="{}")]
        window.apply(ModelReplied(request=number, message=json.dumps(message), calls=calls))
        window.apply(ToolFinished(call=f"c{number}", name="bash", content=f"row {number} " * 300))


def parsed(window: Window) -> list[dict[str, Any]]:
    return [json.loads(message) for message in (window.system, *window.messages)]


def uncached_after(way: str) -> tuple[int, int]:
    """Uncached tokens of the request after a text-only reply, and thoughts lost."""
    window, cache = Window(), BlockCache()
    window.apply(EpochStarted(reason="attempt", system="You work. " * 200, tools="[]", user="The task. " * 800))
    add_exchanges(window)
    cache.cached_tokens(render(parsed(window)).text)
    reply = {"role": "assistant", "content": "I think it over.", "reasoning_content": "hm " * 100}
    window.apply(ModelReplied(request=99, message=json.dumps(reply)))
    if way == "epoch":
        first_message = "The task. " * 800 + "You said: I think it over. Call a tool."
        window.apply(
            EpochStarted(reason="compaction", system="You work. " * 200, tools="[]", user=first_message, kept=2 * 8 + 1)
        )
    else:
        window.apply(Reminded(text="Call a tool.", call="harness_1" if way == "added call" else ""))
    rendered = render(parsed(window))
    return tokens_of(rendered.text) - cache.cached_tokens(
        rendered.text
    ), rendered.thoughts_sent - rendered.thoughts_kept


def test_added_call_costs_least_and_keeps_all_thinking() -> None:
    costs = {way: uncached_after(way) for way in ("added call", "epoch", "user message")}
    print(costs)
    assert costs["added call"][0] < 300
    assert costs["added call"][0] < costs["epoch"][0] / 10
    assert costs["added call"][0] < costs["user message"][0] / 10
    assert costs["added call"][1] == 0
    assert costs["user message"][1] > TURNS


def test_run_with_text_replies_keeps_cache_and_thinking(tmp_path: Path) -> None:
    def step(turn: int) -> Calls:
        return [] if turn % 4 == 0 else [call("read_file", path="data/train.csv", offset=turn, limit=5)]

    played = play(tmp_path, Worker(step), 20)
    assert sum(isinstance(event, Reminded) for event in played.events) >= 4
    assert all(one.extends for one in played.engine.served[1:])
    assert all(one.thoughts_kept == one.thoughts_sent for one in played.engine.served)
    assert measure_cache(played.events).flushes == 0
