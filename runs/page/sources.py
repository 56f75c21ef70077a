"""Where the pages come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from runs.events.registry import Event
from runs.page.facts.sweep import SweepFacts
from runs.page.facts.window import SeenWindow


@dataclass(frozen=True)
class Sources:
    """Folders, and what other rooms know. `window_of` rebuilds the window that a request sent, from the events before
    it; `others` are run folders outside `runs`, by name. `sweeps` lists the names of sweeps, `sweep` gives the facts of
    one (None: there is none of this name)."""

    runs: Path
    grades: Path
    window_of: Callable[[Iterable[Event]], SeenWindow]
    others: dict[str, Path]
    sweeps: Callable[[], list[str]]
    sweep: Callable[[str], SweepFacts | None]
