"""The Ray engine: one task per run, on whatever node has room; a lost node's runs continue elsewhere.

The home must be shared by all nodes. A task is only the supervisor of the run's process: it keeps no state, so Ray may
start it again on any node, and the run continues where its journal ends.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from harness import errors
from harness.settings import Settings
from harness.sweep.drive import merge_if_over, only_driver, summarize
from harness.sweep.durations import open_rows
from harness.sweep.play_row import Outcome, last_words
from harness.sweep.remote_row import play_to_the_end
from harness.sweep.row_state import Reader
from harness.sweep.store import Store
from harness.sweep.types import Plan, Row

POLL_SECONDS = 5.0
LOOK_SECONDS, START_LOOKS, STEADY_SECONDS = 1.0, 180, 10.0
"""How often, and how many times, the start of a submitted job is looked at; how long it must run to be believed."""


def drive(store: Store, plan: Plan, process: Settings, address: str, jobs: int | None) -> int:
    """Play a sweep on a Ray cluster; returns the exit code. With the `http://` address of a dashboard, submit a job
    that does it, and return at once."""
    ray = _ray()
    if address.startswith(("http://", "https://")):
        return _submit(store, plan, process, address, jobs)
    with only_driver(store):
        logging: Mapping[str, Any] = {"log_to_driver": False, "configure_logging": False}
        here = {"include_dashboard": False, "address": "local"}
        ray.init(**logging, **({"address": address} if address else here))
        try:
            unfit = _Tasks(ray, store, plan, process).play(jobs)
        finally:
            ray.shutdown()
        if said := merge_if_over(store, plan):
            print(said)
        return summarize(store, plan, Reader(store, plan), unfit)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        errors.fail("the engine ray needs Ray: pip install 'open-harness[ray]', on every node")
    return ray


def _submit(store: Store, plan: Plan, process: Settings, address: str, jobs: int | None) -> int:
    """Let the cluster drive the sweep, so that this machine may be switched off."""
    from ray.job_submission import JobSubmissionClient

    count = ["--jobs", str(jobs)] if jobs else []
    words = ["-P", "-m", "harness", "sweep", "resume", store.name, "--engine", "ray", "--address", "auto", *count]
    environment = {**plan.variables, "HARNESS_HOME": str(process.home)}
    try:
        client = JobSubmissionClient(address)
        job = client.submit_job(entrypoint=_with_python(words), runtime_env={"env_vars": environment})
        _wait_until_steady(client, job)
    except (ConnectionError, RuntimeError) as error:
        errors.fail(f"{address} takes no job ({error}); the sweep exists: harness sweep resume {store.name}")
    print(f"submitted as job {job} to {address}; this machine may be switched off")
    print(f"follow it: harness sweep status {store.name}, or ray job logs {job} --address {address}")
    return errors.DONE


def _with_python(words: Sequence[str]) -> str:
    """A command of the cluster's head: with the Python of this process if it is there too, since a job is given the
    PATH of the shell that started Ray; else with the one of that PATH."""
    mine = shlex.quote(sys.executable)
    return f'if [ -x {mine} ]; then python={mine}; else python=python; fi; exec "$python" {shlex.join(words)}'


def _wait_until_steady(client: Any, job: str) -> None:
    """Wait until a job has run for a while. Raises `RuntimeError` with its last words if it ends instead."""
    steady = 0.0
    for _ in range(START_LOOKS):
        status = client.get_job_status(job).value
        if status in ("FAILED", "STOPPED"):
            raise RuntimeError(f"job {job} ended at once: {last_words(client.get_job_logs(job))}")
        steady = steady + LOOK_SECONDS if status == "RUNNING" else 0.0
        if status == "SUCCEEDED" or steady >= STEADY_SECONDS:
            return
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"job {job} has not started after {START_LOOKS * LOOK_SECONDS:.0f} seconds")


def resources_of(row: Row, plan: Plan) -> dict[str, float]:
    """What Ray reserves for a run: a core where the sweep names none."""
    return {"CPU": float(plan.cores or 1), "GPU": float(row.gpus), "memory": float(plan.memory)}


def why_never(needed: Mapping[str, float], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Why no node of a cluster could ever play a run; Ray itself would wait silently without end."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    for name, amount in needed.items():
        most = max((float(node.get(name, 0.0)) for node in alive), default=0.0)
        if amount > most:
            return f"it needs {amount:g} {name}, and the largest node of the cluster has {most:g}"
    if not any(all(float(node.get(name, 0.0)) >= amount for name, amount in needed.items()) for node in alive):
        return (
            f"no single node has all of {', '.join(f'{amount:g} {name}' for name, amount in needed.items() if amount)}"
        )
    return ""


class _Tasks:
    """The tasks of a sweep on a cluster, each with the row it plays."""

    def __init__(self, ray: Any, store: Store, plan: Plan, process: Settings) -> None:
        self._ray, self._store, self._plan, self._process = ray, store, plan, process
        self._reader = Reader(store, plan)
        self._tasks: dict[Any, Row] = {}
        self._unfit: dict[str, set[str]] = {}
        """Nodes that could not run a row, by its key."""

    def play(self, jobs: int | None) -> dict[str, str]:
        """Play all rows that are not over, `jobs` at a time; returns those that no node can run, and why."""
        rows = open_rows(self._store, self._plan)
        for row in rows:
            if why := why_never(resources_of(row, self._plan), self._ray.nodes()):
                errors.fail(f"{row.key} can never start: {why}. Ask for less, or add a node")
        unfit: dict[str, str] = {}
        while rows or self._tasks:
            while rows and not self._store.is_stopped and (jobs is None or len(self._tasks) < jobs):
                self._start(rows.pop(0))
            if self._store.is_stopped:
                rows = []
            for row, node, outcome in self._ended():
                if outcome.kind == "failed" and self._reader.row(row).state == "waiting":
                    rows.append(row)  # Ray could not play it; it failed fewer times than a run may
                if outcome.kind != "unfit":
                    continue
                self._unfit.setdefault(row.key, set()).add(node)
                if self._alive_nodes() - self._unfit[row.key]:
                    rows.insert(0, row)
                else:
                    unfit[row.key] = outcome.reason
        return unfit

    def _alive_nodes(self) -> set[str]:
        return {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}

    def _nodes_to_avoid(self, row: Row) -> set[str]:
        """Nodes that could not run the row; and those that could not run another one, as long as there are others."""
        of_any = {node for nodes in self._unfit.values() for node in nodes}
        return of_any if self._alive_nodes() - of_any else self._unfit.get(row.key, set())

    def _start(self, row: Row) -> None:
        needed = resources_of(row, self._plan)
        options: dict[str, Any] = {
            "num_cpus": needed["CPU"],
            "num_gpus": needed["GPU"],
            "memory": needed["memory"] or None,
            "max_retries": -1,  # a lost node is not a failure of the run
            "name": row.key,
            "runtime_env": {"env_vars": {"HARNESS_HOME": str(self._process.home), **self._plan.variables}},
        }
        if avoided := self._nodes_to_avoid(row):
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(avoided))})"}
        task = self._ray.remote(play_on_node).options(**options)
        self._tasks[task.remote(str(self._store.home), self._store.name, row.key)] = row

    def _ended(self) -> list[tuple[Row, str, Outcome]]:
        """The tasks that have ended by now, with the node they ran on."""
        if not self._tasks:
            return []
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=POLL_SECONDS)
        found = []
        for task in ready:
            row = self._tasks.pop(task)
            try:
                node, outcome = self._ray.get(task)
            except self._ray.exceptions.RayError as error:  # the code of the worker failed, not the run
                node, outcome = "", Outcome("failed", f"Ray: {error}")
                with contextlib.suppress(OSError):
                    self._store.append(row.key, "ended", kind="failed", reason=str(outcome.reason)[:400])
            found.append((row, node, outcome))
        return found


def play_on_node(home: str, name: str, key: str) -> tuple[str, Outcome]:
    """The task: play one run on this node; the node's id and the outcome."""
    import ray

    return ray.get_runtime_context().get_node_id(), play_to_the_end(home, name, key)
