"""Play one run of a sweep on another host: what a task of Ray or a job of Slurm does."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from harness.settings import load_settings
from harness.sweep.play_row import Outcome, Stop, Worker
from harness.sweep.row_state import history_of
from harness.sweep.store import Store

LOOK_SECONDS = 1.0


def play_to_the_end(
    home: str, name: str, key: str, stop: Stop | None = None, *, shares_signals: bool = False
) -> Outcome:
    """Play a run until it is done, has failed permanently, must stop, or cannot continue on this worker.

    Keys of the endpoint come from this host's own environment (`HARNESS_API_KEY_FILE`).
    """
    process = replace(load_settings(), home=Path(home))
    store = Store(process.home, name)
    plan = store.plan()
    worker = Worker(store, plan, process, stop or Stop(), shares_signals=shares_signals)
    row = plan.row(key)
    while True:
        outcome = worker.play(row)
        if outcome.again_in is None:
            return outcome
        if outcome.kind == "failed" and history_of(store.log(key), False).state == "failed":
            return outcome
        until = time.monotonic() + outcome.again_in
        while time.monotonic() < until and not worker.must_stop:
            time.sleep(LOOK_SECONDS)
