"""A sweep of 66 runs of 24 hours on 1 to 64 workers, simulated with the real queue and the real slots for requests.

Runs fail, workers are lost, and stragglers take longer than their budget. What the makespan is compared with knows how
long every run takes, losses included, before it schedules them.
"""

from __future__ import annotations

import heapq
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from harness.request_slots import SharedSlots
from harness.sweep.queue import Alike, Queue
from harness.sweep.types import Row

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


def typical_hours(chance: random.Random) -> list[float]:
    """How long runs of each task usually take."""
    return [chance.uniform(6, 20) if chance.random() < EARLY_SHARE else HOURS for _ in range(TASKS)]


def true_hours(typical: list[float], chance: random.Random) -> dict[str, float]:
    """How long each run takes without failures, by its key; runs of a task are alike."""
    found = {}
    for row in rows():
        usual = typical[int(row.task[1:])]
        own = min(HOURS, usual * chance.uniform(0.9, 1.1)) if usual < HOURS else HOURS
        found[row.key] = own * (STRETCH if chance.random() < STRAGGLER_SHARE else 1.0)
    return found


def known_of(hours: dict[str, float]) -> dict[Alike, float]:
    """What a sweep knows of the length of its runs after an earlier one that took so long."""
    queue = Queue(rows())
    for row in list(queue.rows):
        queue.finish(row, hours[row.key])
    return queue.known_hours


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
                self.queue.put_back(by_key[key], self.now + RETRY_HOURS, self.hours[key] - left[key])
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
            untaken = [row.key for row in self.queue.rows if row.key not in self.queue.taken]
            if idle and untaken:  # they wait to be tried again
                heapq.heappush(events, (min(map(self.queue.not_before.__getitem__, untaken)), idle.pop(), "free", ""))
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


def ratio(workers: int, seed: int, start_hours: float, *, is_first: bool = True) -> tuple[float, float]:
    """The makespan of one drawn sweep against longest-first scheduling that knows every length, and its hours.

    Not `is_first`: an earlier sweep of the same tasks is in the home.
    """
    chance = random.Random(seed)
    typical = typical_hours(chance)
    one = Simulation(workers, start_hours, chance, true_hours(typical, chance))
    if not is_first:
        one.queue.known_hours |= known_of(true_hours(typical, random.Random(-seed - 1)))
    hours = one.makespan()
    return hours / longest_first(list(one.worked.values()), workers), hours


def most_in_flight(home: Path, workers: int, cap: int, chance: random.Random, hours: float) -> tuple[int, float]:
    """Requests at once in so many hours with the slots that real runs share, and the share of the lanes' time spent
    waiting for a slot."""
    lanes = min(workers, TASKS * SEEDS) * LANES
    slots, held = SharedSlots(home), {}
    events = [(chance.uniform(0, 60), "ask", lane) for lane in range(lanes)]
    heapq.heapify(events)
    waiting: list[tuple[float, int]] = []
    most, waited, now = 0, 0.0, 0.0
    while events and now < hours * 3600:
        now, what, lane = heapq.heappop(events)
        if what == "ask":
            waiting.append((now, lane))
        else:
            os.close(held.pop(lane))
            heapq.heappush(events, (now + chance.expovariate(1 / 60), "ask", lane))  # a job runs
        while waiting and (handle := slots.try_once("http://endpoint/v1", cap)) is not None:
            since, next_lane = waiting.pop(0)
            waited += now - since
            held[next_lane] = handle
            most = max(most, len(held))
            heapq.heappush(events, (now + chance.expovariate(1 / REQUEST_SECONDS), "answered", next_lane))
    for handle in held.values():
        os.close(handle)
    return most, waited / (lanes * hours * 3600)
