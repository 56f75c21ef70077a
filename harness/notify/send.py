"""Deliver notices and events from a separate thread: a slow or broken receiver never holds up the run."""

from __future__ import annotations

import json
import queue
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness import errors
from harness.notify.notices import Notice
from tasks.subprocesses import harmless_environment

COMMAND_SECONDS = 30.0
CLOSE_SECONDS = 40.0
"""How long the end of a run waits for the last deliveries."""


@dataclass(frozen=True)
class Message:
    """What is delivered: a notice of its own, or a line about an event. `event` are the event's fields."""

    run: str
    task: str
    notice: Notice
    event: dict[str, Any]


class Sender:
    """Runs the command of `--on-event` for each message, and sends notices to the addresses in config.toml.

    Raises `UsageError` for a command that does not exist, an address that apprise does not know, or without apprise.
    """

    def __init__(self, command: str, addresses: Sequence[str], say: Callable[[str], None]) -> None:
        self._command = _checked_command(command)
        self._apprise = [_opened(address) for address in addresses]
        self._say = say
        self._queue: queue.Queue[Message | None] = queue.Queue()
        self._failed: set[str] = set()
        self._thread = threading.Thread(target=self._deliver, name="notify", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Deliver a message soon, after those before it."""
        self._queue.put(message)

    def close(self) -> None:
        """Deliver what is left, within `CLOSE_SECONDS`."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _deliver(self) -> None:
        while (message := self._queue.get()) is not None:
            if self._command:
                self._run(message)
            if message.notice.kind != "other":
                self._notify(message)

    def _run(self, message: Message) -> None:
        record = {
            "run": message.run,
            "task": message.task,
            "kind": message.notice.kind,
            "text": message.notice.text,
            "event": message.event,
        }
        name = self._command[0]
        try:
            done = subprocess.run(
                self._command,
                input=json.dumps(record).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=harmless_environment(),
                timeout=COMMAND_SECONDS,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            self._fail(f"--on-event: {name} took longer than {COMMAND_SECONDS:.0f} s and was ended")
        except OSError as error:
            self._fail(f"--on-event: {name} cannot be started: {error.strerror}")
        else:
            if done.returncode:
                last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
                self._fail(f"--on-event: {name} exited with {done.returncode}: {last[0][:200]}")

    def _notify(self, message: Message) -> None:
        for scheme, receiver in self._apprise:
            if not receiver.notify(title=f"{message.task}: {message.notice.kind}", body=message.notice.text):
                self._fail(f"a notification to {scheme} was not taken")

    def _fail(self, text: str) -> None:
        """Say once what does not work. The run continues."""
        if text not in self._failed:
            self._failed.add(text)
            self._say(f"warning: {text}")


def _checked_command(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        errors.fail(f"--on-event {command}: {error}")
    if words and shutil.which(words[0]) is None:
        errors.fail(f"--on-event: there is no program {words[0]}")
    return words


def _opened(address: str) -> tuple[str, Any]:
    """An address as apprise uses it, and its scheme; the rest of it is secret."""
    scheme = address.partition(":")[0]
    try:
        import apprise
    except ImportError:
        errors.fail("notifications need the package apprise: pip install 'open-harness[notify]'")
    receiver = apprise.Apprise()
    if not receiver.add(address):
        errors.fail(f"notify: the {scheme} address in config.toml or HARNESS_NOTIFY is not one that apprise knows")
    return scheme, receiver
