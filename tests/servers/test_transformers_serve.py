"""The harness against a server that nobody here wrote: `transformers serve` with a tiny MiniMax-M2 made on the spot.

It needs the extra `servers` (torch and transformers), which CI installs in an environment of its own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runs.events.registry import Event, ModelAsked, ModelFailed, ModelReplied, RunEnded, ToolFinished
from runs.state import fold
from tests.playing import events_of, harness, only_run
from tests.servers.real_server import real_server
from tests.servers.recorder import Recorded, Recorder

ROOT = Path(__file__).resolve().parents[2]
MISSING = [name for name in ("torch", "transformers", "uvicorn") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"a real server needs the extra `servers` (not here: {MISSING})"),
]


@contextmanager
def served(folder: Path, *how: str) -> Iterator[int]:
    """A server of a model made in `folder`; its port."""
    subprocess.run([sys.executable, "-m", "tests.servers.tiny_model", str(folder), *how], cwd=ROOT, check=True)
    program = str(Path(sys.executable).parent / "transformers")
    with real_server([program, "serve", str(folder), "--device", "cpu"], folder.with_suffix(".log"), "/health") as port:
        yield port


def played(
    tmp_path: Path, port: int, model: Path, output_tokens: int, turns: int
) -> tuple[int, str, list[Event], list[Recorded]]:
    """A run of so many turns in short windows: how it ended, what it recorded, and what the server was asked in it."""
    home = tmp_path / "home"
    home.mkdir()
    limits = f"context_tokens = {8000 + output_tokens}\noutput_tokens = {output_tokens}\n"
    (home / "models.toml").write_text(f'[tiny]\nkind = "openai"\n{limits}')
    with Recorder(port) as recorder:
        flags = [
            "--model",
            str(model),
            "--base-url",
            recorder.url,
            "--sandbox",
            "local",
            "--plain",
            "--no-ledger",
            "--no-knowledge",
        ]
        code, printed = harness(home, "run", "digits", *flags)
        assert code == 4 and "--accept-lost-thinking" in printed, printed
        flags += ["--turns", str(turns), "--accept-lost-thinking"]
        code, printed = harness(home, "run", "digits", *flags, seconds=600)
        asked = [one for one in recorder.kept if rb"\nattempt: " in one.body]
    return code, printed, events_of(only_run(home)), asked


def check_accounts(events: list[Event], asked: list[Recorded]) -> None:
    """What was recorded is what the server says, reply for reply."""
    replies = [event for event in events if isinstance(event, ModelReplied)]
    whole = [one.usage for one in asked if one.status == 200]
    assert [(one["prompt_tokens"], one["completion_tokens"]) for one in whole] == [
        (event.usage.prompt, event.usage.completion) for event in replies
    ]
    assert not any(event.usage.estimated for event in replies)
    assert len(asked) == len(replies) + sum(isinstance(event, ModelFailed) for event in events)
    assert fold(events).breaches == 0


@pytest.mark.timeout(1200)
def test_turns_with_a_model_that_recites_lose_no_call(full: bool, tmp_path: Path) -> None:
    """40 turns, in windows that are compacted; 100 with `--full`."""
    turns = 100 if full else 40
    with served(tmp_path / "tiny") as port:
        code, printed, events, asked = played(tmp_path, port, tmp_path / "tiny", 64, turns)
    assert code == 0, printed
    assert isinstance(events[-1], RunEnded) and events[-1].why == "turns"
    check_accounts(events, asked)
    replies = [event for event in events if isinstance(event, ModelReplied)]
    assert len(replies) == turns and not [event for event in events if isinstance(event, ModelFailed)]
    calls = [call for event in replies for call in event.calls]
    assert len(calls) > turns / 2 and {call.name for call in calls} == {"bash"}
    assert all(json.loads(call.arguments) == {"command": "ls data", "wait_seconds": 30} for call in calls)
    results = [event for event in events if isinstance(event, ToolFinished)]
    assert len(results) == len(calls) and all("train.csv" in event.content for event in results)
    assert sum(isinstance(event, ModelAsked) for event in events) == turns
    (probed,) = [event for event in events if event.kind == "endpoint_probed"]  # type: ignore[attr-defined]
    told = "\n".join(probed.findings)  # type: ignore[attr-defined]
    for habit in (
        "comes in reasoning_content and is DROPPED",
        "a system message is dropped silently",
        "cached ones: not reported",
        "ends with [DONE]: no",
        "calls tools despite tool_choice none: yes",
        "refuses unknown fields: yes",
        "a result without a call in the history: 500: Internal Server Error",
    ):
        assert habit in told


@pytest.mark.timeout(1200)
def test_turns_with_random_weights_end_cleanly(tmp_path: Path) -> None:
    with served(tmp_path / "random", "--random") as port:
        code, printed, events, asked = played(tmp_path, port, tmp_path / "random", 24, turns=100)
    assert "Traceback" not in printed
    assert isinstance(events[-1], RunEnded)
    # Nothing but noise: fifty replies in a row without a usable call end a run.
    assert (code, events[-1].why) in [(4, "unusable_replies"), (0, "turns")]
    check_accounts(events, asked)
