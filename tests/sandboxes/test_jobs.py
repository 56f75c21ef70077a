"""The status of a job after crashes, restarts and reused process ids."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes.base import Limits
from sandboxes.jobs.client import Command, Container, Jobs

Shell = Callable[[str], Command]


def test_unrequested_job_is_unknown(jobs: Jobs) -> None:
    assert jobs.status("never").state == "unknown"
    assert jobs.kill("never").state == "unknown"
    assert jobs.output("never") == b""


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\nb"])
def test_job_id_cannot_be_a_path(jobs: Jobs, name: str) -> None:
    assert jobs.status(name).state == "unknown"
    with pytest.raises(ValueError, match="not a job id"):
        jobs.output(name)


def started(jobs: Jobs, job: str) -> dict[str, int]:
    while not (jobs.folder / job / "started").exists():
        time.sleep(0.005)
    record: dict[str, int] = json.loads((jobs.folder / job / "started").read_text())
    return record


def test_job_whose_runner_was_killed_is_lost_with_reason(jobs: Jobs, shell: Shell) -> None:
    jobs.start("gone", shell("echo partial; sleep 30"), Limits())
    while not jobs.output("gone"):
        time.sleep(0.01)
    os.kill(started(jobs, "gone")["pid"], signal.SIGKILL)
    [status] = jobs.wait(["gone"], 10)
    assert (status.state, status.ended, status.exit_code, status.kept_bytes) == ("lost", "lost", None, 8)
    assert "killed from outside" in status.why


def test_job_of_another_boot_is_lost(jobs: Jobs, shell: Shell) -> None:
    jobs.start("old", shell("true"), Limits())
    jobs.wait(["old"], 10)
    record = started(jobs, "old")
    (jobs.folder / "old" / "exit.json").unlink()
    (jobs.folder / "old" / "started").write_text(json.dumps({**record, "pid": os.getpid(), "boot": "another"}))
    assert "restarted" in jobs.status("old").why


def test_reused_process_id_is_not_killed(jobs: Jobs, shell: Shell) -> None:
    jobs.start("reused", shell("true"), Limits())
    jobs.wait(["reused"], 10)
    record = started(jobs, "reused")
    (jobs.folder / "reused" / "exit.json").unlink()
    (jobs.folder / "reused" / "started").write_text(json.dumps({**record, "pid": os.getpid()}))
    assert jobs.kill("reused").state == "lost"


def test_status_starts_a_request_nobody_announced(jobs: Jobs, shell: Shell) -> None:
    jobs.start("first", shell("true"), Limits())
    jobs.wait(["first"], 10)
    request = (jobs.folder / "first" / "request.json").read_text()
    (jobs.folder / "second").mkdir()
    (jobs.folder / "second" / "request.json").write_text(request)
    assert jobs.wait(["second"], 10)[0].exit_code == 0


def test_job_killed_before_start_never_runs(jobs: Jobs, shell: Shell) -> None:
    (jobs.folder / "dead").mkdir()
    (jobs.folder / "dead" / "kill").touch()
    jobs.start("dead", shell("touch ran"), Limits())
    [status] = jobs.wait(["dead"], 10)
    assert status.ended == "killed"
    assert not (shell("").cwd / "ran").exists()


def test_wait_can_be_interrupted(jobs: Jobs, shell: Shell) -> None:
    jobs.start("long", shell("sleep 30"), Limits())
    # Background processes of a shell ignore this signal; the tests may be started as one.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            jobs.wait(["long"], 20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 5
    assert jobs.status("long").state == "running"


def test_job_end_wakes_wait(jobs: Jobs, shell: Shell) -> None:
    jobs.start("warm", shell("true"), Limits())
    jobs.wait(["warm"], 10)
    delays = []
    for number in range(5):
        jobs.start(f"n{number}", shell("sleep 0.1"), Limits())
        began = time.monotonic()
        [status] = jobs.wait([f"n{number}"], 10)
        delays.append(time.monotonic() - began - status.seconds)
    assert min(delays) < 0.2  # a wait that only polls needs up to half a second


def test_shared_files_are_readable_by_group_only(tmp_path: Path, shell: Shell) -> None:
    """A container's root cannot override modes, so it reads as the group; with one user the group has no access."""
    for is_shared, modes in ((True, {0o640}), (False, {0o600})):
        folder = tmp_path / f"shared-{is_shared}"
        jobs = Jobs(folder, container=Container("name", lambda: None, lambda: "", is_shared))
        jobs.start("asked", shell("true"), Limits())
        written = [folder / "asked" / "request.json", *(folder / ".bases").iterdir()]
        assert len(written) == 2
        assert {path.stat().st_mode & 0o777 for path in written} == modes


def test_many_concurrent_jobs_all_end(jobs: Jobs, shell: Shell) -> None:
    names = [f"m{number}" for number in range(20)]
    for name in names:
        jobs.start(name, shell(f"echo {name}"), Limits())
    for name in names:
        assert jobs.wait([name], 30)[0].exit_code == 0
        assert jobs.output(name).decode() == f"{name}\n"


def test_cpu_time_of_all_processes_of_a_job_is_measured(jobs: Jobs, shell: Shell) -> None:
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    jobs.start("idle", shell("sleep 0.3"), Limits())
    jobs.start("busy", shell(f"({burn}) & ({burn}); wait"), Limits())
    jobs.wait(["idle"], 10)
    jobs.wait(["busy"], 30)
    idle, busy = jobs.status("idle").cpu_seconds, jobs.status("busy").cpu_seconds
    assert idle is not None and busy is not None and idle < 0.2 < 2 * busy
    assert busy > 2 * idle
