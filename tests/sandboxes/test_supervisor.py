"""The supervisor comes when it is needed, is one, and is not missed when it dies."""

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

Shell = Callable[[str], Command]


def wait_until(claim: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_supervisor_killed_in_the_middle_is_not_missed(jobs: Jobs, shell: Shell) -> None:
    jobs.start("running", shell("sleep 1; echo ended"), Limits())
    wait_until(lambda: jobs.status("running").seconds > 0)
    supervisor = jobs.supervisor()
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    jobs.start("next", shell("echo next"), Limits())
    assert jobs.wait(["next"], 10)[0].exit_code == 0
    [view] = jobs.wait(["running"], 10)
    assert (view.ended, view.exit_code, jobs.output("running")) == ("exited", 0, b"ended\n")
    assert jobs.supervisor() != supervisor


def test_a_job_can_be_killed_without_a_supervisor(jobs: Jobs, shell: Shell) -> None:
    jobs.start("running", shell("sleep 30"), Limits())
    wait_until(lambda: jobs.status("running").seconds > 0)
    os.kill(jobs.supervisor() or 0, signal.SIGKILL)
    assert jobs.kill("running").ended == "killed"


def test_many_who_ask_at_once_get_one_supervisor_and_each_job_runs_once(paths: SandboxPaths, shell: Shell) -> None:
    command = shell("echo $$ >> ran")

    def ask(number: int) -> str:
        jobs = Jobs(paths.jobs)
        jobs.start(f"same{number % 3}", command, Limits())
        return jobs.wait([f"same{number % 3}"], 30)[0].ended

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(ask, range(12))) == {"exited"}
    assert len((paths.workspace / "ran").read_text().splitlines()) == 3


def test_it_leaves_when_nobody_asks_and_comes_back_when_somebody_does(paths: SandboxPaths, shell: Shell) -> None:
    jobs = Jobs(paths.jobs, idle_seconds=0.3)
    jobs.start("one", shell("true"), Limits())
    jobs.wait(["one"], 10)
    wait_until(lambda: jobs.supervisor() is None)
    assert (paths.jobs / ".supervisor.log").read_text() == ""
    jobs.start("two", shell("true"), Limits())
    assert jobs.wait(["two"], 10)[0].exit_code == 0


def test_it_leaves_when_its_folder_is_gone_and_takes_its_jobs_along(paths: SandboxPaths, shell: Shell) -> None:
    jobs = Jobs(paths.jobs, idle_seconds=1.0)
    jobs.start("one", shell("sleep 60"), Limits())
    wait_until(lambda: jobs.status("one").seconds > 0)
    keeper = json.loads((paths.jobs / "one" / "started").read_text())["pid"]
    supervisor = jobs.supervisor()
    shutil.rmtree(paths.jobs)
    wait_until(lambda: not Path(f"/proc/{supervisor}").exists(), 15)
    wait_until(lambda: not Path(f"/proc/{keeper}").exists(), 15)
    paths.jobs.mkdir()


def test_a_request_that_a_power_cut_left_empty_keeps_no_other_job_from_starting(jobs: Jobs, shell: Shell) -> None:
    (jobs.folder / "cut").mkdir()
    (jobs.folder / "cut" / "request.json").touch()
    jobs.start("next", shell("echo next"), Limits())
    assert jobs.wait(["next"], 10)[0].exit_code == 0
    view = jobs.status("cut")
    assert view.state == "lost"
    assert "restarted" in view.why
