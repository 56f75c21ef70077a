"""The Slurm engine: one job per run, through submitit, with requeue.

The home must be shared by all nodes. A job that is preempted, or reaches its time limit, pauses its run and is queued
again; the run then continues on whatever node comes next.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import time
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from harness import errors
from harness.settings import Settings
from harness.sweep.durations import open_rows
from harness.sweep.play_row import Outcome, Stop
from harness.sweep.remote_row import play_to_the_end
from harness.sweep.store import Store, worker_name
from harness.sweep.types import Plan, Row

JOBS = "slurm"
"""The folder of a sweep with what submitit keeps, and the job of each run."""
TIMEOUT_MINUTES = 26 * 60
PAUSE_SECONDS = 30.0
REQUEUE_SECONDS = 120.0
"""How long a job that was told to end waits for Slurm to end it, before it plays on."""
SIGNAL_SECONDS = 90


def submit(store: Store, plan: Plan, process: Settings) -> int:
    """Submit a job for every run that is not over and has none, and return; returns the exit code."""
    _submitit()
    active = active_jobs(store, plan)
    rows = [row for row in open_rows(store, plan) if row.key not in active]
    for row in rows:
        submit_row(store, plan, row)
    print(f"submitted {len(rows)} jobs to Slurm{f', {len(active)} are there already' if active else ''}")
    print(f"follow them: harness sweep status {store.name}; when all are over: harness sweep merge {store.name}")
    return errors.DONE


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        errors.fail("the engine slurm needs submitit: pip install 'open-harness[slurm]'")
    return submitit


def submit_row(
    store: Store, plan: Plan, row: Row, avoided: Set[str] = frozenset(), unfit: Set[str] = frozenset()
) -> str:
    """Submit the job of a run; returns its id. `slurm:` of the sweep file sets or replaces parameters of sbatch.

    The job runs on no node of `avoided`, and knows that those of `unfit` could not run it.
    """
    submitit = _submitit()
    executor = submitit.SlurmExecutor(folder=store.folder / JOBS, max_num_timeout=10**6)
    extra = {name: value for name, value in plan.slurm.items() if name != "time"}
    parameters: dict[str, Any] = {
        "job_name": f"{store.name}.{row.key}",
        "time": plan.slurm.get("time", TIMEOUT_MINUTES),
        "cpus_per_task": plan.cores or 1,
        "signal_delay_s": SIGNAL_SECONDS,
        "additional_parameters": {"requeue": True, "open_mode": "append", **extra},
        "setup": [f"export HARNESS_HOME={shlex.quote(str(store.home))}", *_exports(plan)],
    }
    if row.gpus:
        parameters["gpus_per_node"] = row.gpus
    if plan.memory:
        parameters["mem"] = f"{max(1, plan.memory // 1_000_000)}M"
    if avoided:
        parameters["exclude"] = ",".join(sorted(avoided))
    executor.update_parameters(**parameters)
    job = executor.submit(RunJob(str(store.home), store.name, row.key, frozenset(unfit)))
    store.set_fact(f"{JOBS}/{row.key}", {"job": str(job.job_id)})
    return str(job.job_id)


def _exports(plan: Plan) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in plan.variables.items()]


def active_jobs(store: Store, plan: Plan) -> dict[str, str]:
    """Jobs of this sweep that Slurm has not ended, by the key of their row.

    Each row has a file of its own, since several nodes may pass runs on at the same moment.
    """
    facts = {row.key: store.fact(f"{JOBS}/{row.key}") for row in plan.rows}
    known = {key: str(fact["job"]) for key, fact in facts.items() if fact}
    if not known:
        return {}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["squeue", "-h", "-o", "%i", "-j", ",".join(known.values())]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split()
        return {key: job for key, job in known.items() if job in listed}
    return {}


def cancel_waiting(store: Store, plan: Plan) -> int:
    """Take jobs that have not begun out of Slurm's queue; those that run see the stop themselves."""
    jobs = list(active_jobs(store, plan).values())
    if jobs:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", "--state=PENDING", *jobs], capture_output=True, timeout=60)
    return len(jobs)


@dataclass
class RunJob:
    """What a job does; submitit keeps it as a pickle. It holds names alone, so any node can start it again.

    `unfit` are the nodes that could not run it.
    """

    home: str
    name: str
    key: str
    unfit: frozenset[str] = frozenset()
    _stop: Stop = field(default_factory=Stop, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"home": self.home, "name": self.name, "key": self.key, "unfit": self.unfit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self) -> str:
        """Play the run; a host that cannot passes it on to another job."""
        signal.signal(signal.SIGTERM, self._on_term)
        while True:
            outcome = play_to_the_end(self.home, self.name, self.key, self._stop, shares_signals=True)
            if not (outcome.kind == "stopped" and self._stop.is_told):
                break
            # Slurm is about to end this job and queue it again; if it does not, the signal was somebody else's.
            time.sleep(REQUEUE_SECONDS)
            self._stop.is_told = False
        if outcome.kind == "unfit":
            self._pass_on(outcome)
        return f"{outcome.kind}: {outcome.reason}"

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        """Slurm preempts this job; it has told the run's process as well."""
        self._stop.is_told = True

    def checkpoint(self) -> Any:
        """Called by submitit before the time limit: pause the run; what is returned is queued again."""
        submitit = _submitit()
        self._stop.ask()
        until = time.monotonic() + PAUSE_SECONDS
        while any(child.poll() is None for child in list(self._stop.children)) and time.monotonic() < until:
            time.sleep(0.2)
        return submitit.helpers.DelayedSubmission(RunJob(self.home, self.name, self.key, self.unfit))

    def _pass_on(self, outcome: Outcome) -> None:
        store = Store(Path(self.home), self.name)
        plan = store.plan()
        nodes = set(subprocess.run(["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True).stdout.split())
        unfit = self.unfit | {worker_name()}
        if nodes - unfit:
            of_any = unfit | store.unfit_workers().keys()  # they could not run another one
            submit_row(store, plan, plan.row(self.key), of_any if nodes - of_any else unfit, unfit)
        else:
            store.append(self.key, "ended", kind="refused", reason=f"no node can run it; the last: {outcome.reason}")
