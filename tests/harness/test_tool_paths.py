"""No tool reaches a file outside the workspace, whatever path it is given: every entry of the registry is tried."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from context.recall.snippets import Passage
from harness.tools.registry import tools
from harness.tools.tool import Arguments, Refused, Tool, ToolContext
from runs.events.registry import ToolStarted
from runs.run_settings import RunSettings
from runs.versions.commits import StoredFile
from runs.versions.files import LINK
from sandboxes.base import JobStatus, PathRefused, SandboxPaths
from sandboxes.select import open_sandbox

SECRET = "the content of a file of the host"
RUNS_COMMANDS = ("bash", "evaluate")
"""Their `command` runs inside the sandbox, whose isolation tests/sandboxes/test_hostile.py attacks."""


@dataclass
class NoJobs:
    """Jobs of a run in which none was started."""

    def start(self, job: str, command: str) -> None:
        raise AssertionError("this test starts no job")

    def wait(self, jobs: Any, seconds: float) -> list[JobStatus]:
        return [JobStatus(job, "unknown") for job in jobs]

    def status(self, job: str) -> JobStatus:
        return JobStatus(job, "unknown")

    def kill(self, job: str) -> JobStatus:
        return JobStatus(job, "unknown")

    def log(self, job: str) -> Iterator[bytes]:
        return iter(())

    def running(self) -> list[str]:
        return []


@dataclass
class NoRecall:
    """The memory of a run without ended turns: it repeats what it was asked."""

    def search(self, query: str, tokens: int, attempt: int) -> str:
        return query

    def event(self, seq: int, tokens: int) -> str:
        return str(seq)

    def path(self, path: str, tokens: int, attempt: int, content: Passage | None) -> str:
        return path


class HostileCommits:
    """Evaluations whose commits hold a file and a link of the path that was asked for."""

    def files(self, evaluation: str, path: str = "") -> Iterator[StoredFile]:
        yield StoredFile(os.fsencode(path), b"100644", b"overwritten")
        yield StoredFile(b"inner.txt", LINK, os.fsencode(path))

    def diff(self, before: str, after: str = "") -> str:
        return before

    def last(self, path: str) -> tuple[str, int, bytes] | None:
        return None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder with a secret next to the workspace, and links from the workspace to it."""
    (tmp_path / "secret.txt").write_text(SECRET)
    for name in ("workspace", "data", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "workspace" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "workspace" / "folder").symlink_to(tmp_path)
    return tmp_path


def hostile_paths(host: Path) -> list[str]:
    """Ways out of a workspace."""
    secret = host / "secret.txt"
    return [
        str(secret),
        f"/{secret}",
        "../secret.txt",
        "a/../../secret.txt",
        "./../workspace/../secret.txt",
        "link.txt",
        "folder/secret.txt",
        "data/../../secret.txt",
        ".jobs/../secret.txt/log",
        ".jobs/../../secret.txt",
        f"/proc/self/root{secret}",
        "/etc/hostname",
        "secret.txt\0.txt",
    ]


def filled(tool: Tool, path: str) -> Arguments:
    """Arguments of a tool with the path in every text."""
    values: dict[str, Any] = {}
    for name, field in tool.arguments.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        if list in [getattr(kind, "__origin__", None) for kind in kinds]:
            values[name] = [path]
        elif str in kinds:
            values[name] = path
    return tool.arguments.model_validate_json(json.dumps(values))


def context(host: Path, home: Path, name: str, started: ToolStarted | None = None) -> ToolContext:
    paths = SandboxPaths(host / "workspace", host / "data", host / "jobs", home)
    return ToolContext(
        call_id="call",
        tool_name=name,
        job_id="00001-0",
        started=started,
        settings=RunSettings(),
        files=open_sandbox("local", paths),
        jobs=NoJobs(),
        recall=NoRecall(),
        evaluated=HostileCommits(),
        attempt=1,
        evaluate=lambda command, _seconds: command,
        take_checkpoint=lambda *words: str(words),
    )


@pytest.mark.parametrize("name", sorted(set(tools()) - set(RUNS_COMMANDS)))
def test_a_tool_neither_reads_nor_writes_outside_the_workspace(name: str, host: Path, home: Path) -> None:
    tool = tools()[name]
    before = {path: path.read_bytes() for path in host.rglob("*") if path.is_file() and not path.is_symlink()}
    for path in hostile_paths(host):
        try:
            arguments = filled(tool, path)
            started = tool.plan(context(host, home, name), arguments)
            result = tool.act(context(host, home, name, started), arguments)
        except (Refused, PathRefused, ValueError, OSError, AssertionError) as refusal:
            result = str(refusal)
        assert SECRET not in result
    outside = {path: path.read_bytes() for path in host.rglob("*") if path.is_file() and not path.is_symlink()}
    outside = {path: content for path, content in outside.items() if host / "workspace" not in path.parents}
    assert outside == {path: content for path, content in before.items() if host / "workspace" not in path.parents}


def test_the_test_notices_a_tool_that_joins_paths(host: Path, home: Path) -> None:
    """A naive tool would be caught: this one reads whatever it is given below the workspace's folder."""

    def naive(_context: ToolContext, arguments: Any) -> str:
        return (host / "workspace" / arguments.path).read_text()

    read_file = tools()["read_file"]
    leaked = []
    for path in hostile_paths(host):
        try:
            leaked.append(SECRET in naive(context(host, home, "read_file"), filled(read_file, path)))
        except (OSError, ValueError):
            leaked.append(False)
    assert sum(leaked) >= 5
