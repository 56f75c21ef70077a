"""A sweep on a real Slurm of one node; a job is preempted in the middle and queued again.

Needs Slurm (Debian: slurm-wlm, munge), root to start it, and submitit: CI has all of it, and skips nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.sweep.row_state import Reader
from harness.sweep.store import Store
from runs.events.registry import Paused
from tests.playing import events_of, harness, harness_here, wait_until
from tests.sweeps.whole import SET, check_whole

pytest.importorskip("submitit", reason="submitit is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("slurmctld") is None, reason="no Slurm, or not root"),
]
SCRIPT = Path(__file__).parent.parent.parent / ".ci" / "slurm"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of this machine with partitions `low` and `high`; a job of `high` preempts one of `low`."""
    folder = tmp_path / "slurm"
    started = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True, timeout=120, check=True)
    monkeypatch.setenv("SLURM_CONF", started.stdout.split()[-1])
    try:
        yield
    finally:
        subprocess.run([SCRIPT, "stop", folder], timeout=60, check=True)


def test_a_preempted_run_is_queued_again_and_continues(digits_home: Path, slurm: None) -> None:
    file = digits_home / "s.yaml"
    settings = ", ".join(setting.replace("=", ": ") for setting in SET[1::2])
    cores = len(os.sched_getaffinity(0))
    engine = f"engine: slurm\nneeds: {{cores: {cores}}}\nslurm: {{partition: low}}\n"
    file.write_text(f"tasks: [digits]\nseeds: 2\nrun: {{{settings}}}\n{engine}")
    code, printed = harness(digits_home, "sweep", str(file))
    assert code == 0 and "submitted 2 jobs" in printed, printed
    assert "submitted 0 jobs" in harness(digits_home, "sweep", "resume", "s")[1], "jobs that are there are not doubled"
    store = Store(digits_home, "s")
    first = store.plan().rows[0]
    journal = digits_home / "runs" / first.run_id / "events.jsonl"
    wait_until(lambda: journal.is_file() and b"tool_finished" in journal.read_bytes(), 300)
    command = ["srun", "--partition=high", f"--cpus-per-task={cores}", "--job-name=urgent", "sleep", "3"]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    wait_until(lambda: all(one.state == "done" for one in Reader(store, store.plan()).rows()), 240)
    history = Reader(store, store.plan()).rows()[0].history
    assert history.tries >= 2 and history.failures == 0, store.log(first.key)
    events = events_of(digits_home / "runs" / first.run_id)
    assert any(isinstance(event, Paused) for event in events), "it paused cleanly"
    check_whole(digits_home, "s")
    wait_until(lambda: not _queued(), 60)
    status = json.loads(harness_here(digits_home, "sweep", "status", "s", "--json")[1])
    assert (status["done"], status["graded"]) == (2, 2)


def _queued() -> str:
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True, timeout=60).stdout.strip()


def test_a_stop_takes_waiting_jobs_out_of_the_queue(digits_home: Path, slurm: None) -> None:
    command = ["sweep", "digits", "--seeds", "2", "--name", "w", *SET, "--engine", "slurm"]
    hold = subprocess.Popen(["srun", "--partition=high", "--exclusive", "sleep", "60"])
    try:
        time.sleep(1.0)
        assert harness(digits_home, *command)[0] == 0
        assert len(_queued().splitlines()) == 3
        assert harness(digits_home, "sweep", "stop", "w")[0] == 0
        wait_until(lambda: len(_queued().splitlines()) == 1, 30)
    finally:
        hold.terminate()
        hold.wait()


def test_a_run_that_no_node_can_play_is_refused_with_the_reason(
    digits_home: Path, tmp_path: Path, slurm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed = harness(digits_home, "sweep", "digits", "--name", "v", *SET, "--create-only")
    assert code == 0, printed
    other = tmp_path / "other" / "open_harness-9.9.dist-info" / "METADATA"
    other.parent.mkdir(parents=True)
    other.write_text("Metadata-Version: 2.1\nName: open-harness\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))  # jobs get it, too
    assert harness(digits_home, "sweep", "resume", "v", "--engine", "slurm")[0] == 0
    store = Store(digits_home, "v")
    (row,) = store.plan().rows
    wait_until(lambda: Reader(store, store.plan()).row(row).state == "failed", 120)
    assert "9.9" in Reader(store, store.plan()).row(row).history.reason
    assert list(store.unfit_workers().values()), "the node has marked itself"
