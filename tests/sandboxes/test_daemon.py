"""Jobs while the Docker daemon is restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandboxes.base import JobRequest, SandboxPaths
from sandboxes.docker.build_image import build_small
from sandboxes.docker.daemon import connect, find_container
from sandboxes.docker.sandbox import open_docker
from tests.sandboxes.conftest import end_containers

SCRIPT = Path(__file__).parents[2] / ".ci" / "docker"


class Daemon:
    """A second daemon on this machine with its own data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> str:
        argv = [str(SCRIPT), "start", str(self.folder)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=90)
        return done.stdout.strip() or pytest.fail(done.stderr)

    def stop(self) -> None:
        number = int((self.folder / "pid").read_text())
        subprocess.run([str(SCRIPT), "stop", str(self.folder)], check=True, timeout=30)
        until = time.monotonic() + 30
        line = Path(f"/proc/{number}/cmdline")
        while line.exists() and line.read_bytes() and time.monotonic() < until:  # empty: a zombie
            time.sleep(0.1)


@pytest.fixture
def daemon(docker: Any, paths: SandboxPaths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("only root with `dockerd` can start a second daemon")
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir="/var/tmp"))
    second = Daemon(folder)
    with monkeypatch.context() as patched:
        patched.setenv("DOCKER_HOST", second.start())
        connect.cache_clear()
        try:
            build_small(paths.home, wanted=())  # without packages: an image is the slowest part of a new daemon
            yield second
            end_containers(paths.jobs)
        finally:
            second.stop()
            connect.cache_clear()
            for line in Path("/proc/mounts").read_text().splitlines():
                if line.split()[1].startswith(f"{folder}/"):  # the data folder is mounted on itself
                    subprocess.run(["umount", line.split()[1]], check=True)
            shutil.rmtree(folder)


@pytest.mark.slow
def test_job_survives_daemon_restart(daemon: Daemon, paths: SandboxPaths) -> None:
    """The job is reported as running without the daemon and ends normally; the next job uses the same container."""
    sandbox = open_docker(paths)
    sandbox.start(JobRequest("one", "echo once >> count; while [ ! -e go ]; do sleep 0.05; done; echo through"))
    until = time.monotonic() + 30
    while not (paths.jobs / "one" / "started").exists() and time.monotonic() < until:
        time.sleep(0.1)
    before = find_container(sandbox.name)
    daemon.stop()
    assert sandbox.status("one").state == "running"
    daemon.start()
    connect.cache_clear()
    again = open_docker(paths)
    again.write("go", b"")
    (status,) = again.wait(["one"], 60)
    assert (status.state, status.exit_code, again.output("one")) == ("finished", 0, b"through\n")
    again.start(JobRequest("two", "cat count"))
    assert again.wait(["two"], 60)[0].exit_code == 0 and again.output("two") == b"once\n"
    after = find_container(sandbox.name)
    assert before and after and before.id == after.id
