"""The harness against llama-cpp-python, the harshest of the servers that nobody here wrote.

It finds no thinking and no calls in what its model writes, counts no tokens in a stream, and silently ends one that
asks for too much. It needs the extra `llama`, whose wheel takes long to build: `.ci/slow` does.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from runs.events.registry import (
    EndpointProbed,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    RunEnded,
    ToolFinished,
)
from runs.state import fold
from tests.playing import events_of, harness, only_run
from tests.servers.dialect_runs import play_each
from tests.servers.real_server import real_server
from tests.servers.recorder import Recorder

ROOT = Path(__file__).resolve().parents[2]
MISSING = [name for name in ("gguf", "llama_cpp", "tokenizers") if importlib.util.find_spec(name) is None]
TURNS = 100

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"llama-cpp-python needs the extra `llama` (not here: {MISSING})"),
]


@pytest.mark.timeout(600)
def test_a_hundred_turns_lose_no_call_written_as_text(tmp_path: Path) -> None:
    model, home = tmp_path / "tiny.gguf", tmp_path / "home"
    home.mkdir()
    (home / "models.toml").write_text('[tiny]\nkind = "openai"\ncontext_tokens = 10000\noutput_tokens = 64\n')
    subprocess.run([sys.executable, "-m", "tests.servers.tiny_gguf", str(model)], cwd=ROOT, check=True)
    serve = [
        sys.executable,
        "-m",
        "llama_cpp.server",
        "--model",
        str(model),
        "--model_alias",
        "tiny",
        "--n_ctx",
        "12288",
    ]
    with real_server(serve, tmp_path / "log", "/v1/models") as port, Recorder(port) as recorder:
        flags = ["--model", "tiny", "--base-url", recorder.url, "--sandbox", "local", "--plain", "--turns", str(TURNS)]
        code, printed = harness(home, "run", "digits", *flags, seconds=500)
        asked = [one for one in recorder.kept if rb"\nattempt: " in one.body]
    assert code == 0, printed
    events = events_of(only_run(home))
    assert isinstance(events[-1], RunEnded) and events[-1].why == "turns" and fold(events).breaches == 0
    replies = [event for event in events if isinstance(event, ModelReplied)]
    assert len(replies) == len(asked) == TURNS == sum(isinstance(event, ModelAsked) for event in events)
    assert all(one.status == 200 for one in asked) and not any(isinstance(event, ModelFailed) for event in events)

    calls = [call for event in replies for call in event.calls]
    spoken = sum(b"<minimax" in b"".join(text_of(one.answer)) for one in asked)
    assert len(calls) == spoken > TURNS / 2, "each call that the server left in the text was found"
    assert all((call.name, json.loads(call.arguments)) == ("bash", LISTING) for call in calls)
    assert {call.repair_step for call in calls} == {"in_content"}
    results = [event for event in events if isinstance(event, ToolFinished)]
    assert len(results) == len(calls) and all("train.csv" in event.content for event in results)
    assert all(event.usage.estimated for event in replies), "what a stream does not count is estimated, and marked so"

    (probed,) = [event for event in events if isinstance(event, EndpointProbed)]
    told = "\n".join(probed.findings)
    for habit in (
        "comes in content",
        "counts tokens: no; cached ones: not reported",
        "calls tools despite tool_choice none: yes",
        "a result without a call in the history: the endpoint answered 200 without content",
    ):
        assert habit in told, told


@pytest.mark.timeout(3000)
def test_turns_in_each_dialect_lose_no_call(full: bool, tmp_path: Path) -> None:
    """A run of 10 turns in each; of 30 with `--full`."""
    model = tmp_path / "reciter.gguf"
    subprocess.run([sys.executable, "-m", "tests.servers.tiny_gguf", str(model), "--dialects"], cwd=ROOT, check=True)
    serve = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", "tiny"]
    # By default it breaks a reply off when another request comes.
    with real_server(
        [*serve, "--n_ctx", "24576", "--interrupt_requests", "false"], tmp_path / "log", "/v1/models"
    ) as port:
        play_each(tmp_path / "home", port, "tiny", turns=30 if full else 10)


LISTING = {"command": "ls data", "wait_seconds": 30}


def text_of(answer: bytes) -> list[bytes]:
    """What a stream says, piece by piece, as its own bytes."""
    lines = [line[6:] for line in answer.split(b"\n") if line.startswith(b"data: {")]
    chunks = [choice for line in lines for choice in json.loads(line)["choices"]]
    return [(one["delta"].get("content") or "").encode() for one in chunks]
