"""Pausing the jobs of a run: they and their clocks stand still, and a killed harness leaves none stopped."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sandboxes.base import SandboxPaths
from tests.sandboxes.conftest import SandboxDriver

ROOT = Path(__file__).parents[2]
COUNTING = "while :; do echo x >> count; sleep 0.05; done"
PAUSING = (
    "import sys, time\nfrom pathlib import Path\nfrom sandboxes.jobs.client import Jobs\n"
    "with Jobs(Path(sys.argv[1])).paused([]):\n    print('paused', flush=True)\n    time.sleep(60)\n"
)


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not so after {seconds:g} s"
        time.sleep(0.02)


def size(paths: SandboxPaths, name: str = "count") -> int:
    path = paths.workspace / name
    return path.stat().st_size if path.exists() else 0


def stands_still(paths: SandboxPaths, seconds: float = 0.7) -> bool:
    before = size(paths)
    time.sleep(seconds)
    return size(paths) == before


def test_paused_jobs_and_their_clocks_stand_still(driver: SandboxDriver, paths: SandboxPaths) -> None:
    job = driver.start(COUNTING)
    wait_until(lambda: size(paths) > 0)
    with driver.sandbox.paused([job]) as running_on:
        assert running_on == []
        first = driver.sandbox.status(job)
        assert first.state == "running" and first.is_paused and "paused" in first.summary()
        assert stands_still(paths)
        (later,) = driver.sandbox.wait([job], 0.5)
        assert later.is_paused and abs(later.seconds - first.seconds) < 0.3
    count = size(paths)
    wait_until(lambda: size(paths) > count)
    assert not driver.sandbox.status(job).is_paused
    assert driver.sandbox.kill(job).ended == "killed"


def test_the_time_limit_does_not_count_a_pause(driver: SandboxDriver) -> None:
    job = driver.start("for i in 1 2 3 4 5 6; do sleep 0.2; done; echo done", wall_seconds=4.0)
    with driver.sandbox.paused([job]):
        time.sleep(4.5)
    (status,) = driver.sandbox.wait([job], 60)
    assert (status.ended, status.exit_code) == ("exited", 0)
    assert status.seconds < 4.0


def test_a_job_that_starts_in_a_pause_waits_for_its_end(driver: SandboxDriver, paths: SandboxPaths) -> None:
    driver.run("true")
    with driver.sandbox.paused([]):
        job = driver.start(COUNTING)
        wait_until(lambda: driver.sandbox.status(job).is_paused)
        assert size(paths) == 0
        other = driver.start("sleep 60")
        assert driver.sandbox.kill(other).ended == "killed", "a job can be killed before it starts"
    wait_until(lambda: size(paths) > 0)
    driver.sandbox.kill(job)


def test_a_killed_harness_leaves_no_job_stopped(driver: SandboxDriver, paths: SandboxPaths) -> None:
    job = driver.start(COUNTING)
    wait_until(lambda: size(paths) > 0)
    argv = [sys.executable, "-c", PAUSING, str(paths.jobs)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as harness:
        assert harness.stdout and harness.stdout.readline() == b"paused\n"
        wait_until(lambda: driver.sandbox.status(job).is_paused)
        assert stands_still(paths)
        harness.kill()
        harness.wait()
    count = size(paths)
    wait_until(lambda: size(paths) > count)
    with driver.sandbox.paused([job]) as running_on:
        assert running_on == [], "what the killed one left behind does not matter"
        assert stands_still(paths)
    driver.sandbox.kill(job)


def test_a_paused_job_can_be_killed_and_jobs_that_start_processes_all_stop(
    driver: SandboxDriver, paths: SandboxPaths
) -> None:
    forking = "echo $$ > pid; for n in 1 2 3; do (while :; do (sleep 0.01; echo x >> count); done) & done; wait"
    waking = "while :; do kill -CONT $(cat pid) 2>/dev/null; sleep 0.01; done"
    jobs = [driver.start(forking), driver.start(waking)]
    wait_until(lambda: size(paths) > 0)
    with driver.sandbox.paused(jobs) as running_on:
        assert running_on == []
        time.sleep(0.3)
        assert stands_still(paths)
        assert [driver.sandbox.kill(job).ended for job in jobs] == ["killed", "killed"]


def test_two_pauses_end_with_the_last(driver: SandboxDriver, paths: SandboxPaths) -> None:
    job = driver.start(COUNTING)
    wait_until(lambda: size(paths) > 0)
    with driver.sandbox.paused([job]):
        with driver.sandbox.paused([job]):
            pass
        time.sleep(0.5)
        assert stands_still(paths)
    count = size(paths)
    wait_until(lambda: size(paths) > count)
    driver.sandbox.kill(job)
