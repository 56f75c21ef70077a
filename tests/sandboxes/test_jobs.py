"""How a job is found again, whatever happened meanwhile."""

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
from sandboxes.jobs.client import Box, Command, Jobs

Shell = Callable[[str], Command]


def test_a_job_that_nobody_asked_for_is_unknown(jobs: Jobs) -> None:
    assert jobs.status("never").state == "unknown"
    assert jobs.kill("never").state == "unknown"
    assert jobs.output("never") == b""


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\nb"])
def test_a_job_id_cannot_be_a_path(jobs: Jobs, name: str) -> None:
    assert jobs.status(name).state == "unknown"
    with pytest.raises(ValueError, match="not a job id"):
        jobs.output(name)


def started(jobs: Jobs, job: str) -> dict[str, int]:
    while not (jobs.folder / job / "started").exists():
        time.sleep(0.005)
    record: dict[str, int] = json.loads((jobs.folder / job / "started").read_text())
    return record


def test_a_job_whose_keeper_was_killed_is_lost_and_says_why(jobs: Jobs, shell: Shell) -> None:
    jobs.start("gone", shell("echo partial; sleep 30"), Limits())
    while not jobs.output("gone"):
        time.sleep(0.01)
    os.kill(started(jobs, "gone")["pid"], signal.SIGKILL)
    [view] = jobs.wait(["gone"], 10)
    assert (view.state, view.ended, view.exit_code, view.kept_bytes) == ("lost", "lost", None, 8)
    assert "killed from outside" in view.why


def test_a_job_of_another_boot_is_lost(jobs: Jobs, shell: Shell) -> None:
    jobs.start("old", shell("true"), Limits())
    jobs.wait(["old"], 10)
    record = started(jobs, "old")
    (jobs.folder / "old" / "exit.json").unlink()
    (jobs.folder / "old" / "started").write_text(json.dumps({**record, "pid": os.getpid(), "boot": "another"}))
    assert "restarted" in jobs.status("old").why


def test_another_process_with_the_same_number_is_not_taken_for_the_job(jobs: Jobs, shell: Shell) -> None:
    jobs.start("reused", shell("true"), Limits())
    jobs.wait(["reused"], 10)
    record = started(jobs, "reused")
    (jobs.folder / "reused" / "exit.json").unlink()
    (jobs.folder / "reused" / "started").write_text(json.dumps({**record, "pid": os.getpid()}))
    assert jobs.kill("reused").state == "lost"  # and this process is alive to say so


def test_a_request_whose_author_died_before_waking_anybody_is_started_by_a_look(jobs: Jobs, shell: Shell) -> None:
    jobs.start("first", shell("true"), Limits())
    jobs.wait(["first"], 10)
    request = (jobs.folder / "first" / "request.json").read_text()
    (jobs.folder / "second").mkdir()
    (jobs.folder / "second" / "request.json").write_text(request)
    assert jobs.wait(["second"], 10)[0].exit_code == 0


def test_a_job_killed_before_it_began_never_runs(jobs: Jobs, shell: Shell) -> None:
    (jobs.folder / "dead").mkdir()
    (jobs.folder / "dead" / "kill").touch()
    jobs.start("dead", shell("touch ran"), Limits())
    [view] = jobs.wait(["dead"], 10)
    assert view.ended == "killed"
    assert not (shell("").cwd / "ran").exists()


def test_a_wait_can_be_interrupted(jobs: Jobs, shell: Shell) -> None:
    jobs.start("long", shell("sleep 30"), Limits())
    # A shell starts what it puts in the background with this signal ignored, and so may these tests be started.
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


def test_an_end_wakes_a_wait_at_once(jobs: Jobs, shell: Shell) -> None:
    jobs.start("warm", shell("true"), Limits())
    jobs.wait(["warm"], 10)
    late = []
    for number in range(5):
        jobs.start(f"n{number}", shell("sleep 0.1"), Limits())
        began = time.monotonic()
        [view] = jobs.wait([f"n{number}"], 10)
        late.append(time.monotonic() - began - view.seconds)
    assert min(late) < 0.2  # a wait that only looks every half second would need more


def test_what_a_containers_root_must_read_its_group_may_read_and_nobody_else(tmp_path: Path, shell: Shell) -> None:
    """It has no right to pass over modes; where it and the harness are one user, the group is left out."""
    for shared, modes in ((True, {0o640}), (False, {0o600})):
        folder = tmp_path / f"shared-{shared}"
        jobs = Jobs(folder, box=Box("box", launch=lambda: None, explain=lambda: "", shared=shared))
        jobs.start("asked", shell("true"), Limits())
        written = [folder / "asked" / "request.json", *(folder / ".bases").iterdir()]
        assert len(written) == 2
        assert {path.stat().st_mode & 0o777 for path in written} == modes


def test_many_jobs_at_once_all_end(jobs: Jobs, shell: Shell) -> None:
    names = [f"m{number}" for number in range(20)]
    for name in names:
        jobs.start(name, shell(f"echo {name}"), Limits())
    for name in names:
        assert jobs.wait([name], 30)[0].exit_code == 0
        assert jobs.output(name).decode() == f"{name}\n"
