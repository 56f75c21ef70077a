"""The loop: a run is attempts until a budget is spent, an attempt is turns. This room conducts; others do one thing.

Everything that happens is recorded before it counts: `Run.record` is the only way anything changes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from context.notebook import Notebook
from context.recall.index import Recall
from context.window import Window
from harness import attempt, budget
from harness.evaluation import final_selection, submission
from harness.interrupt import Stopping
from harness.settings import Settings
from runs.events.registry import Event, JobFinished, RunCreated, Waited
from runs.journal import Journal
from runs.state import State
from runs.usage.cache import CacheMeter
from runs.versions.commits import Versions
from sandboxes.base import JobStatus, Limits, Sandbox
from tasks.holdout.blend import Blend

if TYPE_CHECKING:
    from harness.endpoint.client import Model


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
    """One run as it is being played: its record and the parts that act on it."""

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
    settings: Settings
    stopping: Stopping
    tools: bytes
    replied_at: float | None = None
    """When this process had its last reply, on its monotonic clock."""
    _beat_at: float = field(default_factory=time.monotonic)

    def record(self, event: Event) -> Event:
        """Put an event on disk, then take it into account everywhere."""
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

    def active_seconds(self) -> float:
        """Seconds the run has been active by now, over all its processes."""
        return self.state.earlier_seconds + self.journal.mono()

    def seconds_left(self) -> float:
        """Seconds attempts may still use."""
        return budget.seconds_left(self.created, self.active_seconds(), self.settings, self.state.plan)

    def limits(self) -> Limits:
        """Bounds of a job started now: it may use the time that is left, and no more."""
        wall = min(self.seconds_left(), 30 * 24 * 3600.0)
        settings = self.settings
        return Limits(
            wall_seconds=max(1.0, wall),
            output_bytes=settings.job_output_bytes,
            workspace_bytes=settings.workspace_bytes,
        )

    def await_jobs(self, jobs: Sequence[str], seconds: float, sandbox: Sandbox | None = None) -> list[JobStatus]:
        """Wait until one of the jobs has ended, or `seconds` are over; record what ended. Raises `StopRequested`."""
        place = sandbox or self.sandbox
        until = time.monotonic() + seconds
        views = place.wait(jobs, 0.0)
        while all(view.state == "running" for view in views) and time.monotonic() < until:
            self.pulse(", ".join(jobs), place.output(jobs[0], -2000).decode(errors="replace"))
            views = place.wait(jobs, max(0.0, min(0.5, until - time.monotonic())))
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
        """Between two looks at something slow: leave if asked to, otherwise `tick`."""
        self.stopping.check()
        self.tick(doing, tail)

    def tick(self, doing: str, tail: str = "") -> None:
        """Show life and keep the clock on record, in the middle of a step that is better finished than left."""
        self.screen.alive(self.state, doing, tail)
        if time.monotonic() - self._beat_at > self.settings.heartbeat_seconds:
            self._beat_at = time.monotonic()
            self.record(Waited(on=doing))


def play(run: Run) -> None:
    """Play a run until a budget is spent, then finish it. A run taken up again goes on where it stood."""
    while not (why := budget.run_over(run.state, run.active_seconds(), run.settings)):
        attempt.play(run)
    if run.state.attempt:
        attempt.end(run, "unusable_replies" if why == "unusable_replies" else "budget")
    final_selection.select(run)
    submission.finish(run, why)
