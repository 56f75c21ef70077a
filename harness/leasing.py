"""The leases of a run's jobs: what they need, and how a wait for them is shown and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.run import Lane, Run
from runs.events.registry import Waited
from sandboxes.leases.amounts import Priority
from sandboxes.leases.leases import Lease

SHORT_SECONDS = 1.0
"""Waits that are shorter are not recorded."""


def join(lane: Lane, job: str, priority: Priority) -> Lease | None:
    """Count a job that is about to start to its lane's lease, which is waited for if the lane has no running job.

    None if the job runs already and there is nothing free to lease. Raises `StopRequested`.
    """
    if lane.sandbox.status(job).state == "unknown":
        with shown_wait(lane.run, job) as on_wait:
            return lane.lease.join(job, priority, on_wait)
    lane.lease.join_running(job)
    return lane.lease.lease


def rejoin(run: Run) -> None:
    """Lease again, as far as that is free, what jobs use that an earlier process started."""
    for lane in run.lanes:
        for job in lane.state.open_jobs:
            if lane.sandbox.status(job).state == "running":
                lane.lease.join_running(job)


@contextmanager
def shown_wait(run: Run, job: str) -> Iterator[Callable[[str], None]]:
    """Show what a job waits for, and record how long it waited. What it yields raises `StopRequested`."""
    began = time.monotonic()
    yield lambda what: run.pulse(f"job {job} waits for {what}")
    waited = time.monotonic() - began
    if waited >= SHORT_SECONDS:
        run.record(Waited(on=f"a lease for job {job}", seconds=round(waited, 1)))
