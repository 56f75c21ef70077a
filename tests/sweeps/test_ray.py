"""A sweep on a real Ray cluster of two nodes on this machine; a node is killed in the middle.

Needs Ray (`pip install 'open-harness[ray]'`): CI has it in an environment of its own, where this may not be skipped.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.sweep.row_state import Reader
from harness.sweep.store import Store
from sandboxes.jobs.processes import process_status
from tests.playing import harness_here, start_harness, wait_until
from tests.sweeps.whole import SET, check_whole

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and a second node, each with one core."""
    for name, value in (("USAGE_STATS_ENABLED", "0"), ("raylet_start_wait_time_s", "120")):
        monkeypatch.setenv(f"RAY_{name}", value)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=SMALL)
    try:
        made.second = made.add_node(**{name: value for name, value in SMALL.items() if name != "include_dashboard"})
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


def raylet_of(node: Any) -> int:
    (process,) = node.all_processes["raylet"]
    return int(process.process.pid)


def test_a_killed_node_loses_no_event_and_no_run_is_played_twice(digits_home: Path, cluster: Any) -> None:
    command = ["sweep", "digits", "breast-cancer", "diabetes", "--seeds", "2", "--name", "r", *SET]
    process = start_harness(digits_home, *command, "--engine", "ray", "--address", cluster.address)
    store, raylet = Store(digits_home, "r"), raylet_of(cluster.second)

    def played_by_second() -> list[str]:
        found = []
        for one in Reader(store, store.plan()).rows() if (store.folder / "plan.json").exists() else ():
            log = store.log(one.row.key)
            status = process_status(log[-1]["pid"]) if log and log[-1]["what"] == "started" else None
            journal = digits_home / "runs" / one.row.run_id / "events.jsonl"
            if status and status[1] == raylet and journal.is_file() and b"model_replied" in journal.read_bytes():
                found.append(one.row.key)
        return found

    try:
        wait_until(lambda: bool(played_by_second()) or process.poll() is not None, 200)
        lost = played_by_second()
        os.kill(raylet, signal.SIGKILL)
        os.waitpid(raylet, 0)  # Ray believes that a zombie lives
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    assert lost, printed
    rows = {one.row.key: one for one in Reader(store, store.plan()).rows()}
    assert {one.state for one in rows.values()} == {"done"}
    assert all(rows[key].history.tries >= 2 for key in lost), "its run went on elsewhere"
    check_whole(digits_home, "r")
    assert json.loads(harness_here(digits_home, "sweep", "status", "r", "--json")[1])["graded"] == 6


def test_what_no_node_could_ever_hold_is_refused_before_anything_waits(digits_home: Path, cluster: Any) -> None:
    file = digits_home / "big.yaml"
    file.write_text("tasks: [digits]\nrun: {sandbox: local}\nneeds: {cores: 64}\n")
    code, printed = harness_here(digits_home, "sweep", str(file), "--create-only")
    assert code == 0, printed
    process = start_harness(digits_home, "sweep", "resume", "big", "--engine", "ray", "--address", cluster.address)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "64 CPU" in printed, printed
