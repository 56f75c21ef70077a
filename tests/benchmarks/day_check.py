"""A short real run beside the model of a day: a scripted model that thinks, jobs that sleep, real folds and judging."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    FoldFinished,
    FoldStarted,
    JobFinished,
    PlanMade,
    ToolFinished,
    ToolStarted,
)
from tests.benchmarks.day import Day, Variant, simulate
from tests.harness.judged_runs import guessing, side, two_numbers
from tests.playing import call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message

SCALE = 40.0
HOURS = 0.15
GOOD, BAD = "int(float(row['a']) > 0)", "int(float(row['a']) < 0)"


def compare() -> str:
    """Play and simulate the same short run; a line for each."""
    day = Day(
        hours=HOURS, think=20 / SCALE, low=60 / SCALE, high=300 / SCALE, evaluation=120 / SCALE, rows=600, expected=15
    )
    with tempfile.TemporaryDirectory() as folder:
        events = _play(Path(folder), day)
    search = [event for event in events if event.mono <= _search_end(events)]
    day = _with_measured_overheads(day, search)
    attempts = sum(isinstance(event, AttemptEnded) for event in search)
    seconds = search[-1].mono - search[0].mono
    runs = [simulate(Variant("", 1, 2, "at once"), day, seed) for seed in range(20)]
    modelled = sum(one.attempts for one in runs) / len(runs) / (3600 * HOURS - runs[0].kept_back)
    (plan,) = [event for event in events if isinstance(event, PlanMade)][:1]
    idle = 1 - _union(_jobs(search)) / seconds
    return "\n".join(
        [
            f"overhead {day.overhead:.1f} s an evaluation, {day.fold_overhead:.1f} s a fold, {plan.folds} folds",
            f"real:  {3600 * attempts / seconds:6.1f} attempts an hour, no job runs {idle:.0%}",
            f"model: {3600 * modelled:6.1f} attempts an hour, no job runs {sum(one.no_job for one in runs) / 20:.0%}",
            f"ratio of attempts, model to real: {modelled * seconds / attempts:.2f}",
        ]
    )


def _play(home: Path, day: Day) -> list[Event]:
    task = two_numbers(home / "side", side, train=day.rows)
    with ChatServer(_script(day), piece=1000) as server:
        flags = ["--model", "scripted", "--base-url", server.url, "--sandbox", "local", "--plain"]
        flags += ["--hours", str(HOURS), "--parallel", "1", "--set", f"expected_evaluations={day.expected}"]
        code, printed = harness_here(home, "run", str(task), *flags)
    assert code == 0, printed
    return events_of(only_run(home))


def _script(day: Day) -> Any:
    """A model that thinks, runs three jobs, evaluates, and finishes; every second solution is a bad one."""
    turns = {day.turns // 4: 1, day.turns // 2: 1, 3 * day.turns // 4: 1}
    attempts = 0

    def play(request: dict[str, Any]) -> Message:
        nonlocal attempts
        time.sleep(day.think)
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        if turn == 0:
            attempts += 1
        if turn in turns:
            return reply("", call("bash", command=f"sleep {(day.low + day.high) / 2}"), tag=f"{attempts}-{turn}")
        if turn == day.turns - 3:
            source = f"# {attempts}\nimport time\ntime.sleep({day.evaluation})\n" + guessing(
                GOOD if attempts % 2 else BAD
            )
            write = call("write_file", path="solution.py", content=source)
            return reply("", write, call("evaluate", command="python solution.py"), tag=f"{attempts}-{turn}")
        if turn >= day.turns - 1:
            return reply("", call("finish", did="all"), tag=f"{attempts}-{turn}")
        return reply("", call("bash", command=f"echo {turn}"), tag=f"{attempts}-{turn}")

    return play


def _search_end(events: Sequence[Event]) -> float:
    return max(event.mono for event in events if isinstance(event, AttemptEnded))


def _jobs(events: Sequence[Event]) -> list[tuple[float, float]]:
    """The times, in active seconds, in which a job ran."""
    started: dict[str, float] = {}
    spans = []
    for event in events:
        if isinstance(event, ToolStarted) and event.job:
            started[event.job] = event.mono
        elif isinstance(event, JobFinished) and event.job in started:
            spans.append((started[event.job], started[event.job] + event.seconds))
        elif isinstance(event, (EvaluationStarted, FoldStarted)):
            started[event.job] = event.mono
        elif isinstance(event, EvaluationFinished):
            start = started[f"e-{event.evaluation}"]
            spans.append((start, start + event.seconds))
        elif isinstance(event, FoldFinished):
            start = started[f"e-{event.evaluation}-{event.fold}"]
            spans.append((start, start + event.seconds))
    return spans


def _union(spans: Sequence[tuple[float, float]]) -> float:
    total, until = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _with_measured_overheads(day: Day, events: Sequence[Event]) -> Day:
    """The day with what the harness itself took for evaluations and folds."""
    took: dict[str, float] = {}
    for event in events:
        if isinstance(event, ToolStarted) and event.name == "evaluate":
            took[event.call] = -event.mono
        elif isinstance(event, ToolFinished) and event.name == "evaluate":
            took[event.call] += event.mono
    folds = {event.evaluation for event in events if isinstance(event, FoldStarted)}
    calls = {e.call: e.evaluation in folds for e in events if isinstance(e, EvaluationStarted)}
    single = [took[name] - day.evaluation for name, has_folds in calls.items() if not has_folds and name in took]
    many = [took[name] - day.evaluation for name, has_folds in calls.items() if has_folds and name in took]
    overhead = sum(single) / max(1, len(single))
    # Four other folds in two slots: two rounds.
    rounds = 2
    fold = (sum(many) / max(1, len(many)) - overhead) / rounds - day.evaluation if many else 0.0
    return replace(day, overhead=overhead, fold_overhead=max(0.0, fold))
