"""Places for sandboxes to work in, and the end of every process that a test left behind."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandboxes.base import JobRequest, JobStatus, Limits, Sandbox, SandboxPaths, SandboxUnavailable
from sandboxes.bubblewrap import check_bubblewrap
from sandboxes.docker import daemon
from sandboxes.docker.build_image import build
from sandboxes.jobs.client import Command, Jobs
from sandboxes.select import open_sandbox


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

    def run(self, command: str, **limits: float) -> JobStatus:
        job = self.start(command, **limits)
        [view] = self.box.wait([job], 300)
        assert view.state != "running", f"{command} did not end"
        return view

    def says(self, command: str, **limits: float) -> str:
        return self.box.output(self.run(command, **limits).id).decode(errors="replace").strip()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One harness home for all tests, so that the interpreter environment is made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def paths(tmp_path: Path, home: Path) -> Iterator[SandboxPaths]:
    for name in ("run/workspace", "run/jobs", "data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "train.csv").write_text("id,label\n1,0\n")
    (tmp_path / "data").chmod(0o755)
    hidden = ("sklearn/datasets/data", "sklearn/datasets/_base.py")
    yield SandboxPaths(tmp_path / "run/workspace", tmp_path / "data", tmp_path / "run/jobs", home, hidden=hidden)
    end_jobs(tmp_path / "run/jobs")


def end_containers(jobs: Path) -> None:
    """Remove what a test left of containers, and only that."""
    daemon.connect.cache_clear()
    label = f"{daemon.LABEL}.jobs={jobs}"
    for found in daemon.connect().containers.list(all=True, filters={"label": label}):
        daemon.remove(found)


def end_jobs(folder: Path) -> None:
    jobs = Jobs(folder)
    for path in folder.iterdir():
        if not path.name.startswith("."):
            jobs.kill(path.name)
    if supervisor := jobs.supervisor():
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)


@pytest.fixture
def open_bench(paths: SandboxPaths, request: pytest.FixtureRequest) -> Callable[[str], Bench]:
    def open_it(kind: str) -> Bench:
        if kind == "docker":
            request.getfixturevalue("docker")
        if kind == "bubblewrap":
            try:
                check_bubblewrap(paths.home)
            except SandboxUnavailable as error:
                pytest.skip(f"bubblewrap cannot be tested: {error}")
        return Bench(open_sandbox(kind, paths))

    return open_it


@pytest.fixture(params=["local", "bubblewrap", "docker"])
def bench(request: pytest.FixtureRequest, open_bench: Callable[[str], Bench]) -> Bench:
    return open_bench(request.param)


@pytest.fixture
def wrapped(open_bench: Callable[[str], Bench]) -> Bench:
    return open_bench("bubblewrap")


@pytest.fixture
def contained(open_bench: Callable[[str], Bench]) -> Bench:
    return open_bench("docker")


@pytest.fixture(params=["bubblewrap", "docker"])
def isolated(request: pytest.FixtureRequest, open_bench: Callable[[str], Bench]) -> Bench:
    """One of the kinds that keep hostile code in."""
    return open_bench(request.param)


@pytest.fixture
def docker(paths: SandboxPaths, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A daemon that answers, with the small image; its containers of this test end with it.

    HARNESS_TEST_DOCKER is the address of a daemon that must not be missing. Without it the default daemon is tried, and
    the test skipped where there is none.
    """
    demanded = os.environ.get("HARNESS_TEST_DOCKER")
    if demanded:
        monkeypatch.setenv("DOCKER_HOST", demanded)
    daemon.connect.cache_clear()
    try:
        build("small", paths.home)
    except SandboxUnavailable as error:
        if demanded:
            pytest.fail(f"HARNESS_TEST_DOCKER demands the tests of Docker: {error}")
        pytest.skip(f"Docker cannot be tested: {error}")
    yield
    end_containers(paths.jobs)
    daemon.connect.cache_clear()


@pytest.fixture
def jobs(paths: SandboxPaths) -> Jobs:
    return Jobs(paths.jobs)


@pytest.fixture
def shell(paths: SandboxPaths) -> Callable[[str], Command]:
    """A plain command, in no sandbox at all."""
    return lambda line: Command(("/bin/bash", "-c", line), paths.workspace, {"PATH": "/usr/bin:/bin"})
