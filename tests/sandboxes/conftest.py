"""Places for sandboxes to work in, and the end of every process that a test left behind."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandboxes.base import JobRequest, JobView, Limits, Place, Sandbox, SandboxUnavailable
from sandboxes.bubblewrap import check_bubblewrap
from sandboxes.choosing import open_sandbox
from sandboxes.jobs import Command, Jobs


@dataclass
class Bench:
    """A sandbox of one kind, and short words for what tests do with it."""

    box: Sandbox
    number: int = field(default=0)

    def start(self, command: str, **limits: float) -> str:
        self.number += 1
        job = f"t{self.number}"
        self.box.start(JobRequest(job, command, Limits(**limits)))  # type: ignore[arg-type]
        return job

    def run(self, command: str, **limits: float) -> JobView:
        job = self.start(command, **limits)
        [view] = self.box.wait([job], 60)
        assert view.state != "running", f"{command} did not end"
        return view

    def says(self, command: str, **limits: float) -> str:
        return self.box.output(self.run(command, **limits).id).decode(errors="replace").strip()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One harness home for all tests, so that the interpreter environment is made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def place(tmp_path: Path, home: Path) -> Iterator[Place]:
    for name in ("run/workspace", "run/jobs", "data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "train.csv").write_text("id,label\n1,0\n")
    (tmp_path / "data").chmod(0o755)
    hidden = ("sklearn/datasets/data", "sklearn/datasets/_base.py")
    yield Place(tmp_path / "run/workspace", tmp_path / "data", tmp_path / "run/jobs", home, hidden=hidden)
    end_jobs(tmp_path / "run/jobs")


def end_jobs(folder: Path) -> None:
    jobs = Jobs(folder)
    for path in folder.iterdir():
        if not path.name.startswith("."):
            jobs.kill(path.name)
    if supervisor := jobs.supervisor():
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)


@pytest.fixture
def open_bench(place: Place) -> Callable[[str], Bench]:
    def open_it(kind: str) -> Bench:
        if kind == "bubblewrap":
            try:
                check_bubblewrap(place.home)
            except SandboxUnavailable as error:
                pytest.skip(f"bubblewrap cannot be tested: {error}")
        return Bench(open_sandbox(kind, place))

    return open_it


@pytest.fixture(params=["local", "bubblewrap"])
def bench(request: pytest.FixtureRequest, open_bench: Callable[[str], Bench]) -> Bench:
    return open_bench(request.param)


@pytest.fixture
def wrapped(open_bench: Callable[[str], Bench]) -> Bench:
    return open_bench("bubblewrap")


@pytest.fixture
def jobs(place: Place) -> Jobs:
    return Jobs(place.jobs)


@pytest.fixture
def shell(place: Place) -> Callable[[str], Command]:
    """A plain command, in no sandbox at all."""
    return lambda line: Command(("/bin/bash", "-c", line), place.workspace, {"PATH": "/usr/bin:/bin"})
