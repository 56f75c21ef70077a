"""The daemon itself comes and goes: a job that runs meanwhile is none the worse."""

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
from sandboxes.docker.build_image import build
from sandboxes.docker.daemon import connect, container_named
from sandboxes.docker.sandbox import open_docker
from tests.sandboxes.conftest import end_containers

SCRIPT = Path(__file__).parents[2] / ".ci" / "docker"


class Daemon:
    """A second daemon on this machine, with its own data."""

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
        while line.exists() and line.read_bytes() and time.monotonic() < until:  # empty: it has ended, unreaped
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
            build("small", paths.home)
            yield second
            end_containers(paths.jobs)
        finally:
            second.stop()
            connect.cache_clear()
            for line in Path("/proc/mounts").read_text().splitlines():
                if line.split()[1].startswith(f"{folder}/"):  # its own data, mounted on itself
                    subprocess.run(["umount", line.split()[1]], check=True)
            shutil.rmtree(folder)


@pytest.mark.slow
def test_a_job_goes_on_while_the_daemon_is_restarted(daemon: Daemon, paths: SandboxPaths) -> None:
    """The job is seen to run without the daemon, ends as it would have, and the next one finds the same container."""
    box = open_docker(paths)
    box.start(JobRequest("one", "echo once >> count; sleep 8; echo through"))
    until = time.monotonic() + 30
    while not (paths.jobs / "one" / "started").exists() and time.monotonic() < until:
        time.sleep(0.1)
    before = container_named(box.name)
    daemon.stop()
    assert box.status("one").state == "running"
    daemon.start()
    connect.cache_clear()
    again = open_docker(paths)
    (view,) = again.wait(["one"], 60)
    assert (view.state, view.exit_code, again.output("one")) == ("finished", 0, b"through\n")
    again.start(JobRequest("two", "cat count"))
    assert again.wait(["two"], 60)[0].exit_code == 0 and again.output("two") == b"once\n"
    after = container_named(box.name)
    assert before and after and before.id == after.id
