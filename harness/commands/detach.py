"""`harness run --detach`: start a run in a separate session that outlives the terminal, and return its id.

The run is an ordinary `harness run` whose id is chosen here. Its output goes to `output.log` in the run folder. Until
the run is played, that output is shown here too.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import errors
from harness.settings import Settings
from harness.startup.create_run import RunRequest, new_run_id, resolve_settings
from runs.journal import EVENTS, is_driven
from tasks.catalog import find_task

LOG = "output.log"
LOOK_SECONDS = 0.1
PLAYED_SECONDS = 30.0
"""How long a run that exists may take until its process has taken it up."""
STOP_SECONDS = 10.0


def start_detached(request: RunRequest, words: Sequence[str], settings: Settings) -> int:
    """Start a run with the words of its command line, wait until it is played, and print its id."""
    task = find_task(request.task, settings.home)
    run_id = request.run_id or new_run_id(task.id, resolve_settings(request, task, settings).settings.seed)
    folder, draft = settings.runs / run_id, settings.runs / f".{run_id}.{LOG}"
    if is_driven(folder):
        errors.fail(f"{run_id} is being played already: look at it with `harness attach {run_id}`")
    settings.runs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "harness", *_child_words(words, run_id)]
    process: subprocess.Popen[bytes] | None = None
    try:
        with _late_interrupt(), draft.open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        code = _await_play(process, folder, draft)
    except KeyboardInterrupt:
        if process is not None:
            _stop(process)
        raise
    finally:
        _move_log(draft, folder)
    if code is not None:
        return code
    print(run_id, flush=True)
    errors.say(f"look at it with `harness attach {run_id}`, end it with `harness stop {run_id}`")
    return errors.DONE


@contextlib.contextmanager
def _late_interrupt() -> Iterator[None]:
    """Delay the KeyboardInterrupt of a Ctrl-C to the end of the block, when a process that the block starts is
    known.
    """
    came: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if came:
        raise KeyboardInterrupt


def _child_words(words: Sequence[str], run_id: str) -> list[str]:
    own = [word for word in words if word not in ("--detach", "--plain")]
    has_id = any(word.partition("=")[0] == "--resume-or-start" for word in own)
    return [*own, "--plain", *([] if has_id else ["--resume-or-start", run_id])]


def _await_play(process: subprocess.Popen[bytes], folder: Path, log: Path) -> int | None:
    """Wait until the run is played; its exit code where it ended before. What it says is shown."""
    shown, exists_since = 0, None
    while process.poll() is None:
        shown = _show(log, shown)
        if (folder / EVENTS).is_file():
            exists_since = exists_since or time.monotonic()
            if is_driven(folder) or time.monotonic() - exists_since > PLAYED_SECONDS:
                return None
        time.sleep(LOOK_SECONDS)
    _show(log, shown)
    return process.returncode


def _show(log: Path, start: int) -> int:
    """Copy what the log has beyond `start` to standard error; returns where it ends."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
        if text:
            with contextlib.suppress(OSError):
                print(text, end="", file=sys.stderr, flush=True)
        return file.tell()


def _move_log(draft: Path, folder: Path) -> None:
    """Put the log into the run folder, where its process continues to write to it; remove the log of a start that made
    no run.
    """
    with contextlib.suppress(OSError):
        if folder.is_dir():
            draft.rename(folder / LOG)
        else:
            draft.unlink()
            folder.with_name(f".{folder.name}.creating").unlink()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the process that was started, as Ctrl-C would."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
