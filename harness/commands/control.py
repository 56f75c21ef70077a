"""`harness steer`, `pause`, `stop`, `extend`, and `resume` of a paused run: ask a run that another process plays."""

from __future__ import annotations

from pathlib import Path

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from runs.control.ask import ask
from runs.control.requests import Continue, Extend, Pause, Request, Steer, Stop
from runs.journal import is_driven, read_events
from runs.state import fold


def ask_run(run: str, request: Request, settings: Settings) -> int:
    """Send a request to a run and print the answer."""
    print(answer_of(find_run(run, settings), request, settings))
    return errors.DONE


def answer_of(folder: Path, request: Request, settings: Settings) -> str:
    """The answer to a request. Raises `ControlRefused`, `JournalError`."""
    return ask(folder, request, is_graded=is_graded(folder, settings))


def is_graded(folder: Path, settings: Settings) -> bool:
    """Whether a run has been graded against the private answers."""
    return any((settings.grades / f"{folder.name}{kind}").exists() for kind in (".json", ".kaggle.json"))


def continue_live(folder: Path, settings: Settings) -> bool:
    """End the pause of a run that is being played; False if it is not played, or not paused."""
    if not is_driven(folder) or not fold(read_events(folder)).control.is_paused:
        return False
    print(answer_of(folder, Continue(), settings))
    return True


__all__ = ["Extend", "Pause", "Steer", "Stop", "answer_of", "ask_run", "continue_live", "is_graded"]
