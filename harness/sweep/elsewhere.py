"""Play one run of a sweep on another host: what a task of Ray or a job of Slurm does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.settings import load_settings
from harness.sweep.play_row import LOOK_SECONDS, Outcome, Stop, Worker
from harness.sweep.row_state import history_of
from harness.sweep.store import Store


def play_to_the_end(
    home: str,
    name: str,
    key: str,
    stop: Stop | None = None,
    *,
    leaves_signals: bool = False,
    on_interrupt: Callable[[], None] = lambda: None,
) -> Outcome:
    """Play a run until it is done, has failed for good, or this worker cannot go on with it.

    Keys of the endpoint come from this host's own environment (`HARNESS_API_KEY_FILE`). `on_interrupt` is called when
    the run was paused by a signal from outside.
    """
    process = load_settings()
    process = replace(process, home=Path(home))
    store = Store(process.home, name)
    plan = store.plan()
    worker = Worker(store, plan, process, stop or Stop(), leaves_signals=leaves_signals)
    row = plan.row(key)
    while True:
        outcome = worker.play(row)
        if outcome.kind == "failed" and history_of(store.log(key), False).state == "failed":
            return outcome
        if outcome.again_in is None:
            return outcome
        if outcome.reason.startswith("stopped by "):
            on_interrupt()
        until = time.monotonic() + outcome.again_in
        while time.monotonic() < until and not worker.must_stop:
            time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
