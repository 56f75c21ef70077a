"""Sandboxes of each kind for tests, and cleanup of the processes and containers they leave."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from sandboxes.base import JobRequest, JobStatus, Limits, Sandbox, SandboxPaths, SandboxUnavailable
from sandboxes.bubblewrap import check_bubblewrap
from sandboxes.docker import daemon
from sandboxes.docker.build_image import build
from sandboxes.jobs.client import Command, Jobs
from sandboxes.jobs.start_supervisor import supervisor_pid
from sandboxes.select import open_sandbox
from tests.playing import Prepared, share_environment


@dataclass
class SandboxDriver:
    """A sandbox of one kind, with short methods to run commands in it."""

    sandbox: Sandbox
    number: int = field(default=0)

    def start(self, command: str, **limits: float) -> str:
        self.number += 1
        job = f"t{self.number}"
        self.sandbox.start(JobRequest(job, command, Limits(**limits)))  # type: ignore[arg-type]
        return job

    def run(self, command: str, **limits: float) -> JobStatus:
        job = self.start(command, **limits)
        [status] = self.sandbox.wait([job], 300)
        assert status.state != "running", f"{command} did not end"
        return status

    def output_of(self, command: str, **limits: float) -> str:
        return self.sandbox.output(self.run(command, **limits).id).decode(errors="replace").strip()


def unusual_seconds() -> str:
    """A duration for `sleep` that identifies the processes of one test."""
    return f"9{os.getpid()}{time.monotonic_ns() % 10**9}"


def processes_with(text: str) -> list[str]:
    """Command lines of other processes that contain a text."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and int(path.parent.name) != os.getpid():
            lines.append(line)
    return lines


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One harness home for all tests of a worker."""
    home = tmp_path_factory.mktemp("home")
    share_environment(home)
    return home


@pytest.fixture
def paths(tmp_path: Path, home: Path) -> Iterator[SandboxPaths]:
    for name in ("run/workspace", "run/jobs", "data"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "train.csv").write_text("id,label\n1,0\n")
    (tmp_path / "data").chmod(0o755)
    hidden = ("sklearn/datasets/data", "sklearn/datasets/_base.py")
    yield SandboxPaths(tmp_path / "run/workspace", tmp_path / "data", tmp_path / "run/jobs", home, hidden=hidden)
    end_jobs(tmp_path / "run/jobs")


def build_once(home: Path) -> None:
    """The small image, built by one of the workers that need it at the same time."""
    with FileLock(f"{Prepared.home}.image.lock"):
        build("small", home)


def end_containers(jobs: Path) -> None:
    """Remove the containers that a test left."""
    daemon.connect.cache_clear()
    label = f"{daemon.LABEL}.jobs={jobs}"
    for container in daemon.connect().containers.list(all=True, filters={"label": label}):
        daemon.remove_container(container)


def end_jobs(folder: Path) -> None:
    jobs = Jobs(folder)
    for path in folder.iterdir():
        if not path.name.startswith("."):
            jobs.kill(path.name)
    if supervisor := supervisor_pid(jobs.folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)


@pytest.fixture
def open_driver(paths: SandboxPaths, request: pytest.FixtureRequest) -> Callable[[str], SandboxDriver]:
    def open_it(kind: str) -> SandboxDriver:
        if kind == "docker":
            request.getfixturevalue("docker")
        if kind == "bubblewrap":
            try:
                check_bubblewrap(paths.home)
            except SandboxUnavailable as error:
                pytest.skip(f"bubblewrap cannot be tested: {error}")
        return SandboxDriver(open_sandbox(kind, paths))

    return open_it


@pytest.fixture(params=["local", "bubblewrap", "docker"])
def driver(request: pytest.FixtureRequest, open_driver: Callable[[str], SandboxDriver]) -> SandboxDriver:
    return open_driver(request.param)


@pytest.fixture
def bubblewrap(open_driver: Callable[[str], SandboxDriver]) -> SandboxDriver:
    return open_driver("bubblewrap")


@pytest.fixture
def container(open_driver: Callable[[str], SandboxDriver]) -> SandboxDriver:
    return open_driver("docker")


@pytest.fixture(params=["bubblewrap", "docker"])
def isolated(request: pytest.FixtureRequest, open_driver: Callable[[str], SandboxDriver]) -> SandboxDriver:
    """A sandbox of each isolating kind."""
    return open_driver(request.param)


@pytest.fixture
def docker(paths: SandboxPaths, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Docker daemon with the small image. The test's containers are removed after it.

    HARNESS_TEST_DOCKER is the address of a daemon that must work. Without it, the default daemon is tried, and the test
    is skipped if there is none.
    """
    required = os.environ.get("HARNESS_TEST_DOCKER")
    if required:
        monkeypatch.setenv("DOCKER_HOST", required)
    daemon.connect.cache_clear()
    try:
        build_once(paths.home)
    except SandboxUnavailable as error:
        if required:
            pytest.fail(f"HARNESS_TEST_DOCKER is set, but Docker does not work: {error}")
        pytest.skip(f"Docker cannot be tested: {error}")
    yield
    for jobs in paths.jobs.parent.glob("*jobs"):  # those of folds have their own
        end_containers(jobs)
    daemon.connect.cache_clear()


@pytest.fixture
def jobs(paths: SandboxPaths) -> Jobs:
    return Jobs(paths.jobs)


@pytest.fixture
def shell(paths: SandboxPaths) -> Callable[[str], Command]:
    """A plain command without a sandbox."""
    return lambda line: Command(("/bin/bash", "-c", line), paths.workspace, {"PATH": "/usr/bin:/bin"})
