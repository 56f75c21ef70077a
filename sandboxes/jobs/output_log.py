"""The log of a job's output, with a size limit. Standard library only: runs inside containers."""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH102

from __future__ import annotations

import contextlib
import os

TAIL_BYTES = 65536
"""How much of the end is kept of an output that passed its limit."""
BUFFER_BYTES = 1 << 18


def open_log(job: str) -> int:
    """Create `.logs/<job>/log`, which the agent can read, and a link to it in the job's folder."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(f".logs/{job}")
    log = os.open(f".logs/{job}/log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with contextlib.suppress(FileExistsError):
        os.link(f".logs/{job}/log", f"{job}/log")
    return log


class OutputLog:
    """Copies a job's output to its log up to `limit` bytes; counts the rest and keeps its end."""

    def __init__(self, log: int, limit: int) -> None:
        self.log, self.limit = log, limit
        self.seen = self.written = 0
        self.tail = bytearray()
        self.last_line = ""
        self.buffer = memoryview(bytearray(BUFFER_BYTES))

    def read_pipe(self, pipe: int, rounds: int = 64) -> bool:
        """Copy what the pipe holds now; False once every writer has closed it."""
        for _ in range(rounds):
            try:
                count = os.readv(pipe, [self.buffer])
            except BlockingIOError:
                return True
            if count == 0:
                return False
            self.add(self.buffer[:count])
        return True

    def add(self, chunk: memoryview) -> None:
        """Append output: to the log while there is room, else to the tail."""
        self.seen += len(chunk)
        room = min(self.limit - self.written, len(chunk))
        done = self._write(chunk[:room]) if room else 0
        self.written += done
        if done < len(chunk):
            if not self.tail:
                self.limit = self.written
                self._write(b"\n[harness: the log is full here; the rest is counted, and its end is kept]\n")
            self.tail += chunk[max(done, len(chunk) - TAIL_BYTES) :]
            del self.tail[:-TAIL_BYTES]

    def finish(self) -> int:
        """Write the tail and a last line that says how much is missing; returns the bytes of output kept."""
        kept = self.written + len(self.tail)
        if self.tail:
            missing = self.seen - kept
            self._write(f"[harness: {missing} bytes are missing here]\n".encode() if missing else b"")
            self._write(self.tail)
            self._write(f"\n[harness: the output was cut: {kept} of {self.seen} bytes are kept]\n".encode())
        if self.last_line:
            self._write(f"\n{self.last_line}\n".encode())
        return kept

    def _write(self, data: bytes | bytearray | memoryview) -> int:
        """Write to the log; a full disk ends the log, not the job."""
        done = 0
        with contextlib.suppress(OSError):
            while done < len(data):
                done += os.write(self.log, data[done:])
        return done
