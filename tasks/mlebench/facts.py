"""Facts about the 82 competitions of MLE-bench: split, metric, thresholds and their sources, known defects."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tasks.metrics.medals import Thresholds

FOLDER = Path(__file__).parent
Split = Literal["low", "medium", "high", "dev"]
SPLITS: dict[str, tuple[str, ...]] = {
    "low": ("low",),
    "lite": ("low",),
    "medium": ("medium",),
    "high": ("high",),
    "dev": ("dev",),
    "all": ("low", "medium", "high"),
}
"""Names of splits. Lite is another name for low; `all` are the 75 competitions of the benchmark."""


@dataclass(frozen=True)
class Note:
    """A known defect or property. `listed`: it is in the benchmark's own list of known issues."""

    kind: Literal["broken", "leak", "quirk"]
    text: str
    listed: bool = False


@dataclass(frozen=True)
class Competition:
    """One competition. Paths are relative to `prepared/`; `md5` has keys `zip`, `public/NAME` and `private/NAME`.

    `confirmed`: whether the thresholds come from the official leaderboard file (leaderboard), or from a table with
    which independent sources agree in full, in part, or not at all.
    """

    id: str
    title: str
    split: Split
    category: str | None
    metric: str
    lower_is_better: bool
    awards_medals: bool
    size_gb: float | None
    answers: str
    sample: str
    ids: tuple[str, ...]
    targets: tuple[str, ...]
    sample_score: float | None
    md5: dict[str, str]
    thresholds: Thresholds
    confirmed: Literal["leaderboard", "full", "partial", "none"]
    confirmed_by: tuple[str, ...]
    about: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def is_native(self) -> bool:
        """Whether this package prepares and grades it; the others need the official package."""
        return self.split in ("low", "dev")

    @property
    def is_known_broken(self) -> bool:
        """Whether the benchmark lists it among its known issues. Officially such competitions still count."""
        return any(note.listed for note in self.notes)


@cache
def competitions() -> dict[str, Competition]:
    """All 82 by id, in the order low, medium, high, dev and by id within each."""
    entries = json.loads((FOLDER / "facts.json").read_text(encoding="utf-8"))["competitions"]
    order = {"low": 0, "medium": 1, "high": 2, "dev": 3}
    entries.sort(key=lambda entry: (order[entry["split"]], entry["id"]))
    return {entry["id"]: _competition(entry) for entry in entries}


def _competition(entry: dict[str, Any]) -> Competition:
    sums = {"zip": entry["md5"]["zip"]}
    for side in ("private", "public"):
        sums |= {f"{side}/{name}": value for name, value in entry["md5"][side].items()}
    teams = entry["teams"] or entry.get("teams_estimate")
    score = entry["sample_score"]
    return Competition(
        **{name: entry[name] for name in ("id", "title", "split", "category", "metric", "lower_is_better")},
        **{name: entry[name] for name in ("awards_medals", "size_gb", "answers", "sample", "confirmed")},
        ids=tuple(entry["ids"]),
        targets=tuple(entry["targets"]),
        sample_score=score if isinstance(score, (int, float)) else None,
        md5=sums,
        thresholds=Thresholds(**entry["thresholds"], rows=teams),
        confirmed_by=tuple(entry["confirmed_by"]),
    )


@cache
def with_notes(name: str) -> Competition:
    """A competition with its notes and its summary."""
    import yaml

    notes = yaml.safe_load((FOLDER / "notes.yaml").read_text(encoding="utf-8"))
    return _with_entry(competitions()[name], notes.get(name, {}))


@cache
def all_with_notes() -> dict[str, Competition]:
    """All 82 by id, with their notes."""
    import yaml

    notes = yaml.safe_load((FOLDER / "notes.yaml").read_text(encoding="utf-8"))
    return {name: _with_entry(one, notes.get(name, {})) for name, one in competitions().items()}


def _with_entry(competition: Competition, entry: dict[str, Any]) -> Competition:
    notes = tuple(Note(**note) for note in entry.get("notes", ()))
    return replace(competition, about=entry.get("about", ""), notes=notes)


def in_split(split: str) -> list[Competition]:
    """The competitions of a split, with notes. Raises KeyError for an unknown split."""
    wanted = SPLITS[split]
    return [one for one in all_with_notes().values() if one.split in wanted]


def format_notes(notes: Iterable[Note]) -> list[str]:
    """The notes as lines of text."""
    return [f"{note.kind}{' (listed upstream)' if note.listed else ''}: {note.text}" for note in notes]
