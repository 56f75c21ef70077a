"""The local engine: a pool of threads, each of which plays one run after the other on this host.

The runs of all sweeps of a home lease what they need of the host (GPUs, cores, memory) before they start. These leases
are apart from those of jobs: a run that waits for a core for its job must not wait for another run to end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from harness.sweep.durations import hours_shown, known_hours
from harness.sweep.play_row import Outcome, Worker
from harness.sweep.queue import Queue
from harness.sweep.row_state import Reader
from harness.sweep.store import FOLDER
from harness.sweep.types import Plan, Row
from sandboxes.gpus import query_gpus
from sandboxes.leases.amounts import Machine, Priority, Request, this_machine
from sandboxes.leases.leases import Leases

WAIT_SECONDS = 1.0
OnEnd = Callable[[Row, Outcome], None]


class _MustStop(Exception):
    """The pool is to stop while a run waits for a lease."""


@dataclass
class Pool:
    """Threads of this process that play the runs of one sweep. `on_end` hears how each start of a run ends."""

    worker: Worker
    jobs: int
    on_end: OnEnd = lambda row, outcome: None
    unfit: dict[str, str] = field(default_factory=dict)
    """Rows that this host cannot run, and why."""

    def __post_init__(self) -> None:
        gpus = [gpu.uuid for gpu in query_gpus()[0]]
        self._leases = Leases(self.worker.store.home / FOLDER / ".runs", this_machine(gpus))
        self._reader = Reader(self.worker.store, self.worker.plan)
        states = self._reader.rows()
        left = [one for one in states if one.state in ("waiting", "running")]
        played = {one.row.key: one.hours for one in left}
        self.queue = Queue([one.row for one in left], known_hours(self.worker.store.home), played)
        self._errors: list[BaseException] = []

    def play(self, on_wait: Callable[[], None] = lambda: None) -> None:
        """Play all runs until none is left for this host, or a stop. `on_wait` is called about once a second.

        Runs that need more than this host has are reported first: they would wait without end.
        """
        for row in list(self.queue.rows):
            if why := why_never(_needs_of(row, self.worker.plan), self._leases.machine):
                self._settle(row, self.worker.refuse(why))
        threads = [threading.Thread(target=self._work, name=f"run {number}") for number in range(self.jobs)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(WAIT_SECONDS)
                    on_wait()
        except BaseException:
            self.worker.stop.ask()
            for thread in threads:
                thread.join()
            raise
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        try:
            while not self.queue.is_empty and not self.worker.must_stop:
                row = self.queue.take(time.monotonic())
                if row is None:
                    self.queue.wait(WAIT_SECONDS)
                    continue
                self._settle(row, self._play(row))
        except BaseException as error:
            self._errors.append(error)
            self.worker.stop.ask()

    def _play(self, row: Row) -> Outcome:
        try:
            with self._lease(row):
                return self.worker.play(row)
        except _MustStop:
            return Outcome("stopped")

    def _settle(self, row: Row, outcome: Outcome) -> None:
        self.on_end(row, outcome)
        if outcome.kind == "unfit":
            self.unfit[row.key] = outcome.reason
        if outcome.again_in is None or self._is_over(row, outcome):
            self.queue.finish(row, hours_shown(self._reader.row(row)))
        else:
            self.queue.put_back(row, time.monotonic() + outcome.again_in, self._reader.row(row).hours)

    def _is_over(self, row: Row, outcome: Outcome) -> bool:
        return outcome.kind == "failed" and self._reader.row(row).state == "failed"

    @contextmanager
    def _lease(self, row: Row) -> Iterator[None]:
        """Hold what the run needs of this host, once that is free."""
        request = _needs_of(row, self.worker.plan)

        def on_wait(_: str) -> None:
            if self.worker.must_stop:
                raise _MustStop

        with ExitStack() as stack:
            if request.cores or request.memory or request.gpus:
                stack.enter_context(self._leases.acquire(request, Priority.FIRST_FOLD, on_wait))
            yield


def _needs_of(row: Row, plan: Plan) -> Request:
    return Request(plan.cores, plan.memory, row.gpus)


def why_never(needs: Request, machine: Machine) -> str:
    """Why a host could never hold what a run needs; empty if it could."""
    if needs.gpus > len(machine.gpus):
        return f"it needs {needs.gpus} GPUs, and nvidia-smi lists {len(machine.gpus)} here"
    if needs.cores > machine.cores:
        return f"it needs {needs.cores} cores, and this host has {machine.cores}"
    if needs.memory > machine.memory:
        needed, had = (f"{amount / 1e9:.1f} GB" for amount in (needs.memory, machine.memory))
        return f"it needs {needed} of memory, and this host has {had} besides what it keeps for itself"
    return ""


def default_jobs(plan: Plan) -> int:
    """How many runs this host plays at once if nobody says: as many as its GPUs, cores and memory allow, at most one
    for two cores where runs name no needs."""
    machine = this_machine([gpu.uuid for gpu in query_gpus()[0]])
    gpus = max((row.gpus for row in plan.rows), default=0)
    counts = [len(machine.gpus) // gpus] if gpus else []
    counts += [machine.cores // plan.cores] if plan.cores else [max(1, machine.cores // 2)]
    counts += [machine.memory // plan.memory] if plan.memory else []
    return max(1, min(*counts, len(plan.rows)))
