"""`harness prepare`: a competition's data from Kaggle, or from files that are there, to a task that can be played."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors
from harness.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def prepare_competition(
    name: str, settings: Settings, raw: Path | None = None, accepts_differences: bool = False, endpoint: str = ""
) -> int:
    """Prepare a competition and say what was checked. `endpoint` is another server than Kaggle's. Raises TaskError."""
    from tasks.mlebench.prepare import known, prepare
    from tasks.mlebench.transfer_rate import Took

    if not known(name):
        _refuse(name)
    raw = raw.expanduser().absolute() if raw else None
    if raw is not None and not raw.exists():
        errors.fail(f"{raw} is not there: name the folder of Kaggle's files, or {name}.zip")
    with _Progress() as progress:
        if raw is None:
            _download(name, settings, endpoint, progress)
        started = time.monotonic()
        ready = prepare(name, settings.home, raw, progress.tell, accepts_differences)
    for difference in ready.differences:
        print(f"differs from the benchmark's file: {difference}")
    if ready.was_ready:
        print(f"{name} is prepared already, in {ready.folder}. To make it anew, delete {ready.folder / 'prepared'}")
        return errors.DONE
    seconds = time.monotonic() - started
    for took in ready.took:
        print(took)
    same = ready.checked - len(ready.differences)
    print(f"{name} is prepared in {ready.folder}")
    print(f"{same} of {ready.checked} known checksums agree" if ready.checked else "no checksums are known")
    if ready.differences:
        print("its scores are not comparable with those of the benchmark")
    print(f"Play it: harness run {name}")
    what = "all of the raw files" + (", some of them by an earlier start" if ready.went_on else "")
    print(Took(what, ready.raw_size, seconds) if ready.raw_size else f"after {seconds:,.1f} s")
    return errors.DONE


def _refuse(name: str) -> None:
    from difflib import get_close_matches

    from tasks.examples.prepare import EXAMPLES
    from tasks.mlebench.facts import competitions

    if name in EXAMPLES:
        errors.fail(f"{name} is an example: it is prepared by itself. Play it: harness run {name}")
    near = get_close_matches(name, competitions(), n=1, cutoff=0.5)
    meant = f" Did you mean {near[0]}?" if near else ""
    errors.fail(f"there is no competition {name!r}.{meant} `harness tasks --split all` lists them")


def _download(name: str, settings: Settings, endpoint: str, progress: _Progress) -> None:
    """Get Kaggle's zip, unless the data or the zip are there, or the official package gets it."""
    from tasks.mlebench.facts import competitions
    from tasks.mlebench.prepare import folder_of, is_prepared

    raw = folder_of(name, settings.home) / "raw"
    if is_prepared(name, settings.home) or (raw / f"{name}.zip").is_file() or not competitions()[name].is_native:
        return
    from tasks.kaggle import Kaggle

    progress.tell(f"downloading {name}.zip", 0, 0)
    kaggle = Kaggle(endpoint or None, lambda text: progress.tell(text, 0, 0))
    kaggle.download(name, raw, shows=sys.stderr.isatty())


class _Progress:
    """What is being done, on stderr: a bar on a terminal, a line a step elsewhere."""

    def __init__(self) -> None:
        self._last = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> _Progress:
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
        """Show a step, `done` of `total`; 0 where that is not known."""
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
