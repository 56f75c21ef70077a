"""A run while it is played: its record and the parts that act on it. `Run.record` is the only way anything changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from context.notebook import Notebook
from context.recall.index import Recall
from context.window import Window
from harness import budget
from harness.endpoint.client import Model
from harness.interrupt import Stopping, StopRequested
from harness.request_slots import RequestSlots, SharedSlots
from harness.workers import Workers
from runs.events.registry import AttemptEnded, EndpointChanged, Event, JobFinished, Resumed, RunCreated, Waited
from runs.journal import Journal
from runs.run_settings import RunSettings
from runs.state import LaneState, State
from runs.usage.cache import CacheMeter
from runs.versions.commits import Versions
from sandboxes.base import JobStatus, Limits, Sandbox
from sandboxes.leases.amounts import Request
from sandboxes.leases.leases import Leases
from sandboxes.leases.shared import SharedLease
from tasks.holdout.blend import Blend

LONGEST_JOB_SECONDS = 30 * 24 * 3600.0
PAUSE_LOOK_SECONDS = 0.25
"""How often a thread looks whether a pause is over."""


class Screen(Protocol):
    """What a person sees while a run is played."""

    def show(self, state: State, event: Event) -> None:
        """Called after each recorded event."""

    def alive(self, state: State, doing: str, tail: str, lane: int = 0) -> None:
        """Called several times a second during waits. `doing` is what a lane waits for beyond what the state tells,
        `tail` the end of the running job's output."""

    def say(self, line: str) -> None:
        """Called with what a long preparation does."""

    def close(self) -> None:
        """Give the terminal back."""


class Endpoints(Protocol):
    """The endpoints that a run may use."""

    def open(self, created: RunCreated) -> Model:
        """The client for the endpoint in use."""

    def fall_back(self, created: RunCreated, why: str) -> EndpointChanged | None:
        """The change to the fallback, probed; None if there is none. Raises `ModelError`."""


_worked_on: ContextVar[tuple[int, int]] = ContextVar("lane and attempt", default=(0, 0))
"""The lane and attempt that `Run.record` writes into events that name none."""


@contextmanager
def working_on(lane: int, attempt: int) -> Iterator[None]:
    """Record the events of this thread under an attempt. For code that both attempts and the final selection use."""
    token = _worked_on.set((lane, attempt))
    try:
        yield
    finally:
        _worked_on.reset(token)


