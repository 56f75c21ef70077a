"""Progress of a command that works in steps: a bar in a terminal, one line per step elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class StepProgress:
    """Progress on stderr: a bar in a terminal, one line per step elsewhere."""

    def __init__(self) -> None:
        self._last = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> StepProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, step: str, done: int, total: int) -> None:
        """Show a step, `done` of `total` (0: unknown)."""
        is_new = step != self._last
        self._last = step
        if self._bar is None:
            if is_new:
                print(step, file=sys.stderr, flush=True)
            return
        if is_new:
            self._task = self._bar.add_task(step, total=total or None)
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total or None)
