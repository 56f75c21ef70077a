"""Play whole runs in tests, in this process or as the installed command, with a scripted model at the endpoint.

The script is a pure function of the messages: an interrupted run can be compared with an uninterrupted one only if the
endpoint gives the same answer to a repeated request.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from filelock import FileLock

from harness.cli import main
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
from tasks import data_overview
from tasks.judging import compare, judge, select_final
from tasks.leakage import task as leak_checks
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
    """A script of seven turns per attempt that uses every tool.

    Each command adds a line to its own file in `marks`; the evaluated command to one file per split.
    """

    def script(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
        if not found:
            return {"content": "ok"}  # a request of the probe
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
    """The requests of a run that a server received, without those of the probe."""
    return [one for one in server.received if rb"\nattempt: " in one.body]


def variables(home: Path) -> dict[str, str]:
    """The environment variables of a harness that keeps everything under `home`."""
    return {"HARNESS_HOME": str(home), "HARNESS_API_KEY": "sk-test-not-a-secret"}


class Prepared:
    """A home in which `digits` and its folds are prepared, made once for all workers of a test session."""

    home: Path | None = None
    """Where it is; set by conftest.py."""


def share_environment(home: Path) -> None:
    """Let a home have the default environment of this test session: thousands of files, made once."""
    assert Prepared.home is not None
    home.mkdir(parents=True, exist_ok=True)
    shared = Prepared.home.with_name("environment")
    shared.mkdir(parents=True, exist_ok=True)
    (home / "environment").symlink_to(shared)


def with_digits(home: Path) -> Path:
    """`home` with prepared data of `digits` and an environment, so that a run in it starts without making them."""
    assert Prepared.home is not None
    with FileLock(f"{Prepared.home}.lock"):
        if not Prepared.home.exists():
            _prepare_digits(Prepared.home)
    share_environment(home)
    shutil.copytree(Prepared.home / "data", home / "data")
    return home


def _prepare_digits(home: Path) -> None:
    """Play a run of one evaluation, which makes the data of every fold, and drop all but the data."""
    steps = [[call("evaluate", command="cp data/sample_submission.csv submission.csv")], [call("finish", did="all")]]

    def script(request: dict[str, Any]) -> Message:
        step = sum(message["role"] == "assistant" for message in request["messages"])
        return reply("step", *steps[min(step, 1)], tag=str(step))

    draft = home.with_name("draft")
    share_environment(draft)
    with ChatServer(script, piece=100_000) as server:
        options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        code, printed = harness_here(draft, "run", "digits", *options)
    assert code == 0, printed
    shutil.rmtree(draft / "runs")
    draft.rename(home)


@contextlib.contextmanager
def judging_here() -> Iterator[None]:
    """Judge, check for leaks and describe data in this process, so that pandas is not loaded for every evaluation."""

    def perform(module: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        copy = json.loads(json.dumps({**request, "seconds": seconds}))
        reply: dict[str, Any] = json.loads(json.dumps(sys.modules[module]._perform(copy)))
        return reply

    with contextlib.ExitStack() as patches:
        for module in (compare, judge, select_final, leak_checks, data_overview):
            patches.enter_context(patch.object(module, "run_isolated", perform))
        yield


def harness_here(home: Path, *arguments: str) -> tuple[int, str]:
    """Run a command in this process: its exit code and all it printed.

    It takes a second less than `harness`, and another half for each judged submission.
    """
    printed = io.StringIO()
    with (
        judging_here(),
        patch.dict(os.environ, variables(home)),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        code = main(arguments)
    return code, printed.getvalue()


def start_harness(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the installed command in its own session, with everything under `home`."""
    environment = {**os.environ, **variables(home)}
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
    """Run the installed command to its end: its exit code and all it printed."""
    process = start_harness(home, *arguments)
    try:
        printed, _ = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, printed


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fails after `seconds`."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not so after {seconds:g} s"
        time.sleep(0.02)


def only_run(home: Path) -> Path:
    """The one run under a home."""
    (folder,) = (path for path in (home / "runs").iterdir() if not path.name.startswith("."))
    return folder


def normalised(events: list[Event], home: Path) -> list[tuple[Any, ...]]:
    """What a run did, without paths, times and interruptions: kind, call, score, hash of the submission."""
    actions: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, ModelReplied):
            calls = [(one.id, one.name, one.arguments.replace(str(home), "HOME")) for one in event.calls]
            actions.append((event.kind, *calls))
        elif isinstance(event, ToolFinished):
            actions.append((event.kind, event.call, event.failed))
        elif isinstance(event, EvaluationFinished):
            # Not its tree: the commands in solution.json name the home.
            actions.append((event.kind, event.evaluation, event.status, event.score, event.submission))
        elif isinstance(event, SubmissionChosen):
            actions.append((event.kind, event.evaluation, event.sha256))
        elif isinstance(event, AttemptStarted):
            actions.append((event.kind, event.attempt, bool(event.parents)))
        elif isinstance(event, AttemptEnded):
            actions.append((event.kind, event.why, event.did))
        elif isinstance(event, RunEnded):
            actions.append((event.kind, event.why))
    return actions


def jobs_of(events: list[Event]) -> list[tuple[str, str, int | None]]:
    """How each job ended, sorted: two runs may notice the ends in different order."""
    return sorted((e.job, e.ended, e.exit_code) for e in events if isinstance(e, JobFinished))


def events_of(folder: Path) -> list[Event]:
    """All events of a run."""
    return list(read_events(folder))
