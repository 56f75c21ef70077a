"""The supervisor: started on demand, one per folder, replaced when it dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandboxes.base import Limits, SandboxPaths
from sandboxes.jobs.client import Command, Jobs
from sandboxes.jobs.start_supervisor import supervisor_pid

Shell = Callable[[str], Command]


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_supervisor_is_replaced_and_its_job_continues(jobs: Jobs, shell: Shell) -> None:
    jobs.start("running", shell("sleep 1; echo ended"), Limits())
    wait_until(lambda: jobs.status("running").seconds > 0)
    supervisor = supervisor_pid(jobs.folder)
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    jobs.start("next", shell("echo next"), Limits())
    assert jobs.wait(["next"], 10)[0].exit_code == 0
    [status] = jobs.wait(["running"], 10)
    assert (status.ended, status.exit_code, jobs.output("running")) == ("exited", 0, b"ended\n")
    assert supervisor_pid(jobs.folder) != supervisor


def test_job_can_be_killed_without_supervisor(jobs: Jobs, shell: Shell) -> None:
    jobs.start("running", shell("sleep 30"), Limits())
    wait_until(lambda: jobs.status("running").seconds > 0)
    os.kill(supervisor_pid(jobs.folder) or 0, signal.SIGKILL)
    assert jobs.kill("running").ended == "killed"


def test_concurrent_requests_get_one_supervisor_and_run_once(paths: SandboxPaths, shell: Shell) -> None:
    command = shell("echo $$ >> ran")

    def request(number: int) -> str:
        jobs = Jobs(paths.jobs)
        jobs.start(f"same{number % 3}", command, Limits())
        return jobs.wait([f"same{number % 3}"], 30)[0].ended

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(request, range(12))) == {"exited"}
    assert len((paths.workspace / "ran").read_text().splitlines()) == 3


def test_idle_supervisor_exits_and_is_restarted(paths: SandboxPaths, shell: Shell) -> None:
    jobs = Jobs(paths.jobs, idle_seconds=0.3)
    jobs.start("one", shell("true"), Limits())
    jobs.wait(["one"], 10)
    wait_until(lambda: supervisor_pid(jobs.folder) is None)
    assert (paths.jobs / ".supervisor.log").read_text() == ""
    jobs.start("two", shell("true"), Limits())
    assert jobs.wait(["two"], 10)[0].exit_code == 0


def test_supervisor_and_jobs_end_when_folder_is_removed(paths: SandboxPaths, shell: Shell) -> None:
    jobs = Jobs(paths.jobs, idle_seconds=0.5)
    jobs.start("one", shell("sleep 60"), Limits())
    wait_until(lambda: jobs.status("one").seconds > 0)
    runner = json.loads((paths.jobs / "one" / "started").read_text())["pid"]
    supervisor = supervisor_pid(jobs.folder)
    shutil.rmtree(paths.jobs)
    wait_until(lambda: not Path(f"/proc/{supervisor}").exists(), 15)
    wait_until(lambda: not Path(f"/proc/{runner}").exists(), 15)
    paths.jobs.mkdir()


def test_empty_request_does_not_block_other_jobs(jobs: Jobs, shell: Shell) -> None:
    (jobs.folder / "cut").mkdir()
    (jobs.folder / "cut" / "request.json").touch()
    jobs.start("next", shell("echo next"), Limits())
    assert jobs.wait(["next"], 10)[0].exit_code == 0
    status = jobs.status("cut")
    assert status.state == "lost"
    assert "restarted" in status.why
