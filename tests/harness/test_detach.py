"""A detached run outlives its terminal, and people look at it without touching it. With real terminals (pty)."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runs.events.registry import Paused, RunEnded
from runs.journal import is_driven
from tests.playing import HARNESS, engineer, events_of, harness, only_run, variables, wait_until
from tests.servers.chat_server import ChatServer


class Terminal:
    """A terminal of its own with a shell command in it. `close` hangs it up, as closing its window does."""

    def __init__(self, home: Path, command: str) -> None:
        self.printed = ""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            os.chdir(home)
            os.execvpe("bash", ["bash", "-c", command], {**os.environ, **variables(home), "TERM": "xterm"})

    def read(self) -> str:
        """Everything that was printed up to now, without control sequences."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                self.printed += os.read(self._master, 65536).decode(errors="replace")
            except OSError:  # its programs have ended
                break
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.printed)

    def shows(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.read()

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._master)

    def code(self, seconds: float = 60.0) -> int:
        """The exit code of the command."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        raise AssertionError(f"not ended after {seconds:g} s: {self.read()[-500:]}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    (tmp_path / "marks").mkdir()
    with ChatServer(engineer(tmp_path / "marks", 0.5), piece=100_000) as one:
        yield one


def command(server: ChatServer, *more: str) -> str:
    words = [HARNESS, "run", "digits", "--attempts", "1", "--model", "scripted", "--base-url", server.url]
    return shlex.join(map(str, [*words, "--sandbox", "local", *more]))


def runs_of(home: Path) -> list[Path]:
    return [path for path in (home / "runs").glob("*") if not path.name.startswith(".")]


def await_end(home: Path) -> None:
    wait_until(lambda: bool(runs_of(home)) and isinstance(events_of(only_run(home))[-1], RunEnded), 90)
    wait_until(lambda: not is_driven(only_run(home)), 30)


def test_a_detached_run_survives_its_terminal_and_is_looked_at_twice(digits_home: Path, server: ChatServer) -> None:
    shell = Terminal(digits_home, f"{command(server, '--detach')}; exec sleep 300")
    wait_until(shell.shows("harness attach"), 60)
    folder = only_run(digits_home)
    assert folder.name in shell.read()
    watching = [Terminal(digits_home, f"exec {HARNESS} attach {folder.name}") for _ in range(2)]
    for terminal in watching:
        wait_until(terminal.shows("lane 1"), 30)
    shell.close()
    watching[0].type(b"\x03")
    assert watching[0].code() == 0
    assert "continues" in watching[0].read()
    assert is_driven(folder), "neither the end of its terminal nor Ctrl-C of a viewer ended the run"
    assert watching[1].code(90) == 0
    await_end(digits_home)
    assert "ended (attempts)" in watching[1].read()
    log = (folder / "output.log").read_text()
    assert "ended (attempts)" in log and "Traceback" not in log
    for terminal in watching:
        terminal.close()
    code, printed = harness(digits_home, "attach", "last")
    assert code == 2 and "nobody plays" in printed


@pytest.mark.slow
def test_a_terminal_that_is_closed_during_the_start_does_not_end_a_detached_run(
    digits_home: Path, server: ChatServer
) -> None:
    shell = Terminal(digits_home, f"exec {command(server, '--detach')}")
    wait_until(lambda: list((digits_home / "runs").glob(".*.output.log")) != [], 30)
    assert not runs_of(digits_home)
    shell.close()
    await_end(digits_home)


@pytest.mark.slow
def test_nohup_survives_the_end_of_the_terminal(digits_home: Path, server: ChatServer) -> None:
    shell = Terminal(digits_home, f"nohup {command(server, '--plain')} & exec sleep 300")
    wait_until(lambda: bool(runs_of(digits_home)) and len(events_of(only_run(digits_home))) > 5, 60)
    shell.close()
    await_end(digits_home)
    assert not any(isinstance(event, Paused) for event in events_of(only_run(digits_home)))


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed_can_be_resumed(digits_home: Path, server: ChatServer) -> None:
    shell = Terminal(digits_home, f"exec {command(server)}")
    wait_until(shell.shows("lane 1"), 60)
    shell.close()
    wait_until(lambda: not is_driven(only_run(digits_home)), 30)
    last = events_of(only_run(digits_home))[-1]
    assert isinstance(last, Paused) and "HUP" in last.why
    assert harness(digits_home, "resume", "last", "--plain")[0] == 0


@pytest.mark.slow
def test_a_start_that_fails_or_is_interrupted_leaves_nothing(digits_home: Path, server: ChatServer) -> None:
    code, printed = harness(digits_home, "run", "no-such-task", "--detach")
    assert code == 2 and "no-such-task" in printed
    code, printed = harness(
        digits_home, "run", "digits", "--detach", "--base-url", "http://127.0.0.1:9", "--model", "m"
    )
    assert code != 0 and "127.0.0.1:9" in printed
    assert list((digits_home / "runs").iterdir()) == []
    shell = Terminal(digits_home, f"exec {command(server, '--detach')}")
    wait_until(lambda: list((digits_home / "runs").glob(".*.output.log")) != [], 30)
    shell.type(b"\x03")
    assert shell.code() == 3
    assert not any(is_driven(folder) for folder in runs_of(digits_home))
