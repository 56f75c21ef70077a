"""A run while it is played: its record and the parts that act on it. `Run.record` is the only way anything changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from context.notebook import Notebook
from context.recall.index import Recall
from context.window import Window
from harness import budget
from harness.endpoint.client import Model
from harness.interrupt import Stopping
from runs.events.registry import Event, JobFinished, RunCreated, Waited
from runs.journal import Journal
from runs.run_settings import RunSettings
from runs.state import State
from runs.usage.cache import CacheMeter
from runs.versions.commits import Versions
from sandboxes.base import JobStatus, Limits, Sandbox
from tasks.holdout.blend import Blend

LONGEST_JOB_SECONDS = 30 * 24 * 3600.0


class Screen(Protocol):
    """What a person sees while a run is played."""

    def show(self, state: State, event: Event) -> None:
        """Called after each recorded event."""

    def alive(self, state: State, doing: str, tail: str) -> None:
        """Called several times a second during waits; `tail` is the end of the running job's output."""

    def close(self) -> None:
        """Give the terminal back."""


@dataclass
class Run:
    """One run as it is being played."""

    folder: Path
    journal: Journal
    state: State
    window: Window
    notebook: Notebook
    meter: CacheMeter
    recall: Recall
    model: Model
    sandbox: Sandbox
    blend: Blend
    versions: Versions
    screen: Screen
    stopping: Stopping
    tools: bytes
    replied_at: float | None = None
    """When this process got its last reply, on its monotonic clock."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while an event is recorded. Hold it around a decision and the event that records it."""
    _beat_at: float = field(default_factory=time.monotonic)

    def record(self, event: Event) -> Event:
        """Write an event to disk, then update everything that is a fold over events. Any thread may call it."""
        with self.lock:
            if event.attempt == 0 and self.state.attempt:
                event = event.model_copy(update={"attempt": self.state.attempt.number})
            written = self.journal.append(event)
            self.state.apply(written)
            self.window.apply(written)
            self.notebook.apply(written)
            self.meter.apply(written)
            self.recall.note(written)
            self.screen.show(self.state, written)
            return written

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
        """Seconds that attempts may still use."""
        return budget.seconds_left(self.settings, self.active_seconds(), self.state.plan)

    def limits(self) -> Limits:
        """Bounds of a job that starts now: it may use the time that is left."""
        return Limits(
            wall_seconds=max(1.0, min(self.seconds_left(), LONGEST_JOB_SECONDS)),
            output_bytes=self.settings.job_output_bytes,
            workspace_bytes=self.settings.workspace_bytes,
        )

    def await_jobs(self, jobs: Sequence[str], seconds: float, sandbox: Sandbox | None = None) -> list[JobStatus]:
        """Wait until one of the jobs has ended, or for `seconds`; record what ended. Raises `StopRequested`."""
        sandbox = sandbox or self.sandbox
        until = time.monotonic() + seconds
        views = sandbox.wait(jobs, 0.0)
        while all(view.state == "running" for view in views) and time.monotonic() < until:
            self.pulse(", ".join(jobs), sandbox.output(jobs[0], -2000).decode(errors="replace"))
            views = sandbox.wait(jobs, max(0.0, min(0.5, until - time.monotonic())))
        for view in views:
            self.note_ended(view)
        return views

    def note_ended(self, view: JobStatus) -> None:
        """Record that a job has ended, once."""
        if view.state in ("finished", "lost") and view.id in self.state.open_jobs:
            self.record(
                JobFinished(
                    job=view.id,
                    ended=view.ended or view.state,
                    exit_code=view.exit_code,
                    seconds=round(view.seconds, 3),
                    output_bytes=view.output_bytes,
                )
            )

    def pulse(self, doing: str, tail: str = "") -> None:
        """Call this during any wait: it stops if a stop was asked for, otherwise it is a `tick`."""
        self.stopping.check()
        self.tick(doing, tail)

    def tick(self, doing: str, tail: str = "") -> None:
        """Update the screen and keep the clock on record, within a step that should not be interrupted."""
        self.screen.alive(self.state, doing, tail)
        if time.monotonic() - self._beat_at > self.settings.heartbeat_seconds:
            self._beat_at = time.monotonic()
            self.record(Waited(on=doing))
