"""A sweep of 66 runs of 24 hours on 1 to 64 workers, what scheduling costs, and how fast the table of 1,000 runs is.

    python -m tests.benchmarks.sweep [--repeats 200] [--cap 32]

`makespan` is the time until the last run has ended; beside it, it is divided by that of longest-first scheduling which
knows how long every run takes (`sweep_simulation.py`), with the standard error of the mean over draws: for the first
sweep of a home, and after an earlier sweep of the same tasks. What starting takes is measured first. `in flight` is the
most requests at once. Prints tables; `tests/sweeps/test_makespan.py` holds what must be true of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness.settings import Settings
from harness.sweep import play_row
from harness.sweep.play_row import Worker
from harness.sweep.store import Store
from harness.sweep.types import Plan, Row
from tests.benchmarks.sweep_simulation import most_in_flight, ratio

# ------------------------------------------------------------------------------------------------------ real figures


def sweep_of(home: Path, count: int, name: str = "s") -> tuple[Store, Plan]:
    """A sweep of demo runs on disk."""
    quick = {"sandbox": "local", "attempts": "1", "fold_share": "0", "finalists": "1", "no_ledger": "true"}
    table = tuple(
        Row(f"digits.s{seed}", f"20260101-000000_digits_{seed}_{name}", "digits", "digits", seed, {}, quick, 24.0)
        for seed in range(count)
    )
    from importlib.metadata import version

    plan = Plan(name, "2026-01-01T00:00:00+00:00", version("open-harness"), "", "local", 2, 0, 0, False, table)
    store = Store(home, name)
    store.create(lambda draft: (plan, ""))
    return store, plan


def cost_of_playing(home: Path, runs: int) -> tuple[float, float, float]:
    """CPU seconds of the worker for each run, wall seconds of a start, CPU seconds of one more start that has nothing
    to do."""
    store, plan = sweep_of(home, runs, "cost")
    worker = Worker(store, plan, Settings(home, variables=dict(os.environ)))
    before, own, starts = time.process_time(), 0.0, []
    for row in plan.rows:
        begun = time.time()
        outcome = worker.play(row)
        assert outcome.kind == "done", outcome
        journal = home / "runs" / row.run_id / "events.jsonl"
        first = json.loads(journal.read_bytes().split(b"\n")[0])["at"]
        starts.append(_seconds(first) - begun)
    own = (time.process_time() - before) / runs
    used = _children_cpu()
    command = [
        sys.executable,
        "-P",
        "-m",
        "harness",
        "run",
        "digits",
        "--resume-or-start",
        plan.rows[0].run_id,
        "--plain",
    ]
    subprocess.run(command, env={**os.environ, "HARNESS_HOME": str(home)}, check=True, capture_output=True)
    return own, sum(starts) / runs, _children_cpu() - used


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def cost_of_waiting(home: Path, seconds: float) -> float:
    """CPU seconds that a day of waiting for one run takes, from looks that follow each other quickly."""
    store, plan = sweep_of(home, 1, "wait")
    worker = Worker(store, plan, Settings(home, variables=dict(os.environ)))
    child = subprocess.Popen(["sleep", str(seconds)])
    usual, play_row.LOOK_SECONDS = play_row.LOOK_SECONDS, 0.02
    before = time.process_time()
    worker._wait(child, stoppable=True)
    one_look = (time.process_time() - before) / (seconds / 0.02)
    play_row.LOOK_SECONDS = usual
    return one_look * 86_400 / usual


def time_of_status(home: Path, count: int) -> tuple[float, float]:
    """Seconds and CPU seconds of `harness sweep status` for so many runs."""
    store, plan = sweep_of(home, count, "table")
    for number, row in enumerate(plan.rows):
        store.append(row.key, "started", worker="host", events=0)
        folder = home / "runs" / row.run_id
        folder.mkdir(parents=True)
        facts = {"status": "open", "active_seconds": 3600.0 * number / count, "cost": 1.0, "is_cost_known": True}
        (folder / "summary.json").write_text(json.dumps(facts))
        if number % 2:
            store.append(row.key, "ended", kind="done", reason="")
            (home / "grades").mkdir(exist_ok=True)
            report = {"gold_threshold": 1.0, "gold_medal": number % 3 == 0}
            (home / "grades" / f"{row.run_id}.json").write_text(json.dumps({"report": report}))
    taken = []
    for _ in range(5):
        before, begun = _children_cpu(), time.monotonic()
        command = [str(Path(sys.executable).parent / "harness"), "sweep", "status", "table", "--all"]
        subprocess.run(command, env={**os.environ, "HARNESS_HOME": str(home)}, check=True, capture_output=True)
        taken.append((time.monotonic() - begun, _children_cpu() - before))
    return min(taken)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report(repeats: int, cap: int, runs: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        own, start, again = cost_of_playing(home, runs)
        yield f"CPU of the worker per run: {own:.3f} s; of a start that has nothing to do: {again:.2f} s"
        yield f"CPU of waiting a day for a run: {cost_of_waiting(home, 30):.2f} s; a start takes {start:.1f} s"
        status, cpu = time_of_status(home, 1000)
        yield f"status of 1,000 runs: {status:.2f} s, {cpu:.2f} s of it CPU"
        yield from simulated(home, repeats, cap, start / 3600)


def simulated(home: Path, repeats: int, cap: int, start_hours: float) -> Iterator[str]:
    yield ""
    columns = ("workers", "makespan, hours", "first sweep", "worst", "later sweep", "worst", f"in flight, cap {cap}")
    yield "| " + " | ".join(columns) + " | waiting for a slot |"
    yield "|---" * (len(columns) + 1) + "|"
    for workers in (1, 4, 16, 64):
        first = [ratio(workers, seed, start_hours) for seed in range(repeats)]
        later = [ratio(workers, seed, start_hours, is_first=False)[0] for seed in range(repeats)]
        hours = statistics.fmean(hours for _, hours in first)
        most, waited = most_in_flight(home, workers, cap, random.Random(workers), hours=1.0)
        cells = [str(workers), f"{hours:.1f}", *_mean_and_worst([one for one, _ in first]), *_mean_and_worst(later)]
        yield "| " + " | ".join([*cells, str(most), f"{100 * waited:.1f} %"]) + " |"


def _mean_and_worst(ratios: list[float]) -> tuple[str, str]:
    error = statistics.stdev(ratios) / len(ratios) ** 0.5
    return f"{statistics.fmean(ratios):.3f} ± {error:.3f}", f"{max(ratios):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--cap", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    for line in report(options.repeats, options.cap, options.runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
