"""Measures the use of GPUs with `nvidia-smi`, where a job runs. Standard library only: runs inside containers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

TOOLS = ("/usr/bin/nvidia-smi", "/usr/local/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi")
ANSWER_SECONDS = 20.0
SAMPLE_SECONDS = 60.0
"""Between two samples of one job: the tool may take a second."""


def query_use(gpus: str = "") -> list[tuple[int, int]]:
    """The use of each GPU in per cent and the bytes in use, whoever uses them; empty if there is no GPU.

    `gpus` names those to ask about, separated by commas (empty: all that this process sees).
    """
    import subprocess  # a runner is kept for every job; few need this

    asked = _ask(gpus)
    if asked is None:
        return []
    try:
        return _read_answer(asked.communicate(timeout=ANSWER_SECONDS)[0])
    except (OSError, subprocess.SubprocessError):
        asked.kill()
        return []


def _ask(gpus: str) -> subprocess.Popen[bytes] | None:
    tool = next(filter(os.path.exists, TOOLS), None)
    if tool is None:
        return None
    import subprocess

    query = [tool, "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    query += [f"--id={gpus}"] if gpus else []
    try:
        return subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def _read_answer(output: bytes) -> list[tuple[int, int]]:
    rows = [[cell.strip() for cell in line.split(",")] for line in output.decode("utf-8", "replace").splitlines()]
    return [(int(row[0]), int(row[1]) << 20) for row in rows if len(row) == 2 and all(map(str.isdigit, row))]


class GpuUse:
    """Samples the GPUs of one job: `visible` is its CUDA_VISIBLE_DEVICES (None: not set, so all; empty: none).

    The tool is not waited for, since a driver that hangs must not hold up the end of a job.
    """

    def __init__(self, visible: str | None) -> None:
        self.gpus = visible
        self.next_at = time.monotonic() + SAMPLE_SECONDS / 4
        self.shares: list[float] = []
        self.peak_bytes = 0
        self._asked: subprocess.Popen[bytes] | None = None
        self._answer, self._give_up_at = b"", 0.0

    @property
    def is_asking(self) -> bool:
        """Whether the tool runs; what it uses does not count as use by the job."""
        return self._asked is not None

    def sample(self, now: float) -> None:
        """Read the answer of the tool, or ask if it is time to; it is not asked again where there are no GPUs."""
        if self._asked is not None:
            self._collect(self._asked, now)
        elif self.gpus != "" and now >= self.next_at:
            self._asked = _ask(self.gpus or "")
            self._answer, self._give_up_at, self.next_at = b"", now + ANSWER_SECONDS, now + SAMPLE_SECONDS
            if self._asked is None:
                self.gpus = ""

    def _collect(self, asked: subprocess.Popen[bytes], now: float) -> None:
        assert asked.stdout is not None
        os.set_blocking(asked.stdout.fileno(), False)
        try:
            while piece := os.read(asked.stdout.fileno(), 65536):
                self._answer += piece
        except BlockingIOError:
            if now < self._give_up_at:
                return
            self._answer = b""
        found = _read_answer(self._answer)
        self.close()
        if not found:
            self.gpus = ""
            return
        self.shares.append(sum(share for share, _ in found) / len(found))
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in found))

    def close(self) -> None:
        """End the tool, which is not a process of the job."""
        if self._asked is not None and self._asked.stdout is not None:
            self._asked.kill()
            self._asked.stdout.close()
        self._asked = None

    @property
    def share(self) -> float | None:
        """The mean use of the GPUs in per cent; None if they were never asked."""
        return round(sum(self.shares) / len(self.shares), 1) if self.shares else None
