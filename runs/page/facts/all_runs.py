"""The list of all runs: one row each, from its summary where that is as new as its journal, else from the journal."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runs.follow import JournalFollower
from runs.journal import EVENTS, is_driven
from runs.serialization import JournalError
from runs.state import State
from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED, duration_text, money_text, one_line, score_text
from runs.views.summary import read_summary, summary

COLUMNS = (
    ("run", False, False), ("task", False, True), ("model", False, True), ("status", False, False),
    ("best ±", True, False), ("medal", False, False), ("score over time", False, True), ("attempts", True, True),
    ("hours", True, True), ("dollars", True, True), ("cache hit", True, True),
)  # fmt: skip
"""Name, whether it is a number, and whether a narrow screen leaves it out."""
_CELLS = (
    "task", "model", "is_live", "marks", "score", "score_value", "medal", "spark", "attempts", "hours", "hours_value",
    "cost", "cost_value", "cache",
)  # fmt: skip


class AllRuns:
    """Rows of all runs under one folder; what was read is kept until a run's journal changes."""

    def __init__(self, folder: Path, grades: Path) -> None:
        self.folder = folder
        self.grades = grades
        self._known: dict[str, tuple[int, dict[str, Any]]] = {}
        self._live: dict[str, _Reading] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The ids of all runs, the newest first."""
        try:
            found = [entry.name for entry in os.scandir(self.folder) if entry.is_dir() and entry.name[:1] != "."]
        except OSError:
            return []
        return sorted(found, reverse=True)

    def stamp(self) -> tuple[tuple[str, int], ...]:
        """What changes when any run does."""
        return tuple((name, _mtime(self.folder / name / EVENTS)) for name in self.names())

    def rows(self) -> list[dict[str, Any]]:
        """A row per run, the newest first."""
        return [self._row(name) for name in self.names()]

    def grade(self, run_id: str) -> dict[str, Any] | None:
        """What `harness score` wrote about a run."""
        try:
            grade = json.loads((self.grades / f"{run_id}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return grade if isinstance(grade, dict) else None

    def facts(self, name: str) -> dict[str, Any]:
        """The summary of a run; `problem` says why there is none."""
        stamp = _mtime(self.folder / name / EVENTS)
        with self._lock:
            known = self._known.get(name)
            if known is None or known[0] != stamp:
                known = self._known[name] = (stamp, self._read(name))
        return known[1]

    def _read(self, name: str) -> dict[str, Any]:
        folder = self.folder / name
        known = _summary_of(folder)
        if known and _is_new(folder):
            return known
        reading = self._live.pop(name, None) or _Reading(folder)
        facts = reading.summary()
        if "problem" not in facts and is_driven(folder):
            self._live[name] = reading  # the next time only what is new is read
        return facts

    def preview(self, folder: Path) -> dict[str, Any] | None:
        """The row of a run from its summary as last written, and when that was; None if there is none."""
        known = _summary_of(folder)
        if known is None:
            return None
        row = self._row_of(folder, known)
        if not _is_new(folder) and is_driven(folder):  # it was extended, perhaps, and is played again
            row |= {"status": _status("", True), "is_live": True}
        return {**row, "last": known["last"], "score": "" if row["score_value"] == "" else row["score"]}

    def _row(self, name: str) -> dict[str, Any]:
        facts = self.facts(name)
        if "problem" in facts:
            return {**dict.fromkeys(_CELLS, ""), "id": name, "status": "broken", "problem": facts["problem"]}
        return self._row_of(self.folder / name, facts)

    def _row_of(self, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
        name = folder.name
        is_live = not facts["status"].startswith("ended") and is_driven(folder)
        grade, estimated = self.grade(name), facts["medal_estimate"] or ""
        score, noise = facts.get("score", facts.get("best_score")), facts.get("noise", facts.get("best_noise"))
        prompt = facts.get("prompt_tokens") or 0
        return {
            "id": name,
            "problem": "",
            "task": facts["task"],
            "model": facts["model"],
            "status": _status(facts["status"], is_live),
            "is_live": is_live,
            "marks": list(_marks(facts, grade is not None)),
            "score": score_text(score, noise),
            "score_value": "" if score is None else score,
            "medal": graded_medal(grade) or (estimated and f"{estimated} (estimate)"),
            "spark": spark(facts.get("progress") or [], facts["lower_is_better"]),
            "attempts": facts["attempts"],
            "hours": duration_text(facts["active_seconds"]),
            "hours_value": facts["active_seconds"],
            "cost": money_text(facts["cost"], facts["is_cost_estimated"], facts.get("is_cost_known", True)),
            "cost_value": facts["cost"],
            "cache": f"{facts.get('cached_tokens', 0) / prompt:.0%}" if prompt else "",
        }


def graded_medal(grade: dict[str, Any] | None) -> str:
    """The medal that `harness score` found; empty if it did not grade the run."""
    report = (grade or {}).get("report")
    if not isinstance(report, dict) or report.get("score") is None:
        return ""
    return next((name for name in ("gold", "silver", "bronze") if report.get(f"{name}_medal")), "no medal")


def _status(status: str, is_live: bool) -> str:
    if status.startswith("ended"):
        return status
    return "running" if is_live else "stopped"


def _marks(facts: dict[str, Any], is_graded: bool) -> list[str]:
    marks = [DEMO_MODEL] if facts["is_demo"] else []
    marks += [] if facts["protects_labels"] else [LABELS_UNPROTECTED]
    marks += ["steered"] if facts.get("steered") else []
    marks += ["forked"] if facts.get("forked_from") else []
    return marks + (["graded"] if is_graded else [])


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_new(folder: Path) -> bool:
    return _mtime(folder / "summary.json") >= _mtime(folder / EVENTS)


class _Summary(BaseModel):
    """What a row needs of `summary.json`: another version, or whoever can write there, may have left something else."""

    model_config = ConfigDict(strict=True)

    task: str
    model: str
    status: str
    last: str
    is_demo: bool
    protects_labels: bool
    lower_is_better: bool
    attempts: int
    active_seconds: float
    cost: float
    is_cost_estimated: bool
    is_cost_known: bool = True
    medal_estimate: str | None
    score: float | None = None
    noise: float | None = None
    best_score: float | None = None
    best_noise: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    progress: list[Annotated[list[float | None], Field(min_length=2, max_length=2)]]


def _summary_of(folder: Path) -> dict[str, Any] | None:
    """The summary of a run as last written; None if there is none that can be shown."""
    known = read_summary(folder)
    try:
        _Summary.model_validate(known)
    except ValidationError:
        return None
    return known


class _Reading:
    """The state of one run, as far as its journal was read."""

    def __init__(self, folder: Path) -> None:
        self._journal = JournalFollower(folder)
        self._state = State()

    def summary(self) -> dict[str, Any]:
        """The summary up to the last event; `problem` says why there is none."""
        try:
            for event in self._journal.read_new():
                self._state.apply(event)
        except JournalError as error:
            return {"problem": one_line(str(error), 400)}
        if self._journal.damage:
            return {"problem": one_line(self._journal.damage, 400)}
        return summary(self._state) or {"problem": "the journal is empty"}


def spark(progress: list[Any], lower_is_better: bool) -> str:
    """Points of a polyline 100 wide and 20 high; better is up."""
    points = [(hours, score) for hours, score in progress if isinstance(score, int | float)]
    if len(points) < 2:
        return ""
    scores = [score for _, score in points]
    low, spread = min(scores), (max(scores) - min(scores)) or 1.0
    end = points[-1][0] or 1.0
    placed = []
    for hours, score in points:
        height = (score - low) / spread
        placed.append(f"{100 * hours / end:.1f},{1 + 18 * (height if lower_is_better else 1 - height):.1f}")
    return " ".join(placed)
