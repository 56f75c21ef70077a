"""What the jobs of a run used of processors, memory and GPUs: a fold over its events."""

from __future__ import annotations

from dataclasses import dataclass

from runs.events.registry import Event, FoldFinished, JobFinished

COUNTED = frozenset({JobFinished, FoldFinished})
"""Kinds of events that change the sums; others may be left out."""


@dataclass
class JobUse:
    """Sums over jobs: seconds, CPU seconds where they are known, and GPU seconds; and the most memory of one job.

    Other folds count by the steps that ran for them. `cpu_seconds` belongs to `metered` of the `seconds`.
    """

    jobs: int = 0
    seconds: float = 0.0
    metered: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    gpu_metered: float = 0.0
    gpu_seconds: float = 0.0
    gpu_bytes: int = 0

    def apply(self, event: Event) -> None:
        """Count what has ended."""
        if isinstance(event, JobFinished):
            self.add(event.seconds, event.cpu_seconds, event.peak_bytes)
            if event.gpu_percent is not None:
                self.gpu_metered += event.seconds
                self.gpu_seconds += event.seconds * event.gpu_percent / 100
                self.gpu_bytes = max(self.gpu_bytes, event.gpu_bytes)
        elif isinstance(event, FoldFinished):
            for step in event.steps:
                if not step.cached_from:
                    self.add(step.seconds, step.cpu_seconds, step.peak_bytes)

    def add(self, seconds: float, cpu_seconds: float | None, peak_bytes: int) -> None:
        """Count one job. `cpu_seconds` None and `peak_bytes` 0: not known."""
        self.jobs += 1
        self.seconds += seconds
        self.peak_bytes = max(self.peak_bytes, peak_bytes)
        if cpu_seconds is not None:
            self.metered += seconds
            self.cpu_seconds += cpu_seconds

    @property
    def cores(self) -> float | None:
        """How many cores were busy on average while a job ran; None if that is not known."""
        return self.cpu_seconds / self.metered if self.metered else None

    @property
    def gpu_share(self) -> float | None:
        """The mean use of the GPUs while a job that saw one ran; None if that is not known."""
        return self.gpu_seconds / self.gpu_metered if self.gpu_metered else None


def use_texts(use: JobUse) -> list[str]:
    """The use of processors, memory and GPUs in words; what is not known is left out."""
    texts = [] if use.cores is None else [f"{use.cores:.1f} cores on average"]
    texts += [f"peak memory {_size(use.peak_bytes)}"] if use.peak_bytes else []
    if use.gpu_share is not None:
        texts += [f"GPU utilization {use.gpu_share:.0%}", f"peak GPU memory {_size(use.gpu_bytes)}"]
    return texts


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.{1 if count < 1e10 else 0}f} GB"
