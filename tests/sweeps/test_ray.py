"""A sweep on a real Ray cluster of two nodes on this machine; a node is killed in the middle.

Needs Ray (`pip install 'open-harness[ray]'`): CI has it in an environment of its own, where this may not be skipped.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.sweep.row_state import Reader
from harness.sweep.store import Store
from sandboxes.jobs.processes import process_status
from tests.playing import harness_here, start_harness, wait_until
from tests.sweeps.whole import SET, check_whole

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000}


Start = Callable[..., Any]
"""Starts a head and a second node, each with one core; what it gets is that of the second one or, as `head`, of the
head."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    for name, value in (("USAGE_STATS_ENABLED", "0"), ("raylet_start_wait_time_s", "120")):
        monkeypatch.setenv(f"RAY_{name}", value)
    from ray.cluster_utils import Cluster

    with ExitStack() as stack:

        def start(head: Mapping[str, Any] = {}, **second: Any) -> Any:
            made = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False, **head})
            stack.callback(made.shutdown)
            made.second = made.add_node(**SMALL, **second)
            made.wait_for_nodes()
            return made

        yield start


@pytest.fixture
def cluster(start: Start) -> Any:
    return start()


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


def test_a_node_with_another_version_marks_itself_and_its_run_moves_on(
    digits_home: Path, tmp_path: Path, start: Start
) -> None:
    other = tmp_path / "other" / "open_harness-9.9.dist-info" / "METADATA"
    other.parent.mkdir(parents=True)
    other.write_text("Metadata-Version: 2.1\nName: open-harness\nVersion: 9.9\n")
    cluster = start(env_vars={"PYTHONPATH": str(tmp_path / "other")})
    command = ["sweep", "digits", "--seeds", "2", "--name", "v", *SET, "--engine", "ray", "--address", cluster.address]
    process = start_harness(digits_home, *command)
    printed, _ = process.communicate(timeout=300)
    store = Store(digits_home, "v")
    assert process.returncode == 0, printed
    assert {one.state for one in Reader(store, store.plan()).rows()} == {"done"}
    (why,) = store.unfit_workers().values()
    assert "9.9" in why
    check_whole(digits_home, "v")


def test_a_job_of_the_cluster_drives_a_sweep_after_its_command_has_ended(digits_home: Path, start: Start) -> None:
    cluster = start(head={"include_dashboard": True})
    command = ["sweep", "digits", "--name", "j", *SET, "--engine", "ray", "--address", f"http://{cluster.webui_url}"]
    process = start_harness(digits_home, *command)
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0 and "ray job logs" in printed, printed
    store = Store(digits_home, "j")
    (row,) = store.plan().rows
    wait_until(lambda: Reader(store, store.plan()).row(row).state in ("done", "failed"), 250)
    assert Reader(store, store.plan()).row(row).state == "done"
    check_whole(digits_home, "j")
