"""Play one run of a sweep once: claim it, start or continue it in a separate process, and record how that ended.

Nothing here decides what happens next: the outcome says whether the run is over, and if not, when to try again.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harness import errors
from harness.settings import Settings
from harness.sweep import check_host, host
from harness.sweep.row_state import Kind, history_of
from harness.sweep.store import Store, worker_name
from harness.sweep.types import Plan, Row
from runs.views.format import one_line, printable
from runs.views.summary import read_summary

LOOK_SECONDS = 15.0
"""How often a worker looks whether the sweep is to stop; a run may take a day, so this must cost little."""
PAUSE_SECONDS = 60.0
"""How long a run may take to pause before it is killed, which loses nothing that was recorded."""
_PYTHON = (sys.executable, "-P", "-m")
_BUSY = ("drives the run", "is removing data", "another process is running this run")
_NO_ROOM = ("No room to write", "no space left", "No space left", "Free some space")
_NO_REPLY = ("no reply from",)
_NO_GPU = ("are free: request fewer, or wait",)


@dataclass(frozen=True)
class Waits:
    """Seconds until a run is tried again: after a failure; while the home is full, the endpoint does not answer, or
    another process has the run."""

    failed: float = 10.0
    full: float = 30.0
    endpoint: float = 30.0
    busy: float = 10.0


@dataclass(frozen=True)
class Outcome:
    """How a try ended. `again_in`: seconds until another one makes sense; None if the run is over for this worker."""

    kind: Kind
    reason: str = ""
    again_in: float | None = None


@dataclass
class Stop:
    """A request of this process to stop, for all its runs at once. `is_told`: whoever manages this host has sent a
    signal to the runs, and is about to end this process."""

    is_set: bool = False
    is_told: bool = False
    children: set[subprocess.Popen[bytes]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self) -> None:
        """Ask every run of this process to pause."""
        with self.lock:
            self.is_set = True
            for child in self.children:
                child.terminate()


@dataclass(frozen=True)
class Worker:
    """What this process plays runs with. `shares_signals`: its runs get the signals of its process group (Slurm)."""

    store: Store
    plan: Plan
    process: Settings
    stop: Stop = field(default_factory=Stop)
    waits: Waits = Waits()
    on_start: Callable[[Row], None] = lambda row: None
    shares_signals: bool = False

    @property
    def must_stop(self) -> bool:
        """Whether this process or the whole sweep is to stop."""
        return self.stop.is_set or self.stop.is_told or self.store.is_stopped

    def play(self, row: Row) -> Outcome:
        """Play a run until it ends, fails or is to stop. Playing a run that is over changes nothing.

        Whatever goes wrong is the outcome of this run, so that the others are played.
        """
        if self.must_stop:
            return Outcome("stopped")
        try:
            return self._play(row)
        except Exception as error:
            why = one_line(errors.explain(error, None), 400)
            if errors.code_of(error) == errors.STOPPED:  # the disk is full, or broken
                return Outcome("later", why, self.waits.full)
            self.store.append(row.key, "ended", kind="failed", reason=why)
            return Outcome("failed", why, self.waits.failed)

    def _play(self, row: Row) -> Outcome:
        with self.store.claim(row.key) as is_mine:
            if not is_mine:
                return Outcome("later", "another worker plays it", self.waits.busy)
            log = self.store.log(row.key)
            history = history_of(log, False)
            if history.state in ("done", "failed"):
                return Outcome("done" if history.state == "done" else "failed", history.reason)
            outcome = self._obstacle(row, history.last_kind, history.reason) or self._try(row)
            last = log[-1] if log else {}
            if outcome.kind == "later" and (last.get("what"), last.get("reason")) != ("waits", outcome.reason):
                self.store.append(row.key, "waits", kind="later", reason=outcome.reason)
            return outcome

    # ---------------------------------------------------------------------------------------------------- before it

    def _obstacle(self, row: Row, last_kind: str, last_reason: str) -> Outcome | None:
        """Why the run cannot start now, if so."""
        home = self.store.home
        if host.is_full(home):
            room = f"{host.free_bytes(home) / 1e6:.0f} MB"
            return Outcome("later", f"{home} is nearly full ({room} left): free some space", self.waits.full)
        if last_kind == "later" and _is_about(last_reason, _NO_REPLY) and not host.answers(row.base_url):
            return Outcome("later", last_reason, self.waits.endpoint)
        grades = [self.process.grades / f"{row.run_id}{kind}" for kind in (".json", ".kaggle.json")]
        if not self._has_ended(row) and any(path.exists() for path in grades):
            reason = "it was graded before it had ended, so it cannot be resumed"
            self.store.append(row.key, "ended", kind="refused", reason=reason)
            return Outcome("refused", reason)
        if why := check_host.why_unfit(row, self.plan, self.process):
            return self.refuse(why)
        return None

    def refuse(self, why: str) -> Outcome:
        """Mark this host as one that cannot run something; the run moves on."""
        self.store.mark_worker(why)
        return Outcome("unfit", f"worker {worker_name()} cannot run it: {why}")

    def _has_ended(self, row: Row) -> bool:
        summary = read_summary(self.process.runs / row.run_id) or {}
        return str(summary.get("status", "")).startswith("ended")

    def _journal_bytes(self, row: Row) -> int:
        """They grow with whatever the run records."""
        try:
            return (self.process.runs / row.run_id / "events.jsonl").stat().st_size
        except OSError:
            return 0

    # ----------------------------------------------------------------------------------------------------- the try

    def _try(self, row: Row) -> Outcome:
        self.on_start(row)
        self.store.append(row.key, "started", worker=worker_name(), pid=os.getpid(), events=self._journal_bytes(row))
        begun = time.monotonic()
        try:
            code, said = self._run(row, run_command(row))
        except (KeyboardInterrupt, SystemExit):  # this process ends: its run has paused
            self.store.append(row.key, "ended", kind="stopped", reason="")
            raise
        outcome = self._judge(row, code, said)
        seconds = round(time.monotonic() - begun, 1)
        if outcome.kind == "done" and self.plan.score:
            self._score(row)
        facts = {"kind": outcome.kind, "reason": outcome.reason, "code": code, "seconds": seconds}
        self.store.append(row.key, "ended", **facts)
        return outcome

    def _score(self, row: Row) -> None:
        """Grade an ended run; a task without answers is not a failure of the run."""
        if not (self.process.grades / f"{row.run_id}.json").exists():
            self._run(row, ["score", row.run_id], stoppable=False)

    def _run(self, row: Row, words: Sequence[str], stoppable: bool = True) -> tuple[int, str]:
        """Run a command of the harness to its end: its exit code and the end of what it printed."""
        path = self.store.output(row.key)
        with path.open("ab") as output:
            start = output.tell()
            child = subprocess.Popen(
                [*_PYTHON, "harness.sweep.child", str(os.getpid()), *_PYTHON, "harness", *words],
                env=environment(self.plan, self.process),
                cwd=self.store.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=not self.shares_signals,
            )
        try:
            self._wait(child, stoppable)
        finally:
            with self.stop.lock:
                self.stop.children.discard(child)
            if child.poll() is None:
                child.kill()
                child.wait()
        with path.open("rb") as output:
            output.seek(max(start, output.seek(0, os.SEEK_END) - 20_000))
            return child.returncode, last_words(output.read().decode(errors="replace"))

    def _wait(self, child: subprocess.Popen[bytes], stoppable: bool) -> None:
        """Wait for the end of a process without using the CPU, and ask it to pause if the sweep is to stop."""
        with self.stop.lock:
            if stoppable:
                self.stop.children.add(child)
                if self.stop.is_set:  # asked for while it started
                    child.terminate()
        asked_at = 0.0
        descriptor = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else -1
        try:
            while child.poll() is None:
                if descriptor >= 0:
                    select.select([descriptor], [], [], LOOK_SECONDS)
                else:
                    time.sleep(1.0)
                if not stoppable or not self.must_stop:
                    continue
                if not asked_at:
                    asked_at = time.monotonic()
                    if not (self.stop.is_set or self.stop.is_told):
                        child.terminate()
                elif time.monotonic() - asked_at > PAUSE_SECONDS:
                    child.kill()
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    # -------------------------------------------------------------------------------------------------- judging it

    def _judge(self, row: Row, code: int, said: str) -> Outcome:
        if code == errors.DONE:
            return Outcome("done")
        if self._has_ended(row):
            return Outcome("done", said)
        if self.must_stop:
            return Outcome("stopped")
        if _is_about(said, (*_BUSY, *_NO_GPU)):
            return Outcome("later", said, self.waits.busy)
        if host.is_full(self.store.home) or _is_about(said, _NO_ROOM):
            return Outcome("later", said, self.waits.full)
        if code == errors.ENDPOINT and (_is_about(said, _NO_REPLY) or not host.answers(row.base_url)):
            said = said if _is_about(said, _NO_REPLY) else f"no reply from {row.base_url}: {said}"
            return Outcome("later", said, self.waits.endpoint)
        if code == errors.SANDBOX and (why := check_host.why_unfit(row, self.plan, self.process, is_fresh=True)):
            return self.refuse(why)
        if code < 0:
            said = f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        return Outcome("failed", said or f"exit code {code}", self.waits.failed)


def run_command(row: Row) -> list[str]:
    """The command line of a run, which may be started again at any time."""
    # One run must not lease the GPUs of all: it has those that its row counts.
    assigned = {**row.settings, "gpus": str(row.gpus)}
    settings = [word for name, text in assigned.items() for word in ("--set", f"{name}={text}")]
    return ["run", row.task, "--resume-or-start", row.run_id, "--seed", str(row.seed), *settings, "--plain"]


def environment(plan: Plan, process: Settings) -> Mapping[str, str]:
    """The variables of a run's process: those of this worker with its keys, and the sweep's HARNESS_* settings."""
    return {**process.variables, **plan.variables, **process.keys, "HARNESS_HOME": str(process.home)}


def last_words(printed: str) -> str:
    """Why a command ended: its last message, or its last line."""
    lines = [line.strip() for line in printable(printed).splitlines() if line.strip()]
    messages = [line for line in lines if line.startswith("harness: ")]
    said = (messages or lines or [""])[-1].removeprefix("harness: ")
    return one_line(said, 400)


def _is_about(reason: str, words: Sequence[str]) -> bool:
    return any(word in reason for word in words)
