"""Kill a harness at random instants and let it go on, until its run has ended."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

from tests.playing import events_of, start_harness


def folder_of(home: Path) -> Path | None:
    runs = home / "runs"
    found = [path for path in runs.iterdir() if not path.name.startswith(".")] if runs.is_dir() else []
    return found[0] if found else None


def recorded(home: Path) -> int:
    """How many events the run has by now."""
    folder = folder_of(home)
    return len(events_of(folder)) if folder else 0


def let_run(process: subprocess.Popen[str], home: Path, chance: random.Random, most: float) -> None:
    """Usually wait until a process records its first event; then let it run for up to `most` seconds."""
    before, until = recorded(home), time.monotonic() + 60
    is_early = chance.random() < 0.1
    while not is_early and process.poll() is None and recorded(home) <= before and time.monotonic() < until:
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0.0, most))


def play_and_kill(
    home: Path, start: list[str], chance: random.Random, most_kills: int, most_seconds: float
) -> tuple[int, str]:
    """Play a run to its end and kill the harness at random instants; the number of kills, and the last output."""
    kills = 0
    while True:
        again = ["resume", "last", "--plain"] if folder_of(home) else start
        process = start_harness(home, *again)
        if kills < most_kills:
            let_run(process, home, chance, most_seconds)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
        printed, _ = process.communicate(timeout=120)
        if process.returncode != -signal.SIGKILL:
            return kills, printed


def refs_and_files(folder: Path) -> dict[str, str]:
    """Every ref of a run's repository and the files it points at, but solution.json: its command names the home."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder / "repo.git"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    refs = git("for-each-ref", "--format=%(refname)").split()
    return {ref: re.sub(r".*\tsolution.json\n", "", git("ls-tree", "-r", ref)) for ref in refs}
