"""A long run in the test's own process: the whole harness, an engine with a cache, and a scripted model that works on.

The scripted model looks at what it was sent alone, so it goes on wherever its window was made smaller: its step is in
the result of its last call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.settings import Settings
from harness.startup import open_run
from harness.ui.live import open_screen
from runs.events.registry import Event
from runs.journal import read_events
from tests.playing import call, judging_here, only_run, with_digits
from tests.servers.chat_server import Message
from tests.servers.engine import BlockCache, Engine, engine_server

Calls = list[dict[str, Any]]
ASKED = "Your next call must be `checkpoint`"


@dataclass
class Worker:
    """A scripted model, a pure function of the messages: the ids of its calls say which turn they were made in.

    `step(n)` gives the calls of the n-th turn (none: it only talks), `thinks` is how many bytes it thinks each turn,
    `obeys` whether it answers a request for a checkpoint in that turn. `heads` are the heads it was sent, `window` the
    last messages.
    """

    step: Callable[[int], Calls]
    obeys: Callable[[int], bool] = lambda turn: True
    words: Callable[[int, list[str]], dict[str, Any]] = lambda turn, todos: plain_words(turn, todos)
    thinks: int = 1_200
    checkpoints: int = 0
    heads: list[str] = field(default_factory=list)
    window: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, request: dict[str, Any]) -> Message:
        messages = request["messages"]
        if "checkpoint" not in json.dumps(request.get("tools") or []):
            return {"content": "ok", "reasoning_content": "ok"}
        head = messages[1]["content"]
        if not self.heads or self.heads[-1] != head:
            self.heads.append(head)
        self.window = messages
        turn = turn_of(messages)
        calls = self._calls(turn, messages)
        thought = f"In turn {turn} I weigh what the numbers say. " * (self.thinks // 40)
        is_checkpoint = bool(calls) and calls[0]["function"]["name"] == "checkpoint"
        kind = "checkpoint" if is_checkpoint else "call"  # its exchange leaves the window, so its turn comes again
        named = [{"id": f"{kind}_{turn}_{place}", **one} for place, one in enumerate(calls)]
        told = {"reasoning_details": [{"type": "reasoning.text", "text": thought}], "content": ""}
        return {**told, "tool_calls": named} if named else {**told, "content": f"Turn {turn}: I think it over."}

    def _calls(self, turn: int, messages: list[dict[str, Any]]) -> Calls:
        last = messages[-1]
        if last["role"] == "tool" and ASKED in last["content"] and self.obeys(turn):
            self.checkpoints += 1
            todos = re.findall(r"^- (todo-\d+): ", messages[1]["content"], re.MULTILINE)
            return [call("checkpoint", **self.words(turn, todos))]
        return self.step(turn)


def turn_of(messages: list[dict[str, Any]]) -> int:
    """The number of the turn that is due."""
    for message in reversed(messages):
        if message["role"] == "assistant":
            ids = [one["id"] for one in message.get("tool_calls") or []]
            found = re.fullmatch(r"call_(\d+)_\d+", ids[0]) if ids else None
            said = re.match(r"Turn (\d+):", message.get("content") or "")
            if found or said:
                return int((found or said)[1]) + 1  # type: ignore[index]
    return 1


def plain_words(turn: int, todos: list[str]) -> dict[str, Any]:
    """A good checkpoint: every open to-do is named, and one more comes as long as there are few."""
    return {
        "done": [f"Turns up to {turn} tried folds and features, and the notes are in the files written then."],
        "decided": [f"Not to use target means of turn {turn}, since they leak."],
        "todo": [*todos, f"look at the residuals of turn {turn}"] if len(todos) < 5 else todos,
    }


@dataclass
class Played:
    """A run that was played, with what the engine computed."""

    folder: Path
    events: list[Event]
    engine: Engine


def settings_of(home: Path, **changes: Any) -> Settings:
    """Settings of a run that may be long."""
    values = {"attempt_turns": 100_000, "parallel": 1, **changes}
    variables = {f"HARNESS_{name.upper()}": str(value) for name, value in values.items()}
    return Settings(home=home, api_key="sk-test", variables=variables)


@contextmanager
def engine_of(
    home: Path, worker: Callable[[dict[str, Any]], Message], *, profile: str = "", **engine: Any
) -> Iterator[tuple[Engine, str]]:
    """An engine that serves a worker, known to the home as a MiniMax endpoint with M2.7's prices. `profile`: more lines
    of its table."""
    home.mkdir(parents=True, exist_ok=True)
    served = Engine(worker, **{"cache": BlockCache(), **engine})
    with engine_server(served) as server:
        (home / "models.toml").write_text(f'[scripted]\nkind = "minimax"\nbase_url = "{server.url}"\n{profile}')
        yield served, server.url


def play(
    home: Path,
    worker: Callable[[dict[str, Any]], Message],
    turns: int,
    settings: Settings | None = None,
    *,
    profile: str = "",
    **engine: Any,
) -> Played:
    """Play a run of so many turns to its end, in this process."""
    with_digits(home)
    with engine_of(home, worker, profile=profile, **engine) as (served, url):
        flags = {"model": "scripted", "base_url": url, "turns": turns, "sandbox": "local"}
        screen = open_screen(False, True)
        with judging_here():
            open_run.start(open_run.RunRequest("digits", flags), settings or settings_of(home), screen)
    folder = only_run(home)
    served.served[:] = served.served[-turns:]
    return Played(folder, list(read_events(folder)), served)
