"""Plant a key, play a run with errors that repeat it, and search for it everywhere."""

from __future__ import annotations

import base64
import gzip
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.settings import load_settings
from tests.playing import HARNESS, call, only_run, reply, with_digits
from tests.servers.chat_server import ChatServer, Exchange, Fault, Message

KEY = f"planted-{secrets.token_hex(8)}"
"""Each test process plants its own, since parallel tests see each other's processes."""
TRACES = (KEY.encode(), base64.b64encode(KEY.encode())[:20], KEY.encode().hex().encode())
LOOK = "env; tr '\\0' '\\n' < /proc/self/environ; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; "
LOOK += "find / -maxdepth 4 -name request.json 2>&1"
ISOLATED = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; cat ~/.harness/* /root/.netrc 2>&1; ls -a / ~ 2>&1"


def snooping(request: dict[str, Any], sandbox: str) -> Message:
    """Search the machine as an agent might, evaluate the sample, finish.

    The local sandbox isolates nothing: an agent that reads the memory of its owner's processes finds the key there.
    """
    messages = request["messages"]
    found = re.findall(r"^attempt: (\d+)$", messages[1]["content"] if messages[1:] else "", re.MULTILINE)
    if not found:
        return {"content": "ok"}
    steps = [
        call("bash", command=LOOK),
        call("bash", command=ISOLATED if sandbox == "bubblewrap" else "pwd"),
        call("evaluate", command="env; cp data/sample_submission.csv submission.csv"),
        call("finish", did="looked", criticism="", next="", lessons=[]),
    ]
    step = sum(message["role"] == "assistant" for message in messages)
    return reply(f"step {step}", steps[min(step, 3)], tag=f"{found[-1]}_{step}")


def echo(status: int) -> Fault:
    """An error that repeats the key in the forms that servers and proxies use."""
    said = f"Incorrect key provided: {KEY}. Headers: Authorization: Bearer {KEY}; https://h/?api_key={KEY}"
    return Fault(lambda exchange: exchange.answer(status, {"error": {"message": said, "code": KEY}}, retry_after="0"))


def echo_in_stream(exchange: Exchange) -> None:
    exchange.start()
    exchange.event(exchange.chunks()[0])
    exchange.event({"error": {"message": f"upstream refused Bearer {KEY}", "code": "502", "param": KEY}})
    exchange.done()


class Watcher:
    """Reads the command line and environment of every process of the machine during a run."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.looks = 0
        self.over = threading.Event()

    def look(self) -> None:
        while not self.over.wait(0.05):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    self._check(process)

    def _check(self, process: Path) -> None:
        line = (process / "cmdline").read_bytes()
        if KEY.encode() in line:
            self.found.append(f"command line {line!r}")
        # The harness itself was given the key, and between fork and exec its child has the same environment.
        # An empty command line belongs to a process in the middle of `exec`, which the next look sees whole.
        if line and str(HARNESS).encode() not in line and KEY.encode() in (process / "environ").read_bytes():
            self.found.append(f"environment of {line!r}")


@contextmanager
def watching() -> Iterator[Watcher]:
    watcher = Watcher()
    thread = threading.Thread(target=watcher.look, daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.over.set()
        thread.join()


def run_with_key(home: Path, way: str, *arguments: str) -> tuple[int, str]:
    """Run the installed command with the key in its environment, or in a file that only its owner can read."""
    environment = {k: v for k, v in os.environ.items() if "API_KEY" not in k} | {"HARNESS_HOME": str(home)}
    if way == "file":
        path = home.parent / "key"
        path.write_text(KEY)
        path.chmod(0o600)
        environment["HARNESS_API_KEY_FILE"] = str(path)
    else:
        environment["HARNESS_API_KEY"] = KEY
    done = subprocess.run(
        [sys.executable, str(HARNESS), *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def leaks(home: Path) -> list[str]:
    """Every file under `home` that contains the key, compressed or not."""
    files = []
    for path in (path for path in home.rglob("*") if path.is_file() and not path.is_symlink()):
        content = path.read_bytes()
        packed = [content]
        with suppress(OSError, EOFError, zlib.error):
            packed.append(gzip.decompress(content))
        with suppress(zlib.error):
            packed.append(zlib.decompress(content))
        if any(trace in one for trace in TRACES for one in packed):
            files.append(str(path))
    return files


def test_child_processes_do_not_inherit_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This includes processes that libraries start."""
    monkeypatch.setenv("HARNESS_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    assert load_settings().api_key == KEY
    assert KEY not in subprocess.run(["env"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("way", "sandbox"),
    [
        ("environment", "local"),
        ("environment", "bubblewrap"),
        pytest.param("file", "local", marks=pytest.mark.slow),
    ],
)
def test_planted_key_is_nowhere_after_a_run_with_errors(tmp_path: Path, way: str, sandbox: str) -> None:
    if sandbox == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    home = with_digits(tmp_path / "home")
    count = iter(range(100))
    storm = {1: echo(500), 2: echo(429), 4: Fault(echo_in_stream), 6: echo(402)}

    def faults(request: dict[str, Any]) -> Fault | str:
        return storm.get(next(count), "") if "attempt: " in str(request["messages"]) else ""

    with ChatServer(lambda request: snooping(request, sandbox), faults) as server, watching() as watcher:
        outputs = [
            run_with_key(home, way, "run", "digits", "--model", "m", "--base-url", server.url, "--sandbox", sandbox,
                  "--plain", "--attempts", "1"),
            run_with_key(home, way, "resume", "last", "--plain"),
            run_with_key(home, way, "show", "last", "--full"),
            run_with_key(home, way, "doctor", "--base-url", server.url, "--model", "m"),
        ]  # fmt: skip
        keys = {one.headers.get("authorization") for one in server.received}
    assert [code for code, _ in outputs] == [4, 0, 0, 0], "\n".join(text for _, text in outputs)
    assert keys == {f"Bearer {KEY}"}, "the key was used"
    assert "***" in outputs[0][1] and "upstream refused" in outputs[2][1], "errors are shown without the key"
    assert not [text for _, text in outputs if KEY in text]
    assert not leaks(home)
    assert not watcher.found[:3] and watcher.looks > 20
    jobs = only_run(home) / "jobs"
    assert list(jobs.rglob("*")), "jobs left files to search"


def test_crash_file_contains_no_key(digits_home: Path) -> None:
    code = (
        "import sys, harness.endpoint.request_body, harness.endpoint.stream as reader\n"
        "def broken(*_): return 1 / 0\n"
        "reader.read_chunks = broken\n"
        "from harness.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "HARNESS_HOME": str(digits_home), "HARNESS_API_KEY": KEY}
    with ChatServer() as server:
        arguments = ["run", "digits", "--model", "m", "--base-url", server.url, "--sandbox", "local", "--plain"]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1 and "crash-" in done.stderr
    (crash,) = digits_home.glob("crash-*.txt")
    assert "ZeroDivisionError" in crash.read_text()
    assert not leaks(digits_home) and KEY not in done.stderr + done.stdout
