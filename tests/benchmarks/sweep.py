"""A sweep of 66 runs of 24 hours on 1 to 64 workers, what scheduling costs, and how fast the table of 1,000 runs is.

    python -m tests.benchmarks.sweep [--repeats 20] [--cap 32]

`makespan` is the time until the last run has ended, divided by that of longest-first scheduling which knows how long
every run takes; the queue is the real one, on a simulated clock. Runs fail, workers are lost, and stragglers take
longer than their budget; what starting takes is measured first. `in flight` is the most requests at once. Prints
tables; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.settings import Settings
from harness.sweep import play_row
from harness.sweep.play_row import Worker
from harness.sweep.queue import Queue
from harness.sweep.store import Store
from harness.sweep.types import Plan, Row

TASKS, SEEDS, HOURS = 22, 3, 24.0
EARLY_SHARE, STRAGGLER_SHARE, STRETCH = 0.2, 0.05, 1.25
"""Tasks whose runs end before their budget (dollars, attempts); runs that take this much longer than it."""
FAILURES_A_DAY, LOSSES_A_DAY, BACK_HOURS = 0.15, 0.05, 1.0
"""How often a run fails, how often a worker is lost, and when it is back."""
RETRY_HOURS, LOST_HOURS = 10 / 3600, 0.02
"""Wait after a failure; work that a failure loses, which was not on record yet."""
REQUEST_SECONDS, LANES = 20.0, 2


def rows() -> list[Row]:
    """The table of the simulated sweep."""
    return [
        Row(f"t{task}.s{seed}", f"r{task}-{seed}", f"t{task}", f"t{task}", seed, {}, {}, HOURS)
        for task in range(TASKS)
        for seed in range(SEEDS)
    ]


def true_hours(chance: random.Random) -> dict[str, float]:
    """How long each run takes without failures; runs of a task are alike."""
    found = {}
    for task in range(TASKS):
        typical = chance.uniform(6, 20) if chance.random() < EARLY_SHARE else HOURS
        for seed in range(SEEDS):
            own = min(HOURS, typical * chance.uniform(0.9, 1.1)) if typical < HOURS else HOURS
            found[f"t{task}.s{seed}"] = own * (STRETCH if chance.random() < STRAGGLER_SHARE else 1.0)
    return found


@dataclass
class Simulation:
    """The real queue on a simulated clock."""

    workers: int
    start_hours: float
    chance: random.Random
    hours: dict[str, float]
    queue: Queue = field(default_factory=lambda: Queue(rows()))
    worked: dict[str, float] = field(default_factory=dict)
    """Hours a worker was busy with each run, all starts and losses included."""
    now: float = 0.0

    def makespan(self) -> float:
        """Hours until the last run has ended."""
        left = dict(self.hours)
        events: list[tuple[float, int, str, str]] = [(0.0, number, "free", "") for number in range(self.workers)]
        heapq.heapify(events)
        idle: list[int] = []
        by_key = {row.key: row for row in self.queue.rows}
        while events:
            self.now, worker, what, key = heapq.heappop(events)
            if what == "done":
                self.queue.finish(by_key[key], self.hours[key])
            elif what in ("failed", "lost"):
                self.queue.put_back(by_key[key], self.now + RETRY_HOURS)
            idle.append(worker)
            if what == "lost":
                idle.remove(worker)
                heapq.heappush(events, (self.now + BACK_HOURS, worker, "free", ""))
            for one in list(idle):
                row = self.queue.take(self.now)
                if row is None:
                    break
                idle.remove(one)
                heapq.heappush(events, (*self._play(row.key, left, one),))
            if idle and not self.queue.is_empty:  # a run waits to be tried again
                heapq.heappush(events, (self.now + RETRY_HOURS, idle.pop(), "free", ""))
            if self.queue.is_empty:
                return self.now
        return self.now

    def _play(self, key: str, left: dict[str, float], worker: int) -> tuple[float, int, str, str]:
        """When and how a start of a run ends."""
        failure = self.chance.expovariate(FAILURES_A_DAY / 24)
        loss = self.chance.expovariate(LOSSES_A_DAY / 24)
        length = min(failure, loss, left[key])
        what = "done" if length == left[key] else "failed" if length == failure else "lost"
        left[key] -= length if what == "done" else max(0.0, length - LOST_HOURS)
        busy = self.start_hours + length
        self.worked[key] = self.worked.get(key, 0.0) + busy
        return self.now + busy, worker, what, key


def longest_first(lengths: list[float], workers: int) -> float:
    """Makespan of longest-first scheduling that knows every length."""
    ends = [0.0] * workers
    for length in sorted(lengths, reverse=True):
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def most_in_flight(workers: int, cap: int, chance: random.Random, hours: float = 2.0) -> tuple[int, float]:
    """Requests at once in so many hours, and the share of the lanes' time spent waiting for a slot."""
    lanes = min(workers, TASKS * SEEDS) * LANES
    events = [(chance.uniform(0, 60), "ask", lane) for lane in range(lanes)]
    heapq.heapify(events)
    waiting: list[tuple[float, int]] = []
    taken = most = 0
    waited = 0.0
    while events:
        now, what, lane = heapq.heappop(events)
        if now > hours * 3600:
            break
        if what == "ask":
            waiting.append((now, lane))
        elif what == "answered":
            taken -= 1
            heapq.heappush(events, (now + chance.expovariate(1 / 60), "ask", lane))  # a job runs
        while waiting and taken < cap:
            since, next_lane = waiting.pop(0)
            waited += now - since
            taken += 1
            most = max(most, taken)
            heapq.heappush(events, (now + chance.expovariate(1 / REQUEST_SECONDS), "answered", next_lane))
    return most, waited / (lanes * hours * 3600)


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
    yield ""
    columns = ("workers", "makespan, hours", "/ longest first, known", f"worst of {repeats}", f"in flight, cap {cap}")
    yield "| " + " | ".join(columns) + " | waiting for a slot |"
    yield "|---|---|---|---|---|---|"
    for workers in (1, 4, 16, 64):
        ratios, spans = [], []
        for seed in range(repeats):
            chance = random.Random(seed)
            one = Simulation(workers, start / 3600, chance, true_hours(chance))
            span = one.makespan()
            spans.append(span)
            ratios.append(span / longest_first(list(one.worked.values()), workers))
        most, waited = most_in_flight(workers, cap, random.Random(workers))
        mean, worst = sum(ratios) / repeats, max(ratios)
        yield f"| {workers} | {sum(spans) / repeats:.1f} | {mean:.3f} | {worst:.3f} | {most} | {100 * waited:.1f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--cap", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    for line in report(options.repeats, options.cap, options.runs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
