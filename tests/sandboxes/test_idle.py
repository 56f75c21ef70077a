"""A job with a limit of idle time is ended when it does nothing, and only then."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from sandboxes.jobs import gpu_use
from sandboxes.jobs.activity import Activity
from sandboxes.jobs.gpu_use import GpuUse, query_use
from sandboxes.jobs.processes import descendants, process_status
from tests.playing import wait_until
from tests.sandboxes.conftest import SandboxDriver

BUSY = {
    "CPU": "end=$((SECONDS + 5)); while [ $SECONDS -lt $end ]; do :; done",
    "output": "for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.6; done",
    "children that end": "for n in 1 2 3 4 5 6 7 8; do head -c 30000000 /dev/urandom | sha256sum >x; sleep 0.5; done",
}


@pytest.mark.parametrize("hung", ["sleep 600", "sleep 600 & sleep 600 & wait", "while :; do sleep 5; done"])
def test_a_job_that_does_nothing_is_ended(driver: SandboxDriver, hung: str) -> None:
    status = driver.run(f"echo started; {hung}", idle_seconds=2.0)
    assert (status.ended, status.exit_code) == ("idle", 137)
    assert 1.5 < status.seconds < 60
    assert "idle" in status.summary() and "killed" in status.summary()
    log = driver.sandbox.output(status.id).decode()
    assert log.startswith("started\n") and "idle for 2 s" in log.splitlines()[-1]


@pytest.mark.parametrize("what", BUSY)
def test_a_job_that_does_something_is_not(driver: SandboxDriver, what: str) -> None:
    status = driver.run(BUSY[what], idle_seconds=2.5)
    assert (status.ended, status.exit_code) == ("exited", 0)


def test_without_a_limit_a_job_may_sleep(driver: SandboxDriver) -> None:
    assert driver.run("sleep 2").ended == "exited"


def test_the_memory_of_a_job_is_measured(driver: SandboxDriver) -> None:
    status = driver.run("python -c 'x = b\"x\" * 300_000_000'", idle_seconds=60.0)
    assert 300_000_000 < status.peak_bytes < 600_000_000
    assert driver.run("python -c 'x = b\"x\" * 100_000_000'").peak_bytes > 100_000_000


def test_the_use_of_gpus_is_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, asked = tmp_path / "nvidia-smi", tmp_path / "asked"
    tool.write_text(f"#!/bin/sh\necho $@ >>{asked}\necho '80, 2000'\necho '20, 500'\necho 'N/A, N/A'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpu_use, "TOOLS", (str(tool),))
    use = GpuUse("GPU-1,GPU-2")
    use.sample(use.next_at)
    answered(use)
    use.sample(use.next_at - 1)  # too early
    assert (use.share, use.peak_bytes) == (50.0, 2500 << 20)
    assert "--id=GPU-1,GPU-2" in asked.read_text() and asked.read_text().count("\n") == 1


def test_a_job_without_gpus_asks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert query_use("") == [] or query_use("")[0][1] > 0
    monkeypatch.setattr(gpu_use, "TOOLS", ())
    use = GpuUse(None)
    use.sample(use.next_at)
    assert (use.share, use.gpus) == (None, "")


def test_a_hanging_tool_blocks_nothing_and_is_not_called_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpu_use, "TOOLS", (str(tool),))
    use, began = GpuUse(None), time.monotonic()
    use.sample(use.next_at)
    use.sample(began + 15.1)
    assert use.is_asking
    use.sample(use.next_at)
    assert (use.is_asking, use.share, use.gpus) == (False, None, "")
    assert time.monotonic() - began < 5


def test_the_tool_does_not_make_an_idle_job_look_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!{sys.executable}\nimport time\nwhile time.process_time() < 0.3: pass\nprint('0, 5')\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpu_use, "TOOLS", (str(tool),))
    activity, others = Activity(1000.0, None, GpuUse(None)), set(descendants(os.getpid()))
    for each in (activity, activity.gpus):
        each.next_at = 0.0
    activity.is_idle(0)
    active_at = activity.active_at
    wait_until(lambda: all_ended(others), 20)
    activity.next_at = 0.0
    activity.is_idle(0)
    assert activity.active_at == active_at and activity.gpus.share == 0.0


def answered(use: GpuUse) -> None:
    """Wait for the tool's answer."""
    while use.is_asking:
        time.sleep(0.01)
        use.sample(time.monotonic())


def all_ended(others: set[int]) -> bool:
    """Whether every process below this one is a zombie, but `others`, which another test may have started."""
    statuses = [process_status(pid) for pid in descendants(os.getpid()) if pid not in others]
    return all(status is None or status[0] == "Z" for status in statuses)
