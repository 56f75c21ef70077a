"""Whole sweeps with real processes: failures, a dead endpoint, a full home, a stop, a killed driver."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from context.ledger.ledger import Ledger
from context.ledger.maintain import digest
from harness.settings import Settings
from harness.sweep import host
from harness.sweep.plan import make_plan
from harness.sweep.play_row import Waits, Worker
from harness.sweep.pool import Pool, why_never
from harness.sweep.reproduce import yaml_of
from harness.sweep.row_state import Reader
from harness.sweep.schema import SweepRequest, read_request
from harness.sweep.store import Store
from runs.events.registry import LessonsChosen, LessonsLearned
from sandboxes.leases.amounts import Machine, Priority, Request, this_machine
from sandboxes.leases.leases import Leases
from tests.playing import call, events_of, harness, harness_here, reply, start_harness, wait_until
from tests.servers.chat_server import ChatServer, Message
from tests.sweeps.whole import QUICK, check_whole

PATIENT = ("model_first_wait_seconds=0.1", "model_longest_wait_seconds=0.5", "model_stall_seconds=5")
RECORDED = Path(__file__).parents[1] / "sandboxes" / "recorded"
FAST = Waits(failed=0.1, full=0.3, endpoint=0.3, busy=0.3)
COPY = "cp data/sample_submission.csv submission.csv"


def engineer(seconds: float = 0.0, look: str = "echo looked") -> Any:
    """A model that runs `look`, evaluates the sample and finishes; each reply takes `seconds`."""

    def script(request: dict[str, Any]) -> Message:
        time.sleep(seconds)
        if not re.search(r"^attempt: \d+$", str(request["messages"][-1:] and request["messages"]), re.MULTILINE) and (
            "attempt: " not in str(request["messages"])
        ):
            return {"content": "ok"}
        step = sum(message["role"] == "assistant" for message in request["messages"])
        steps = [[call("bash", command=look)], [call("evaluate", command=COPY)], [call("finish", did="all")]]
        return reply(f"step {step}", *steps[min(step, 2)], tag=str(step))

    return script


def made(
    home: Path,
    *tasks: str,
    seeds: int = 1,
    settings: tuple[str, ...] = (),
    plan: Mapping[str, Any] | None = None,
) -> Worker:
    """A worker of a new sweep, `plan` being what differs in its plan."""
    process = Settings(home, api_key="sk-test", variables=dict(os.environ), keys={"HARNESS_API_KEY": "sk-test"})
    request = SweepRequest(tasks, name="s", seeds=seeds, assignments=(*QUICK, *PATIENT, *settings))
    source = read_request(request)
    table = replace(make_plan(source, process), **(plan or {}))
    store = Store(home, "s")
    store.create(lambda draft: (table, yaml_of(source, table)))
    return Worker(store, table, process, waits=FAST)


def states(worker: Worker) -> dict[str, str]:
    return {one.row.key: one.state for one in Reader(worker.store, worker.plan).rows()}


def served(server: ChatServer) -> tuple[str, ...]:
    return (f"base_url={server.url}", "model=m")


def test_a_broken_task_fails_for_its_reason_and_the_others_are_played(digits_home: Path, tmp_path: Path) -> None:
    code, printed = harness_here(digits_home, "tasks", "digits")
    assert code == 0, printed
    broken = tmp_path / "broken"
    shutil.copytree(digits_home / "data" / "digits", broken)
    text = re.sub(r"(?m)^id: .*$", "id: broken", (broken / "task.yaml").read_text())
    (broken / "task.yaml").write_text(text)
    with ChatServer(engineer()) as server:
        worker = made(digits_home, "digits", str(broken / "task.yaml"), settings=served(server))
        (broken / "task.yaml").write_text(text + "metrics: nothing\n")
        Pool(worker, jobs=2).play()
    assert states(worker) == {"digits.s0": "done", "broken.s0": "failed"}
    found = {one.row.key: one for one in Reader(worker.store, worker.plan).rows()}["broken.s0"]
    assert found.history.tries == 3 and "task.yaml:" in found.history.reason
    code, printed = harness_here(digits_home, "sweep", "status", "s", "--json")
    assert code == 0
    status = json.loads(printed)
    assert (status["done"], status["failed"], status["graded"]) == (1, 1, 1)
    code, printed = harness_here(digits_home, "sweep", "report", "s", "--pad-missing")
    assert code == 0 and "broken.s0" in printed
    report = json.loads((digits_home / "sweeps" / "s" / "report" / "report.json").read_text())
    assert report["settings"][0]["official"]["metrics"]["submission_exists_percentage"]["mean"] == 50.0
    assert (digits_home / "sweeps" / "s" / "report" / "medals_over_time.svg").is_file()


@pytest.mark.slow
def test_while_the_endpoint_is_dead_all_runs_wait_and_none_fails(digits_home: Path) -> None:
    with ChatServer(engineer(look="sleep 6")) as server:
        settings = (*served(server), "model_patience_seconds=2")  # six hours by default
        worker = made(digits_home, "digits", seeds=3, settings=settings)
        pool = Pool(worker, jobs=2)
        thread = threading.Thread(target=pool.play)
        thread.start()
        journals = [worker.process.runs / row.run_id / "events.jsonl" for row in worker.plan.rows]
        wait_until(lambda: any(path.is_file() and b'"model_replied"' in path.read_bytes() for path in journals))
    try:  # it dies in the middle of a run, and before the third one
        rows = Reader(worker.store, worker.plan)
        wait_until(lambda: all("no reply" in one.history.reason for one in rows.rows()))
        tries = sum(one.history.tries for one in rows.rows())
        time.sleep(2.0)
        assert sum(one.history.tries for one in rows.rows()) == tries, "a dead endpoint is asked, and no run is started"
        assert all(one.history.failures == 0 and one.state == "waiting" for one in rows.rows())
        with ChatServer(engineer(), port=_port(server.url)):
            thread.join(120)
    finally:
        worker.stop.ask()
        thread.join(60)
    assert set(states(worker).values()) == {"done"}
    check_whole(digits_home, "s")


def _port(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


@pytest.mark.slow
def test_requests_in_flight_of_all_runs_stay_below_the_cap(digits_home: Path) -> None:
    busy, most, lock = Counter[str](), [0], threading.Lock()
    answer = engineer()

    def script(request: dict[str, Any]) -> Message:
        with lock:
            busy["now"] += 1
            most[0] = max(most[0], busy["now"])
        time.sleep(0.3)
        with lock:
            busy["now"] -= 1
        return dict(answer(request))

    with ChatServer(script) as server:
        worker = made(digits_home, "digits", seeds=3, settings=(*served(server), "requests_at_once=2"))
        harness_here(digits_home, "doctor", "--base-url", server.url, "--model", "m")
        most[0] = 0
        Pool(worker, jobs=3).play()
    assert set(states(worker).values()) == {"done"}
    assert most[0] <= 2


@pytest.mark.slow
def test_a_full_home_lets_runs_wait(digits_home: Path) -> None:
    with ChatServer(engineer()) as server:
        worker = made(digits_home, "digits", settings=served(server))
        room = iter([0, 0])
        with patch.object(host, "free_bytes", lambda home: next(room, 10**12)):
            Pool(worker, jobs=1).play()
    assert states(worker) == {"digits.s0": "done"}
    assert "nearly full" in json.dumps(worker.store.log("digits.s0"))


def test_a_run_that_was_graded_too_early_is_refused_at_once(digits_home: Path) -> None:
    worker = made(digits_home, "digits")
    (digits_home / "grades").mkdir()
    (digits_home / "grades" / f"{worker.plan.rows[0].run_id}.json").write_text("{}")
    Pool(worker, jobs=1).play()
    (one,) = Reader(worker.store, worker.plan).rows()
    assert (one.state, one.history.tries) == ("failed", 0)
    assert "graded" in one.history.reason


def test_a_worker_that_cannot_run_marks_itself_and_the_run_waits_for_another(digits_home: Path) -> None:
    worker = made(digits_home, "digits", settings=("sandbox=docker", "image=there-is-no-such-image", "gpus=64"))
    pool = Pool(worker, jobs=1)
    pool.play()
    assert states(worker) == {"digits.s0": "waiting"}
    assert list(pool.unfit) == ["digits.s0"] and worker.store.unfit_workers()
    code, printed = harness_here(digits_home, "sweep", "resume", "s")
    assert code == 5, printed


def test_what_this_host_could_never_hold_is_said_before_anything_waits() -> None:
    host_of_two = Machine(cores=2, memory=8_000_000_000, gpus=("a", "b"))
    assert why_never(Request(2, 8_000_000_000, 2), host_of_two) == ""
    assert "16 cores" in why_never(Request(cores=16), host_of_two)
    assert "8.1 GB" in why_never(Request(memory=8_100_000_000), host_of_two)
    assert "3 GPUs" in why_never(Request(gpus=3), host_of_two)


def test_a_run_that_needs_more_than_this_host_has_is_left_to_others_at_once(digits_home: Path) -> None:
    worker = made(digits_home, "digits", seeds=2, plan={"cores": 10_000})
    pool = Pool(worker, jobs=1)
    pool.play()
    assert set(states(worker).values()) == {"waiting"} and len(pool.unfit) == 2
    assert all(not worker.store.log(row.key) for row in worker.plan.rows), "nothing was started"
    assert "10000 cores" in json.dumps(worker.store.unfit_workers())


@pytest.mark.slow
@pytest.mark.parametrize("needs", ["cores", "memory"])
def test_two_runs_that_do_not_fit_together_do_not_overlap(needs: str, digits_home: Path) -> None:
    most = this_machine()
    plan = {"cores": {"cores": most.cores}, "memory": {"memory": most.memory * 2 // 3}}[needs]
    with ChatServer(engineer(0.1)) as server:
        worker = made(digits_home, "digits", seeds=2, settings=served(server), plan=plan)
        Pool(worker, jobs=2).play()
    assert set(states(worker).values()) == {"done"}
    spans = sorted(tuple(line["at"] for line in worker.store.log(row.key)) for row in worker.plan.rows)
    (_, first_end), (second_start, _) = spans
    assert first_end <= second_start


@pytest.fixture
def one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An `nvidia-smi` that lists one GPU; its id."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    (line,) = (RECORDED / "query_gpu.csv").read_text().splitlines()[:1]
    program.write_text(f'#!/bin/sh\ncase "$*" in topo*) exit 1;; *) echo "{line}";; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return line.split(", ")[1]


def test_a_run_waits_for_the_gpu_that_a_run_of_another_sweep_has(digits_home: Path, one_gpu: str) -> None:
    worker = made(digits_home, "digits", settings=("gpus=1",))
    others = Leases(digits_home / "sweeps" / ".runs", this_machine([one_gpu]))
    pool = Pool(worker, jobs=1)
    thread = threading.Thread(target=pool.play)
    with others.acquire(Request(gpus=1), Priority.FIRST_FOLD):
        thread.start()
        time.sleep(1.0)
        assert worker.store.log("digits.s0") == [] and not pool.unfit
    try:
        wait_until(lambda: bool(worker.store.log("digits.s0")))
    finally:
        worker.stop.ask()
        thread.join(60)


@pytest.mark.slow
def test_what_one_host_cannot_run_is_played_by_another(
    digits_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = made(digits_home, "digits")
    other = tmp_path / "other" / "open_harness-9.9.dist-info" / "METADATA"
    other.parent.mkdir(parents=True)
    other.write_text("Metadata-Version: 2.1\nName: open-harness\nVersion: 9.9\n")
    with monkeypatch.context() as on_another_host:
        on_another_host.setenv("PYTHONPATH", str(tmp_path / "other"))
        code, printed = harness(digits_home, "sweep", "work", "s")
    assert code == 5 and "version 9.9" in printed, printed
    assert states(worker) == {"digits.s0": "waiting"} and worker.store.log("digits.s0") == []
    code, printed = harness(digits_home, "sweep", "work", "s")
    assert code == 0, printed
    assert states(worker) == {"digits.s0": "done"}
    check_whole(digits_home, "s")


def test_another_version_of_the_harness_does_not_play_a_sweep(digits_home: Path) -> None:
    worker = made(digits_home, "digits")
    other = replace(worker, plan=replace(worker.plan, version="9.9"))
    outcome = other.play(other.plan.rows[0])
    assert outcome.kind == "unfit" and "9.9" in outcome.reason


@pytest.mark.slow
def test_a_sweep_is_stopped_killed_and_resumed_without_losing_anything(digits_home: Path) -> None:
    with ChatServer(engineer(0.5)) as server:
        worker = made(digits_home, "digits", seeds=2, settings=served(server))
        command = ("sweep", "resume", "s", "--jobs", "2")
        process = start_harness(digits_home, *command)
        journals = [worker.process.runs / row.run_id / "events.jsonl" for row in worker.plan.rows]
        wait_until(lambda: all(path.is_file() and b'"model_replied"' in path.read_bytes() for path in journals))
        process.kill()  # the driver alone: its runs must pause by themselves
        process.communicate()
        wait_until(lambda: not any(worker.store.is_claimed(row.key) for row in worker.plan.rows))
        wait_until(lambda: all(re.search(b'"(paused|run_ended)"', path.read_bytes()) for path in journals))
        process = start_harness(digits_home, *command)
        wait_until(lambda: any(worker.store.is_claimed(row.key) for row in worker.plan.rows))
        code, refused = harness_here(digits_home, "sweep", "resume", "s")
        assert code == 2 and "sweep status s" in refused, "there is one driver"
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
    assert set(states(worker).values()) == {"done"}
    check_whole(digits_home, "s")
    assert all(one.history.failures == 0 for one in Reader(worker.store, worker.plan).rows())


@pytest.mark.slow
def test_all_runs_read_one_copy_of_the_lessons_and_add_theirs_at_the_end(digits_home: Path) -> None:
    with ChatServer(engineer()) as server:
        settings = [f"--set={one}" for one in (*QUICK[:-1], *PATIENT, *served(server))]
        code, printed = harness_here(digits_home, "run", "digits", "--plain", *settings, "--seed", "7")
        assert code == 0, printed
        ledger = digits_home / "ledger.sqlite"
        before = ledger.read_bytes()
        code, printed = harness_here(
            digits_home, "sweep", "digits", "--seeds", "2", "--name", "s", *settings, "--plain"
        )
    assert code == 0 and "2 runs added" in printed, printed
    store = Store(digits_home, "s")
    plan = store.plan()
    (facts,) = plan.ledger.values()
    assert facts["runs"] == 1, "what was known at the start"
    with Ledger(store.folder / facts["snapshot"], read_only=True) as snapshot:
        assert digest(snapshot) == facts["digest"], "the copy has not changed"
    for row in plan.rows:
        events = events_of(digits_home / "runs" / row.run_id)
        chosen = next(event for event in events if isinstance(event, LessonsChosen))
        assert "ledger" in chosen.sources
        assert not any(isinstance(event, LessonsLearned) for event in events)
    with Ledger(ledger, read_only=True) as merged:
        assert merged.rows("select count(*) as runs from run")[0]["runs"] == 3
    assert ledger.read_bytes() != before
    code, printed = harness_here(digits_home, "sweep", "merge", "s")
    assert code == 0 and "0 runs added" in printed
    code, printed = harness_here(digits_home, "sweep", "report", "s", "--no-curve")
    assert facts["digest"][:16] in printed
