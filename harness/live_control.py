"""Live control: a thread takes the requests of a run's inbox and records what they do.

While the run is paused its clock stands still, its jobs are stopped, and lanes wait before their next step. A request
is answered by one event with its id, so a request that is found again after a crash is not taken twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness import budget
from harness.evaluation import fold_plan
from harness.interrupt import StopRequested
from harness.run import Run
from runs.control import inbox
from runs.control.answer import event_of, refusal
from runs.control.requests import Extend, Request
from runs.events.registry import BudgetExtended, Event, PlayContinued, PlayPaused, RequestRefused, StopAsked
from runs.journal import JournalError
from sandboxes.jobs.client import Jobs

LOOK_SECONDS = 0.5
"""How often the inbox is looked at."""


@contextmanager
def taking_requests(run: Run) -> Iterator[None]:
    """Take requests from the run's inbox during the block."""
    control, is_over = LiveControl(run), threading.Event()

    def work() -> None:
        try:
            while not is_over.wait(LOOK_SECONDS):
                control.look()
        except StopRequested:  # the run records nothing more
            pass
        finally:
            control.release()

    thread = threading.Thread(target=work, name="inbox", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class LiveControl:
    """Takes requests from the inbox of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._paused_at = 0.0
        self._jobs = ExitStack()
        self._stopped: set[Path] = set()
        """The folders whose jobs are stopped."""
        self._unremovable: set[str] = set()

    def look(self) -> None:
        """Take what is in the inbox now. Raises `StopRequested` if the run records nothing more."""
        for received in inbox.received(self.run.folder):
            if received.id in self._unremovable:
                continue
            if received.id not in self.run.state.control.answers:
                try:
                    self._take(received)
                except JournalError:  # such as a full disk, which the lanes meet too
                    return
            inbox.remove(self.run.folder, received.id)
            self._unremovable.add(received.id)
        if self.run.state.control.is_paused:
            self._stop_jobs()

    def release(self) -> None:
        """Let stopped jobs go on."""
        self._jobs.close()
        self._stopped.clear()

    def _take(self, received: inbox.Received) -> None:
        run, request = self.run, received.request
        with run.lock:
            why = received.problem or self._refusal(request)
            if why or request is None:
                run.record(RequestRefused(request=received.id, why=why))
                return
            event = self._with_times(event_of(run.state, request, received.id))
            run.record(event)
            if isinstance(event, PlayPaused):
                run.journal.stop_clock()
                self._paused_at = time.monotonic()
        self._follow(event)

    def _refusal(self, request: Request | None) -> str:
        if request is None:
            return "it is not a request"
        if isinstance(request, Extend) and self.run.is_selecting:
            return "the final selection has begun: extend the run when it has ended, then resume it"
        return refusal(self.run.state, request, is_live=True)

    def _with_times(self, event: Event) -> Event:
        """The event with the deadline that follows from it."""
        run = self.run
        if isinstance(event, PlayContinued):
            run.journal.start_clock()
            when = budget.deadline(run.settings, run.active_seconds())
            seconds = round(time.monotonic() - self._paused_at, 1)
            deadline = when.isoformat(timespec="seconds") if when else None
            return event.model_copy(update={"seconds": seconds, "deadline": deadline})
        if isinstance(event, BudgetExtended):
            settings = run.settings.model_copy(update={"hours": event.hours})
            when = budget.deadline(settings, run.active_seconds())
            return event.model_copy(update={"deadline": when.isoformat(timespec="seconds") if when else None})
        return event

    def _follow(self, event: Event) -> None:
        """Do what follows from an event that is on record."""
        if isinstance(event, PlayContinued):
            self.release()
        elif isinstance(event, BudgetExtended):
            fold_plan.plan_again(self.run)
        elif isinstance(event, StopAsked) and event.now:
            self.run.stopping.ask("`harness stop --now`")

    def _stop_jobs(self) -> None:
        """Stop all jobs of the run, those of evaluations on other folds included."""
        run = self.run
        open_folds = [name for name, result in list(run.state.folds.items()) if result is None]
        folders = [run.sandbox.paths.jobs]
        folders += [run.folder / "fold_jobs" / fold / evaluation for evaluation, fold in open_folds]
        for folder in folders:
            if folder not in self._stopped and folder.is_dir():
                jobs = Jobs(folder)
                self._jobs.enter_context(jobs.paused(jobs.running()))
                self._stopped.add(folder)