@dataclass
class Run:
    """One run as it is being played: what its lanes share."""

    folder: Path
    journal: Journal
    state: State
    recall: Recall
    blend: Blend
    versions: Versions
    screen: Screen
    stopping: Stopping
    tools: bytes
    leases: Leases
    endpoints: Endpoints | None = None
    gpus: tuple[str, ...] = ()
    """The GPUs that this process leased for the run."""
    lanes: list[Lane] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while an event is recorded. Hold it around a decision and the event that records it."""
    deciding: threading.Lock = field(default_factory=threading.Lock)
    """Held while the move of an attempt is chosen. Never taken by a holder of `lock`."""
    publishing: threading.RLock = field(default_factory=threading.RLock)
    """Held while the files that people read are written. Never taken by a holder of `lock`."""
    slots: RequestSlots = field(default_factory=RequestSlots)
    shared_slots: SharedSlots | None = None
    """The slots that all runs of the home share."""
    workers: Workers = field(default_factory=Workers)
    evaluation_ended: threading.Condition = field(default_factory=threading.Condition)
    """Notified when an evaluation has its result."""
    gpu_turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the evaluation that uses the GPUs, where lanes share them."""
    killed: set[str] = field(default_factory=set)
    """Evaluations that the model wants to end."""
    playing: set[int] = field(default_factory=set)
    """The lanes that are being played."""
    resting: set[int] = field(default_factory=set)
    """The lanes that ended because fewer may play."""
    on_folds: set[str] = field(default_factory=set)
    """The evaluations that a thread runs on the other folds."""
    is_selecting: bool = False
    """Whether the final selection has begun."""
    _recorder: int | None = None
    """The one thread that may still record, once the run is closed to its workers."""
    _beat_at: float = field(default_factory=time.monotonic)

    def record(self, event: Event) -> Event:
        """Write an event to disk, then update everything that is a fold over events. Any thread may call it."""
        lane, attempt = _worked_on.get()
        if event.attempt == 0 and attempt:
            event = event.model_copy(update={"lane": lane, "attempt": attempt})
        with self.lock:
            if self._recorder not in (None, threading.get_ident()):
                raise StopRequested("the run has stopped")
            written = self.journal.append(event)
            self.state.apply(written)
            for each in self.lanes:
                each.apply(written)
            self.recall.note(written)
            self.screen.show(self.state, written)
            return written

    def close_to_workers(self) -> None:
        """From now on only this thread records: whatever a worker still does is as if the process had been killed."""
        with self.lock:
            self._recorder = threading.get_ident()

    @property
    def lane_limit(self) -> int:
        """How many lanes may play."""
        changed = self.state.lanes_changed
        return max(1, changed.parallel if changed else self.settings.parallel or 1)

    @property
    def lanes_refused(self) -> int:
        """How many lanes refusals of the endpoint took away that did not come back, over all its processes."""
        return self.state.lanes_changed.refused if self.state.lanes_changed else 0

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox of the first lane. All sandboxes of a run have one kind and share their jobs and logs."""
        return self.lanes[0].sandbox

    @property
    def created(self) -> RunCreated:
        """Event 0."""
        assert self.state.created is not None
        return self.state.created

    @property
    def settings(self) -> RunSettings:
        """The settings of the run, as event 0 records them."""
        return self.created.settings

    def active_seconds(self) -> float:
        """Seconds the run has been active by now, over all its processes."""
        return self.state.earlier_seconds + self.journal.mono()

    def seconds_left(self) -> float:
        """Seconds that attempts may still use: none when a person ends the run."""
        if self.state.control.is_stopping and not self.is_selecting:
            return 0.0
        return budget.seconds_left(self.settings, self.active_seconds(), self.state.plan)

    def limits(self) -> Limits:
        """Bounds of a job that starts now: it may use the time that is left."""
        return Limits(
            wall_seconds=max(1.0, min(self.seconds_left(), LONGEST_JOB_SECONDS)),
            output_bytes=self.settings.job_output_bytes,
            workspace_bytes=self.settings.workspace_bytes,
        )

    def jobs_at_once(self) -> int:
        """Among how many jobs the machine is divided."""
        return min(self.settings.jobs_at_once, self.leases.machine.cores)

    def job_share(self) -> Request:
        """What a lane leases for its jobs: its share of the machine."""
        return self.leases.machine.share(self.jobs_at_once())

    def await_jobs(self, jobs: Sequence[str], seconds: float, sandbox: Sandbox) -> list[JobStatus]:
        """Wait until one of the jobs has ended, or for `seconds`; record what ended. Raises `StopRequested`."""
        until = time.monotonic() + seconds
        views = sandbox.wait(jobs, 0.0)
        while all(view.state == "running" for view in views) and time.monotonic() < until and self.may_wait:
            self.pulse("", sandbox.output(jobs[0], -2000).decode(errors="replace"))
            views = sandbox.wait(jobs, max(0.0, min(0.5, until - time.monotonic())))
        for view in views:
            self.note_ended(view)
        return views

    def note_ended(self, view: JobStatus) -> None:
        """Record that a job has ended, once."""
        if view.state not in ("finished", "lost"):
            return
        event = JobFinished(
            job=view.id,
            ended=view.ended or view.state,
            exit_code=view.exit_code,
            seconds=round(view.seconds, 3),
            output_bytes=view.output_bytes,
            cpu_seconds=view.cpu_seconds,
            peak_bytes=view.peak_bytes,
            gpu_percent=view.gpu_percent,
            gpu_bytes=view.gpu_bytes,
        )
        with self.lock:
            lane = next((lane for lane in self.lanes if view.id in lane.state.open_jobs), None)
            if lane is not None:
                lane.record(event)
            elif view.id in self.state.evaluation_jobs:
                self.record(event)

    @property
    def may_wait(self) -> bool:
        """Whether an attempt may go on waiting: not when a person ends the run."""
        return self.is_selecting or not self.state.control.is_stopping

    def pulse(self, doing: str, tail: str = "") -> None:
        """Call this during any wait: it stops if a stop was asked for, otherwise it is a `tick`. Lasts as long as a
        pause does. `doing` is what the state does not tell."""
        self.step()
        self.tick(doing, tail)

    def step(self) -> None:
        """Call this before a step: it waits as long as a person has paused the run. Raises `StopRequested`."""
        self.stopping.check()
        while self.state.control.is_paused:
            time.sleep(PAUSE_LOOK_SECONDS)
            self.stopping.check()

    def tick(self, doing: str, tail: str = "") -> None:
        """Update the screen and keep the clock on record, within a step that should not be interrupted."""
        self.screen.alive(self.state, doing, tail, _worked_on.get()[0])
        if time.monotonic() - self._beat_at > self.settings.heartbeat_seconds:
            self._beat_at = time.monotonic()
            self.record(Waited(on=doing or "jobs"))


@dataclass
class Lane:
    """One sequence of attempts of a run: its connection to the endpoint, its workspace, its window."""

    run: Run
    number: int
    model: Model
    sandbox: Sandbox
    window: Window = field(default_factory=Window)
    notebook: Notebook = field(default_factory=Notebook)
    meter: CacheMeter = field(default_factory=CacheMeter)
    replied_at: float | None = None
    """When this process got its last reply, on its monotonic clock."""

    @cached_property
    def lease(self) -> SharedLease:
        """What its jobs may use: held while one of them runs."""
        return SharedLease(self.run.leases, self.run.job_share(), spreads=True)

    @property
    def state(self) -> LaneState:
        """Where the lane stands."""
        return self.run.state.lane(self.number)

    def record(self, event: Event) -> Event:
        """Record an event of this lane and its open attempt."""
        attempt = event.attempt or (self.state.attempt.number if self.state.attempt else 0)
        return self.run.record(event.model_copy(update={"lane": self.number, "attempt": attempt}))

    def apply(self, event: Event) -> None:
        """Take an event of the run into account, if it is about this lane or about all."""
        if event.lane != self.number and not isinstance(event, Resumed):
            return
        self.window.apply(event)
        self.notebook.apply(event)
        self.meter.apply(event)
        if isinstance(event, JobFinished):
            self.lease.leave(event.job)
        elif isinstance(event, AttemptEnded):
            for job in event.killed_jobs:
                self.lease.leave(job)
