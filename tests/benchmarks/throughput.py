"""Evaluations per hour and idle time for 1, 2 and 4 lanes, against one lane whose evaluations block.

    python -m tests.benchmarks.throughput [--scale 20] [--attempts 8] [--mix equal|day] [--lanes 1 2 4]

Plays real runs against a scripted endpoint on loopback. A reply takes 20 s and a job 60 to 300 s, an evaluation 120 s,
all divided by `--scale`; jobs sleep. `equal`: an attempt thinks 300 s and has one job and one evaluation, which take as
long. `day`: 20 replies, three jobs and one evaluation. `idle` is the share of the time in which no job ran. The rates
are those of the unscaled day; what the harness itself takes is not scaled, so they are lower bounds. Prints a table;
nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.events.registry import AttemptEnded, AttemptStarted, EvaluationFinished, Event, JobFinished
from tests.playing import SOLUTION, Prepared, call, events_of, harness_here, only_run, reply, with_digits
from tests.servers.chat_server import ChatServer, Message, Script

THINKING, EVALUATION = 20.0, 120.0
JOBS = (60.0, 300.0)
SETTINGS = ("fold_share=0", "finalists=1", "kept_back_share=0")
"""Without other folds, which would add jobs of their own."""


@dataclass(frozen=True)
class Mix:
    """An attempt: its replies, and before which of them a job has ended."""

    replies: int
    jobs: tuple[int, ...]


MIXES = {"equal": Mix(15, (5,)), "day": Mix(20, (5, 10, 15))}


def scripted(mix: Mix, scale: float, blocks: bool) -> Script:
    """A model that thinks before each reply, trains, evaluates and finishes."""

    def script(request: dict[str, Any]) -> Message:
        messages = request["messages"]
        found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
        if not found:
            return {"content": "ok"}  # a request of the probe
        time.sleep(THINKING / scale)
        attempt, step = int(found[-1]), sum(message["role"] == "assistant" for message in messages)
        return reply(f"step {step}", turn(attempt, step), tag=f"{attempt}_{step}")

    def turn(attempt: int, step: int) -> dict[str, Any]:
        if step == mix.replies - 1:
            return call("finish", did=f"guessed {attempt}")
        if step == mix.replies - 2:
            command = f"sleep {EVALUATION / scale}; python solution.py"
            return call("evaluate", command=command, wait_seconds=3600 if blocks else 0)
        if step in mix.jobs:
            seconds = random.Random(f"{attempt} {step}").uniform(*JOBS) / scale
            return call("bash", command=f"sleep {seconds:.2f}; echo trained {step}", wait_seconds=3600)
        if step == 0:
            return call("write_file", path="solution.py", content=SOLUTION.replace("GUESS = 0", f"GUESS = {attempt}"))
        return call("write_file", path="notes.txt", content=f"step {step} of attempt {attempt}")

    return script


@dataclass(frozen=True)
class Measured:
    """One run: its attempts, evaluations, wall seconds, and the share of them in which no job ran."""

    attempts: int
    evaluations: int
    seconds: float
    idle: float


def play(mix: Mix, scale: float, attempts: int, lanes: int, blocks: bool) -> Measured:
    """Play one run and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        home = with_digits(Path(folder) / "home")
        with ChatServer(scripted(mix, scale, blocks), piece=100_000) as server:
            options = ["--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain"]
            options += ["--attempts", str(attempts), "--parallel", str(lanes)]
            options += [word for setting in SETTINGS for word in ("--set", setting)]
            code, printed = harness_here(home, "run", "digits", *options)
        assert code == 0, printed
        return measure(events_of(only_run(home)))


def measure(events: Sequence[Event]) -> Measured:
    """Figures of a run from its first attempt to its last result."""
    begin = next(event.mono for event in events if isinstance(event, AttemptStarted))
    end = max(event.mono for event in events if isinstance(event, AttemptEnded | EvaluationFinished))
    evaluations = sum(isinstance(event, EvaluationFinished) for event in events)
    attempts = sum(isinstance(event, AttemptEnded) for event in events)
    jobs = [(e.mono - e.seconds, e.mono) for e in events if isinstance(e, JobFinished) and e.mono <= end]
    busy = sum(stop - start for start, stop in merged(sorted(jobs)))
    return Measured(attempts, evaluations, end - begin, 1 - busy / (end - begin))


def merged(intervals: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The union of sorted intervals."""
    current: tuple[float, float] | None = None
    for start, stop in intervals:
        if current is None or start > current[1]:
            if current is not None:
                yield current
            current = (start, stop)
        else:
            current = (current[0], max(current[1], stop))
    if current is not None:
        yield current


def main() -> None:
    """Measure the variants and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=20.0)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--mix", choices=MIXES, default="equal")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    print(f"mix {options.mix}, scale {options.scale:g}, {options.attempts} attempts")
    print(f"{'variant':32s} wall s  idle  evaluations/h  attempts/day  against before")
    before = 0.0
    with tempfile.TemporaryDirectory() as folder:
        Prepared.home = Path(folder) / "prepared"
        for lanes, blocks in [(1, True), *((count, False) for count in options.lanes)]:
            one = play(MIXES[options.mix], options.scale, options.attempts, lanes, blocks)
            rate = one.evaluations / (one.seconds * options.scale) * 3600
            before = before or rate
            name = "before: 1 lane, evaluate blocks" if blocks else f"{lanes} lane{'s' * (lanes > 1)}"
            a_day = one.attempts / (one.seconds * options.scale) * 86400
            print(
                f"{name:32s} {one.seconds:6.0f} {one.idle:5.0%} {rate:14.1f} {a_day:13.0f} {rate / before:15.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
