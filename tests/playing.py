"""Means to play whole runs in tests: the real command line in its own process, a scripted engineer at the other end.

The script is a pure function of the messages, as an endpoint's answer to a repeated request must be for comparing a
broken run with an unbroken one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EvaluationFinished,
    Event,
    JobFinished,
    ModelReplied,
    RunEnded,
    SubmissionChosen,
    ToolFinished,
)
from runs.journal import read_events
from tests.servers.chat_server import ChatServer, Message, Received, Script

HARNESS = Path(sys.executable).parent / "harness"

SOLUTION = """import csv
GUESS = 0  # edited
with open("data/sample_submission.csv", newline="") as file:
    rows = list(csv.reader(file))
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([rows[0], *([row[0], GUESS] for row in rows[1:])])
"""


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """One tool call of a scripted reply."""
    return {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def reply(content: str, *calls: dict[str, Any], tag: str = "") -> Message:
    """A scripted reply; calls get ids that are the same whenever the reply is."""
    named = [{"id": f"call_{tag}_{place}", **one} for place, one in enumerate(calls)]
    return {"reasoning_content": f"thinking of {content}", "content": content, "tool_calls": named}


def engineer(marks: Path, seconds: float = 0.2) -> Script:
    """A script of seven steps an attempt that uses every tool; each command leaves a line of its own in `marks`, the
    entrypoint one for each blend it is run on."""

    def script(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
        if not found:
            return {"content": "ok"}  # the endpoint is being tried out
        attempt = int(found[-1])
        step = sum(message["role"] == "assistant" for message in messages)
        steps = _steps(attempt, marks, seconds, str(messages[-1]["content"]))
        return reply(f"step {step} of attempt {attempt}", *steps[min(step, len(steps) - 1)], tag=f"{attempt}_{step}")

    return script


def _steps(attempt: int, marks: Path, seconds: float, last_result: str) -> list[list[dict[str, Any]]]:
    job = re.search(r"job ([\w-]+)", last_result)
    mark = f"echo x >> {marks}/a{attempt}"
    return [
        [call("bash", command=f"{mark}-look; sleep {seconds}; head -2 data/train.csv")],
        [call("write_file", path="solution.py", content=SOLUTION), call("write_file", path="n/notes.txt", content="a")],
        [
            call("edit_file", path="solution.py", old="GUESS = 0", new=f"GUESS = {attempt}"),
            call("read_file", path="solution.py", limit=2),
        ],
        [call("bash", command=f"{mark}-train; sleep {seconds * 3}; echo trained", wait_seconds=0)],
        [call("wait", jobs=[job[1] if job else "none"], seconds=30), call("bash", command=f"{mark}-more; true")],
        [call("evaluate", command=f"{mark}-evaluate-$(cksum < data/train.csv | cut -c1-6); python solution.py")],
        [call("finish", did=f"guessed {attempt}", criticism="a guess", next="another", lessons=["guessing is weak"])],
    ]


def turns_asked(server: ChatServer) -> list[Received]:
    """The requests of a run that a server received, without those that only try the endpoint out."""
    return [one for one in server.received if rb"\nattempt: " in one.body]


def start_harness(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the console script in a session of its own, with everything under `home`."""
    environment = {**os.environ, "HARNESS_HOME": str(home), "HARNESS_API_KEY": "sk-test-not-a-secret"}
    return subprocess.Popen(
        [str(HARNESS), *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def harness(home: Path, *arguments: str, seconds: float = 240) -> tuple[int, str]:
    """Run a command to its end: its exit code and all it printed."""
    process = start_harness(home, *arguments)
    try:
        printed, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, printed


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so; fails if it never is."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came to pass"
        time.sleep(0.02)


def only_run(home: Path) -> Path:
    """The one run under a home."""
    (folder,) = (path for path in (home / "runs").iterdir() if not path.name.startswith("."))
    return folder


def normalised(events: list[Event], home: Path) -> list[tuple[Any, ...]]:
    """What a run did, without where, when and how often interrupted: kind, call, tree hash, score."""
    told: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, ModelReplied):
            calls = [(one.id, one.name, one.arguments.replace(str(home), "HOME")) for one in event.calls]
            told.append((event.kind, *calls))
        elif isinstance(event, ToolFinished):
            told.append((event.kind, event.call, event.failed))
        elif isinstance(event, EvaluationFinished):
            told.append((event.kind, event.evaluation, event.status, event.tree, event.score, event.submission))
        elif isinstance(event, SubmissionChosen):
            told.append((event.kind, event.evaluation, event.sha256))
        elif isinstance(event, AttemptStarted):
            told.append((event.kind, event.attempt, bool(event.parents)))
        elif isinstance(event, AttemptEnded):
            told.append((event.kind, event.why, event.did))
        elif isinstance(event, RunEnded):
            told.append((event.kind, event.why))
    return told


def jobs_of(events: list[Event]) -> list[tuple[str, str, int | None]]:
    """How each job ended; when it is noticed may differ between two runs, so sorted."""
    return sorted((e.job, e.ended, e.exit_code) for e in events if isinstance(e, JobFinished))


def events_of(folder: Path) -> list[Event]:
    """All events of a run."""
    return list(read_events(folder))
