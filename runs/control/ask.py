"""Send a request to a run, as the command line and the page do: check it, put it into the inbox, await the answer.

    ControlRefused   the run cannot do what was asked; the message says why and what to do instead

A run that nobody plays is steered and extended by taking it up for a moment: its journal then says so at once.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

from runs.control import inbox
from runs.control.answer import event_of, refusal
from runs.control.requests import Continue, Extend, Pause, Request, Steer, Stop
from runs.events.registry import Event, Paused, RequestRefused, Resumed
from runs.journal import Journal, is_driven, read_events
from runs.state import State, fold

LOOK_SECONDS = 0.1
ANSWER_SECONDS = 5.0
"""How long `ask` waits for the process that plays the run."""
DONE = {
    "pause": "paused: the clock and all jobs stand still",
    "continue": "the run continues",
    "stop": "the run ends: attempts are ended, then the final selection chooses the submission",
}


class ControlRefused(Exception):
    """The run cannot do what was asked."""


def ask(folder: Path, request: Request, *, is_graded: bool = False, seconds: float = ANSWER_SECONDS) -> str:
    """Send a request to a run; returns the outcome in words for a person. Raises `ControlRefused`, `JournalError`."""
    if is_graded:
        raise ControlRefused(f"{folder.name} has been graded against the private answers and can no longer be changed")
    state, is_live = fold(read_events(folder)), is_driven(folder)
    if why := refusal(state, request, is_live=is_live):
        raise ControlRefused(why)
    if not is_live:
        return _record_apart(folder, request)
    try:
        name = inbox.put(folder, request)
    except OSError as error:
        raise ControlRefused(f"{folder / inbox.INBOX} cannot be written ({error.strerror})") from error
    return _await_answer(folder, name, request, seconds)


def _await_answer(folder: Path, name: str, request: Request, seconds: float) -> str:
    until = time.monotonic() + seconds
    while inbox.is_waiting(folder, name) and time.monotonic() < until and is_driven(folder):
        time.sleep(LOOK_SECONDS)
    if inbox.is_waiting(folder, name):
        if not is_driven(folder) and inbox.withdraw(folder, name):
            raise ControlRefused(f"{folder.name} ended before it took the request")
        return "asked: the run is busy and takes the request as soon as it can"
    answer = fold(read_events(folder)).control.answers.get(name)
    if isinstance(answer, RequestRefused):
        raise ControlRefused(answer.why)
    return describe(request, answer)


def _record_apart(folder: Path, request: Request) -> str:
    """Carry out a request to a run that no process plays: open the run, record the event, and close it again."""
    if isinstance(request, Pause | Continue | Stop):
        raise ControlRefused(f"nobody plays {folder.name}: continue it with `harness resume {folder.name}`")
    with Journal.open(folder) as journal:
        state = State()
        for event in journal.past:
            state.apply(event)
        if why := refusal(state, request, is_live=False):
            raise ControlRefused(why)
        journal.append(Resumed(harness_version=version("open-harness"), torn=journal.torn is not None))
        answer = journal.append(event_of(state, request, f"apart-{len(journal.past)}"))
        done = "extended" if isinstance(request, Extend) else "steered"
        journal.append(Paused(why=f"{done} by a person"))
    return f"{describe(request, answer)}. Continue with: harness resume {folder.name}"


def describe(request: Request, answer: Event | None) -> str:
    """The outcome of a request that was carried out, in words."""
    if isinstance(request, Stop) and request.now:
        return "the run stops now and can be resumed"
    if isinstance(request, Steer):
        parts = ["the hint is told with the next tool result of each attempt"] if request.hint else []
        parts += [f"the next attempt starts from evaluation {request.evaluation}"] if request.evaluation else []
        return f"steered: {'; '.join(parts)}"
    if isinstance(request, Extend):
        limits = {name: getattr(answer, name, None) for name in request.added}
        return "extended to " + ", ".join(_limit_text(name, value) for name, value in limits.items() if value)
    return DONE[request.action]


def _limit_text(name: str, value: float) -> str:
    return {"hours": f"{value:g} h", "cost": f"${value:.2f}"}.get(name, f"{value:g} {name}")
