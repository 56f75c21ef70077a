"""A run with an endpoint that fails every third time equals one without failures."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runs.events.registry import Event, ModelFailed, ModelReplied, RunEnded
from runs.state import fold
from tests.playing import SOLUTION, call, events_of, jobs_of, normalised, only_run, reply, turns_asked
from tests.servers.chat_server import ChatServer, Message, Received
from tests.servers.faults import FAULTS, PASSING

CHANCE = 0.35
SLOW_ONES = 6
PATIENT = """
import os, sys
from harness.startup.open_run import RunRequest, start
from harness.ui.live import open_screen
from harness.settings import load_settings
settings = load_settings({**os.environ, "HARNESS_HOME": sys.argv[2]})
patience = {"call": 4.0, "stall": 3.0, "first_wait": 0.01, "longest_wait": 0.05}
flags = {"model": "m", "base_url": sys.argv[1], "attempts": int(sys.argv[3]), "sandbox": "local"}
flags |= {f"model_{name}_seconds": value for name, value in patience.items()}
sys.exit(start(RunRequest("digits", flags), settings, open_screen(False, True)))
"""
"""The same as the command line does, but with little patience: a storm of hours is played in a minute."""

SLOW = tuple(name for name in PASSING if "stall" in name or "drip" in name)
QUICK = tuple(name for name in (*PASSING, "422_extra_field") if name not in SLOW and "hangs" not in name)
WITHOUT_USAGE = ("lost_usage", "odd_usage", "reset_after_finish", "hangs_after_done")


def clerk(turns: int, request: dict[str, Any]) -> Message:
    """Writes, reads, edits and runs small things, so many turns an attempt; the last two evaluate and finish."""
    messages = request["messages"]
    found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
    if not found:
        return {"content": "ok"}
    attempt, step = int(found[-1]), sum(message["role"] == "assistant" for message in messages)
    name = f"notes/{step // 10}.txt"
    steps = [
        [call("write_file", path="solution.py", content=SOLUTION), call("write_file", path=name, content="0")],
        [call("edit_file", path="solution.py", old="GUESS = 0", new=f"GUESS = {attempt}")],
        [call("read_file", path=name), call("read_file", path=f"missing-{step}.txt")],
        [call("bash", command=f"echo {step} >> {name}; cat {name}")]
        if step % 30 == 3
        else [call("read_file", path=name)],
        *[[call("write_file", path=name, content=f"{step}, ja ☀️\n" * 5)]] * 6,
    ]
    calls = steps[step % 10]
    if step == turns - 2:
        calls = [call("evaluate", command="python solution.py")]
    if step == turns - 1:
        calls = [call("finish", did=f"guessed {attempt}", criticism="", next="", lessons=[])]
    return reply(f"step {step} — of attempt {attempt}", *calls, tag=f"{attempt}_{step}")


def storm(luck: random.Random) -> Any:
    """Faults for the requests of a run: each quick one before any comes again; slow ones, with seconds of waiting, are
    few.
    """
    slow, quick = [*SLOW, *SLOW][:SLOW_ONES], list[str]()

    def fault(request: dict[str, Any]) -> str:
        if "attempt: " not in str(request["messages"][1:2]) or luck.random() > CHANCE:
            return ""
        if slow and luck.random() < 0.05:
            return slow.pop()
        if not quick:
            quick.extend(luck.sample(QUICK, len(QUICK)))
        return quick.pop()

    return fault


def played(home: Path, server: ChatServer, attempts: int) -> list[Event]:
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PATIENT, server.url, str(home), str(attempts)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert not server.broken
    return events_of(only_run(home))


def is_whole(one: Received) -> bool:
    """Whether the server gave this request a whole answer."""
    outcome = FAULTS[one.fault].outcome if one.fault else "in place"
    return outcome == "in place" or (outcome == "without it" and "stream_options" not in one.json)


@pytest.mark.slow(seconds=90)
def test_turns_with_faults_end_as_without(full: bool, tmp_path: Path) -> None:
    """180 turns; 500 with `--full`."""
    attempts, turns = (5, 100) if full else (2, 90)
    script = partial(clerk, turns)
    begun = time.monotonic()
    with ChatServer(script, piece=40) as server:
        calm = played(tmp_path / "calm", server, attempts)
    half = time.monotonic()
    with ChatServer(script, storm(random.Random(11)), piece=40) as server:
        stormy = played(tmp_path / "stormy", server, attempts)
        asked = turns_asked(server)
    print(f"calm {half - begun:.0f} s, stormy {time.monotonic() - half:.0f} s, {len(asked)} requests")
    assert normalised(stormy, tmp_path / "stormy") == normalised(calm, tmp_path / "calm")
    assert jobs_of(stormy) == jobs_of(calm)
    replies = [event for event in stormy if isinstance(event, ModelReplied)]
    assert len(replies) == attempts * turns and isinstance(stormy[-1], RunEnded)
    state = fold(stormy)
    assert state.breaches == 0 and state.turns == attempts * turns

    met = Counter(one.fault for one in asked if one.fault)
    assert len(met) > 50, "a storm of many kinds"
    failures = [event for event in stormy if isinstance(event, ModelFailed)]
    assert all(event.again_in is not None for event in failures), "none was given up"
    assert len(failures) == sum(count for name, count in met.items() if FAULTS[name].outcome == "again")

    answers = [one for one in asked if is_whole(one)]
    times = Counter(one.body.partition(b'],"tools"')[0] for one in answers)
    assert set(times.values()) == {1} and len(times) == len(replies), "no answer that was paid for was asked for again"
    for one, event in zip(answers, replies, strict=True):
        assert event.usage.estimated == (one.fault in WITHOUT_USAGE), one.fault
        if not event.usage.estimated:
            assert event.usage.prompt == len(json.dumps(one.json)) // 4 + 1, "as the server counted"
    lost = sum(FAULTS[one.fault].is_paid for one in asked if one.fault)
    assert lost and len(asked) == len(replies) + len(failures) + met["422_extra_field"] - sum(
        one.fault == "422_extra_field" and is_whole(one) for one in asked
    )
