"""What a run records at its start for those who read its result: the machine, and known defects of the task."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from runs.run_settings import RunSettings
from tasks.task import Task

CPU_NAME = re.compile(r"^(?:model name|Model|Hardware)\s*:\s*(\S.*)$", re.MULTILINE)


def hardware(settings: RunSettings) -> list[str]:
    """Cores, memory and GPUs of this machine, a line each. GPUs are left out if the run may use none."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [f"{len(os.sched_getaffinity(0))} cores ({cpu_name()})", f"{memory:.1f} GB of memory"]
    if settings.gpus in (0, "none"):
        return lines
    from sandboxes.gpus import query_gpus

    gpus = query_gpus()[0]
    wanted = "all that are free" if settings.gpus == "all" else f"{settings.gpus}"
    return [*lines, *(f"GPU {gpu.name}, {gpu.memory_total / 2**30:.0f} GB" for gpu in gpus), *_uses(wanted, len(gpus))]


def _uses(wanted: str, count: int) -> list[str]:
    return [f"the run may use {wanted} of them"] if count else ["no GPU"]


def cpu_name() -> str:
    """The name of the processor, or its architecture."""
    try:
        found = CPU_NAME.search(Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return " ".join(found[1].split()) if found else platform.machine()


def defects(task: Task) -> list[str]:
    """Known defects of a task from MLE-bench, a line each; those of other tasks are not known."""
    from tasks.mlebench.facts import competitions, format_notes, with_notes

    if task.competition not in competitions():
        return []
    return format_notes(note for note in with_notes(task.competition).notes if note.kind != "quirk")
