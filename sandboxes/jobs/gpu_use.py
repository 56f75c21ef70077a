"""The use of GPUs, as `nvidia-smi` tells it where a job runs. Standard library only: runs inside containers."""

from __future__ import annotations

import os
import time

TOOLS = ("/usr/bin/nvidia-smi", "/usr/local/bin/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi")
ANSWER_SECONDS = 20.0
SAMPLE_SECONDS = 60.0
"""Between two samples of one job: the tool may take a second."""


def query_use(gpus: str = "") -> list[tuple[int, int]]:
    """The use of each GPU in per cent and the bytes in use, whoever uses them; empty where there is no GPU.

    `gpus` names those to ask about, separated by commas (empty: all that this process sees).
    """
    tool = next(filter(os.path.exists, TOOLS), None)
    if tool is None:
        return []
    import subprocess  # a runner is kept for every job; few need this

    query = [tool, "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    query += [f"--id={gpus}"] if gpus else []
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=ANSWER_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines()]
    return [(int(row[0]), int(row[1]) << 20) for row in rows if len(row) == 2 and all(map(str.isdigit, row))]


class GpuUse:
    """Samples the GPUs of one job: `visible` is its CUDA_VISIBLE_DEVICES (None: not set, so all; empty: none)."""

    def __init__(self, visible: str | None) -> None:
        self.gpus = visible
        self.next_at = time.monotonic() + SAMPLE_SECONDS / 4
        self.shares: list[float] = []
        self.peak_bytes = 0

    def sample(self, now: float) -> None:
        """Ask the GPUs if it is time to; they are not asked again where there are none."""
        if self.gpus == "" or now < self.next_at:
            return
        found = query_use(self.gpus or "")
        if not found:
            self.gpus = ""
            return
        self.shares.append(sum(share for share, _ in found) / len(found))
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in found))
        self.next_at = time.monotonic() + SAMPLE_SECONDS

    @property
    def share(self) -> float | None:
        """The mean use of the GPUs in per cent; None if they were never asked."""
        return round(sum(self.shares) / len(self.shares), 1) if self.shares else None
