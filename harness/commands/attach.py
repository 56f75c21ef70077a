"""`harness attach`: follow a run that another process plays, from its journal. Any number of people may look at it."""

from __future__ import annotations

import time
from pathlib import Path

from harness import errors
from harness.commands.show import find_run
from harness.run import Screen
from harness.settings import Settings
from runs.follow import JournalFollower
from runs.journal import is_driven
from runs.state import State

LOOK_SECONDS = 0.25
DRIVEN_SECONDS = 2.0
"""How often it is checked that a process plays the run."""
TAIL_BYTES = 2_000


def attach(run: str, settings: Settings, screen: Screen) -> int:
    """Show a run until it ends or pauses, or until Ctrl-C, which leaves the run alone."""
    folder = find_run(run, settings)
    if not is_driven(folder):
        errors.fail(
            f"nobody plays {folder.name}: read it with `harness show {folder.name}`, or continue it with "
            f"`harness resume {folder.name}`"
        )
    try:
        _follow(folder, screen)
    except KeyboardInterrupt:
        screen.close()
        errors.say(f"{folder.name} continues; watch it again with `harness attach {folder.name}`")
    return errors.DONE


def _follow(folder: Path, screen: Screen) -> None:
    journal, state, checked_at = JournalFollower(folder), State(), time.monotonic()
    past = list(journal.read_new())
    for event in past:
        state.apply(event)
    if past:
        screen.show(state, past[-1])
    is_live = True
    while is_live and not state.ended:
        time.sleep(LOOK_SECONDS)
        if time.monotonic() - checked_at > DRIVEN_SECONDS:
            is_live, checked_at = is_driven(folder), time.monotonic()
        for event in journal.read_new():
            state.apply(event)
            screen.show(state, event)
        screen.alive(state, "", _tail(folder, state))
    if not is_live and not (state.ended or state.paused):
        screen.close()
        errors.say(f"the process that played {folder.name} is gone: `harness resume {folder.name}` continues the run")


def _tail(folder: Path, state: State) -> str:
    """The end of the output of a job that runs now."""
    running = [job for lane in list(state.lanes.values()) for job in lane.open_jobs] + list(state.evaluation_jobs)
    for job in reversed(running):
        log = folder / "jobs" / ".logs" / job / "log"
        try:
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - TAIL_BYTES))
                return file.read(TAIL_BYTES).decode(errors="replace")
        except OSError:
            continue
    return ""
