"""The log of a solution in several steps: what each printed, one after the other, where the agent reads a job's log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runs.events.registry import StepResult
from runs.files import replace_file

CHUNK_BYTES = 1 << 18


def write_log(
    jobs: Path, job: str, commands: Sequence[str], results: Sequence[StepResult], logs: Sequence[Path]
) -> None:
    """Write `.jobs/<job>/log` from the logs of its steps, unless a job of this id wrote it itself.

    Cached steps are among them, so that their output is shown again.
    """
    own, shown = jobs / job / "log", jobs / ".logs" / job / "log"
    if len(results) == 1 and results[0].job == job and not results[0].cached_from and own.exists():
        return
    for path in (own, shown):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755 if path == shown else 0o700)
    replace_file(shown, _sections(commands, results, logs))
    own.unlink(missing_ok=True)
    os.link(shown, own)


def _sections(commands: Sequence[str], results: Sequence[StepResult], logs: Sequence[Path]) -> Iterator[bytes]:
    for number, (command, result, log) in enumerate(zip(commands, results, logs, strict=False), 1):
        if len(commands) > 1 or result.cached_from:
            cached = f", cached from {result.cached_from}" if result.cached_from else ""
            yield f"[step {number}{cached}: {' '.join(command.split())[:200]}]\n".encode()
        with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
            last = b"\n"
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                last = chunk[-1:]
            if last != b"\n":
                yield b"\n"
