"""GPUs of a run, on recorded `nvidia-smi` text and faked device nodes: leased, disclosed, and one lost on the way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.amounts import gpu_count
from runs.events.registry import Event, RunCreated, TaskDescribed, ToolFinished, Warned
from sandboxes import gpu_devices
from tests.playing import call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message

RECORDED = Path(__file__).parents[1] / "sandboxes" / "recorded"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs; returns the text that its `nvidia-smi` prints."""
    text = tmp_path / "query.csv"
    lines = (RECORDED / "query_gpu.csv").read_text().splitlines(keepends=True)
    text.write_text(lines[0] + lines[2])
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase "$*" in topo*) exit 1;; *) cat {text};; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    dev = tmp_path / "dev"
    dev.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (dev / name).touch()
    monkeypatch.setattr(gpu_devices, "DEVICES", dev)
    monkeypatch.setattr(gpu_devices, "DRIVER", tmp_path / "none")
    return text


def play(home: Path, command: str, *options: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Two attempts that each run a command and evaluate."""
    steps = [
        [call("bash", command=command)],
        [call("evaluate", command="echo GPUS=$CUDA_VISIBLE_DEVICES; cp data/sample_submission.csv submission.csv")],
        [call("finish", did="looked", criticism="", next="", lessons=[])],
    ]
    requests: list[dict[str, Any]] = []

    def script(request: dict[str, Any]) -> Message:
        requests.append(request)
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply("step", *steps[min(step, 2)], tag=str(step)) if request["messages"][1:] else {"content": "ok"}

    with ChatServer(script) as server:
        asked = ["--model", "m", "--base-url", server.url, "--attempts", "2", "--plain", "--no-ledger", *options]
        code, printed = harness_here(home, "run", "digits", *asked)
    return code, printed, requests


def told(events: list[Event]) -> list[str]:
    return [str(event) for event in events if isinstance(event, ToolFinished)]


def test_a_gpu_that_vanishes_leaves_the_others_to_later_attempts(digits_home: Path, machine: Path) -> None:
    one, two = (line.split(", ")[1] for line in machine.read_text().splitlines())
    command = f"echo CUDA=$CUDA_VISIBLE_DEVICES; sed -i /{one}/d {machine}"
    code, printed, requests = play(digits_home, command, "--sandbox", "local")
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    [card] = [event.card for event in events if isinstance(event, TaskDescribed)]
    assert card.count("NVIDIA H200 with 151 GB") == 2
    first, second = (text for text in told(events) if "CUDA=" in text)
    assert f"CUDA={one},{two}" in first and f"CUDA={two}" in second and one not in second
    evaluated = [text for text in told(events) if "GPUS=" in text]
    assert len(evaluated) == 2 and all(f"GPUS={two}" in text for text in evaluated)
    assert any(f"GPU {one} is gone" in event.message for event in events if isinstance(event, Warned))
    assert "GPUs: 1 of 2 have failed" in requests[-1]["messages"][1]["content"]


def test_a_run_without_gpus_sees_none(digits_home: Path, machine: Path) -> None:
    code, printed, _ = play(digits_home, "echo CUDA=$CUDA_VISIBLE_DEVICES.", "--sandbox", "local", "--gpus", "none")
    assert code == 0, printed
    events = events_of(only_run(digits_home))
    assert "CUDA=." in told(events)[0] and "GPUs: none for this run" in str(events)


def test_gpus_without_device_nodes_are_refused_or_left_out(digits_home: Path, machine: Path) -> None:
    for path in (machine.parent / "dev").iterdir():
        path.unlink()
    code, printed, _ = play(digits_home, "true", "--sandbox", "local", "--gpus", "1")
    assert code == 5 and "no device node in /dev" in printed
    code, printed, _ = play(digits_home, "true", "--sandbox", "local")
    assert code == 0 and "the run has no GPU: " in printed
    created = events_of(only_run(digits_home))[0]
    assert isinstance(created, RunCreated) and created.settings.gpus == "none"


def test_what_may_be_typed_for_gpus() -> None:
    assert [gpu_count(text) for text in ("0", "2", "all", " none")] == [0, 2, "all", "none"]
    for text in ("-1", "two", "1.5", ""):
        with pytest.raises(Exception, match="write 2, all or none"):
            gpu_count(text)
