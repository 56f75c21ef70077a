"""`harness prepare`: turns a competition's data, from Kaggle or from local files, into a task that can be run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import errors
from harness.settings import Settings
from harness.ui.step_progress import StepProgress

if TYPE_CHECKING:
    from tasks.mlebench.prepare import Prepared


def prepare_competition(
    name: str, settings: Settings, raw: Path | None = None, accepts_differences: bool = False, endpoint: str = ""
) -> int:
    """Prepare a competition and print what was checked. `endpoint` replaces Kaggle's server. Raises TaskError."""
    from tasks.mlebench.prepare import is_competition, prepare

    if not is_competition(name):
        _refuse(name)
    raw = raw.expanduser().absolute() if raw else None
    if raw is not None and not raw.exists():
        errors.fail(f"{raw} does not exist. Give the folder with Kaggle's files, or {name}.zip")
    with StepProgress() as progress:
        if raw is None:
            _download(name, settings, endpoint, progress)
        started = time.monotonic()
        ready = prepare(name, settings.home, raw, progress.tell, accepts_differences)
    for difference in ready.differences:
        print(f"differs from the benchmark's file: {difference}")
    if ready.was_ready:
        print(f"{name} is prepared already, in {ready.folder}. To redo it, delete {ready.folder / 'prepared'}")
    else:
        _print_result(name, ready, time.monotonic() - started)
    return errors.DONE


def _print_result(name: str, ready: Prepared, seconds: float) -> None:
    from tasks.mlebench.transfer_rate import Timing

    for timing in ready.timings:
        print(timing)
    same = ready.checked - len(ready.differences)
    print(f"{name} is prepared in {ready.folder}")
    print(f"{same} of {ready.checked} known checksums match" if ready.checked else "no checksums are known")
    if ready.differences:
        print("its scores cannot be compared with the benchmark's")
    print(f"Run it: harness run {name}")
    label = "all raw files" + (", some of them in an earlier start" if ready.was_resumed else "")
    print(Timing(label, ready.raw_size, seconds) if ready.raw_size else f"after {seconds:,.1f} s")


def _refuse(name: str) -> None:
    from difflib import get_close_matches

    from tasks.examples.prepare import EXAMPLES
    from tasks.mlebench.facts import competitions

    if name in EXAMPLES:
        errors.fail(f"{name} is an example and needs no preparation. Run it: harness run {name}")
    near = get_close_matches(name, competitions(), n=1, cutoff=0.5)
    meant = f" Did you mean {near[0]}?" if near else ""
    errors.fail(
        f"MLE-bench has no competition {name!r}.{meant} `harness tasks --split all` lists all of them. If it is live "
        f"on Kaggle: harness new-task --kaggle {name}"
    )


def _download(name: str, settings: Settings, endpoint: str, progress: StepProgress) -> None:
    """Download Kaggle's zip, unless it or the data exist already, or the official package downloads it."""
    from tasks.mlebench.facts import competitions
    from tasks.mlebench.prepare import folder_of, is_prepared

    raw = folder_of(name, settings.home) / "raw"
    if is_prepared(name, settings.home) or (raw / f"{name}.zip").is_file() or not competitions()[name].is_native:
        return
    from tasks.kaggle import Kaggle

    progress.tell(f"downloading {name}.zip", 0, 0)
    kaggle = Kaggle(endpoint or None, lambda text: progress.tell(text, 0, 0))
    kaggle.download(name, raw, shows=sys.stderr.isatty())
