"""A loop for the demo model without the harness: the real SDK client and real subprocesses in a temporary folder.

It keeps a memory in the format of a run's memory, scores on rows it holds out itself, and starts each attempt from the
best workspace.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pandas as pd

from harness.demo.transport import DEMO_BASE_URL, DEMO_MODEL, DemoTransport

NAMES = ("bash", "write_file", "evaluate", "finish")
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}
    for name in NAMES
]


def client(ideas: Any = None, transport: DemoTransport | None = None) -> openai.OpenAI:
    http = httpx2.Client(transport=transport or DemoTransport(ideas))
    return openai.OpenAI(base_url=DEMO_BASE_URL, api_key="none", http_client=http, max_retries=0)


def ask(ai: openai.OpenAI, messages: list[Any], tools: list[Any] = TOOLS) -> dict[str, Any]:
    """One streamed reply, joined."""
    reasoning, content, calls, finish_reason = "", "", {}, None
    stream = ai.chat.completions.create(model=DEMO_MODEL, messages=messages, tools=tools, stream=True, temperature=1.0)
    for chunk in stream:
        for choice in chunk.choices:
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            content += choice.delta.content or ""
            finish_reason = choice.finish_reason or finish_reason
            for piece in choice.delta.tool_calls or []:
                call = calls.setdefault(piece.index, {"id": piece.id, "type": "function", "function": {}})
                function = call["function"]
                function["name"] = function.get("name", "") + (piece.function.name or "")
                function["arguments"] = function.get("arguments", "") + (piece.function.arguments or "")
    message = {"role": "assistant", "reasoning_content": reasoning, "content": content}
    assert finish_reason == ("tool_calls" if calls else "stop")
    return {**message, "tool_calls": list(calls.values())} if calls else message


@dataclass
class Play:
    """A small run: `folder` holds data/, and `score` judges a submission."""

    folder: Path
    card: str
    lower_is_better: bool
    score: Callable[[pd.DataFrame], float]
    ideas: Any = None
    memory: list[str] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    noise: float = 0.01

    def user_message(self) -> dict[str, Any]:
        number = len(self.memory) + 1
        best = "none" if self.best is None else f"evaluation 001-1, {self.best:.4f} ± {self.noise}"
        workspace = "started as commit 1a2b3c4d" if (self.folder / "best").exists() else "started empty"
        state = f"# State\nattempt: {number}\nbest: {best}\nworkspace: {workspace}"
        return {"role": "user", "content": "\n\n".join([self.card, "# Memory", *self.memory, state])}

    def attempt(self) -> list[Any]:
        """Play one attempt until `finish`, add it to the memory, and return its messages."""
        number, started = len(self.memory) + 1, time.monotonic()
        self.workspace = self.folder / f"attempt-{number}"
        if (self.folder / "best").exists():
            shutil.copytree(self.folder / "best", self.workspace)
        else:
            self.workspace.mkdir()
        if not (self.workspace / "data").exists():
            (self.workspace / "data").symlink_to(self.folder / "data")
        messages: list[Any] = [{"role": "system", "content": "You are an engineer."}, self.user_message()]
        self.evaluations: list[tuple[str, float | None]] = []
        ai = client(self.ideas)
        for _ in range(20):
            reply = ask(ai, messages)
            messages.append(reply)
            for call in reply["tool_calls"]:
                arguments = json.loads(call["function"]["arguments"])
                if call["function"]["name"] == "finish":
                    self.remember(number, arguments, time.monotonic() - started)
                    return messages
                result = self.perform(call["function"]["name"], arguments)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        raise AssertionError("the attempt never finished")

    def remember(self, number: int, report: dict[str, Any], seconds: float) -> None:
        facts = [
            f"evaluation {number:03}-{index}: {status}"
            + ("" if score is None else f" {score:.4f} ± {self.noise}")
            + ", commit 1a2b3c4d, `python solution.py`"
            for index, (status, score) in enumerate(self.evaluations, 1)
        ]
        words = [f"{key}: {report[key]}" for key in ("did", "criticism", "next")]
        words += [f"lesson: {lesson}" for lesson in report["lessons"]]
        head = f"## Attempt {number}\nparent: none; turns: 5; minutes: {seconds / 60:.1f}; ended by finish"
        self.memory.append("\n".join([head, *facts, *words]))
        scores = [score for _, score in self.evaluations if score is not None]
        self.reports.append({**report, "scores": scores, "seconds": seconds})

    def perform(self, name: str, arguments: dict[str, Any]) -> str:
        return {
            "bash": lambda: self.run(arguments["command"]),
            "write_file": lambda: self.write(arguments["path"], arguments["content"]),
            "evaluate": lambda: self.evaluate(arguments["command"]),
        }[name]()

    def run(self, command: str) -> str:
        shell = f"python() {{ '{sys.executable}' \"$@\"; }}; {command}"
        done = subprocess.run(["bash", "-c", shell], cwd=self.workspace, capture_output=True, text=True, timeout=120)
        return f"exit {done.returncode} after 1.2 s\n{done.stdout}{done.stderr}"

    def write(self, path: str, content: str) -> str:
        (self.workspace / path).write_text(content)
        ends = "" if content.endswith("\n") else "; its last line has no line end"
        return f"wrote {path}: {len(content)} bytes, sha256 {hashlib.sha256(content.encode()).hexdigest()}{ends}"

    def evaluate(self, command: str) -> str:
        output = self.run(command)
        name = f"evaluation {len(self.memory) + 1:03}-{len(self.evaluations) + 1}"
        if not output.startswith("exit 0"):
            self.evaluations.append(("failed", None))
            return f"{name}: failed\n{output}"
        score = self.score(pd.read_csv(self.workspace / "submission.csv"))
        if not np.isfinite(score):
            self.evaluations.append(("invalid", None))
            return f"{name}: invalid\nthe submission does not have the rows of the sample"
        self.evaluations.append(("scored", round(score, 4)))
        if self.best is None or (score < self.best if self.lower_is_better else score > self.best):
            self.best = round(score, 4)
            shutil.rmtree(self.folder / "best", ignore_errors=True)
            shutil.copytree(self.workspace, self.folder / "best", symlinks=True)
        return f"{name}: scored\nscore {score:.4f} ± {self.noise} (held-out rows)\nbest so far {self.best}"


def card(metric: str, lower_is_better: bool) -> str:
    direction = "Lower" if lower_is_better else "Higher"
    return (
        f"# A table\n\nPredict the target.\n\n## How you are scored\n\n`{metric}`: The metric. {direction} is better."
    )


def tables(folder: Path, frame: pd.DataFrame, target: str, share: float = 0.3, seed: int = 1) -> pd.DataFrame:
    """Write data/ from a frame: an id, and a random share of the rows as test. Return the labels of the test rows."""
    (folder / "data").mkdir(parents=True)
    frame = frame.sample(frac=1.0, random_state=seed).reset_index(drop=True).rename_axis("id").reset_index()
    cut = int(len(frame) * share)
    test, train = frame.iloc[:cut], frame.iloc[cut:]
    train.to_csv(folder / "data/train.csv", index=False)
    test.drop(columns=target).to_csv(folder / "data/test.csv", index=False)
    test[["id"]].assign(**{target: train[target].iloc[0]}).to_csv(folder / "data/sample_submission.csv", index=False)
    return test[["id", target]].reset_index(drop=True)
