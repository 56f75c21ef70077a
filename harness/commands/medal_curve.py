"""Medals over time: every evaluation's submission, graded after the run, under three selection rules.

any         the best grade so far: an upper bound for any selection
search      the grade of the evaluation with the best held-out score so far
chosen      the grade of the submission of record
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.settings import Settings
from sandboxes.atomic import write_atomically

if TYPE_CHECKING:
    from runs.state import State

WAYS = ("any", "search", "chosen")
COLOURS = {"any": "#999999", "search": "#1f6fb4", "chosen": "#c0392b"}


@dataclass(frozen=True)
class Step:
    """The grade under one selection rule (`way`) from `hours` of active time on."""

    run: str
    way: str
    hours: float
    evaluation: str
    score: float | None
    medal: str


def write_curve(folders: Sequence[Path], settings: Settings, output: Path) -> list[Path]:
    """Grade the evaluations of graded runs and write medals_over_time.csv and .svg. Returns the paths."""
    steps = [step for folder in folders for step in steps_of(folder, settings)]
    output.mkdir(parents=True, exist_ok=True)
    table, chart = output / "medals_over_time.csv", output / "medals_over_time.svg"
    with table.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("run", "way", "hours", "evaluation", "score", "medal"))
        rows.writerows((s.run, s.way, f"{s.hours:.4f}", s.evaluation, s.score, s.medal) for s in steps)
    chart.write_text(_chart(steps, len(folders)), encoding="utf-8")
    return [table, chart]


def steps_of(folder: Path, settings: Settings) -> list[Step]:
    """The steps of one run. Raises `UsageError` if it was not graded yet, TaskError."""
    from runs.events.registry import EvaluationFinished, Resumed, SubmissionChosen
    from runs.journal import read_events
    from runs.state import State

    state, reports = State(), None
    steps: list[Step] = []
    best: dict[str, Any] | None = None
    active = mono = 0.0
    for event in read_events(folder):
        if isinstance(event, Resumed):
            mono = 0.0
        active, mono = active + max(0.0, event.mono - mono), event.mono
        state.apply(event)
        if reports is None:
            reports = _Reports(folder, settings, state)
        if isinstance(event, SubmissionChosen):
            steps.append(_step(folder, "chosen", active, event.evaluation, reports.of(event.evaluation, state)))
        if not isinstance(event, EvaluationFinished) or not event.submission:
            continue
        report = reports.of(event.evaluation, state)
        if report is not None and (best is None or _is_better(report, best)):
            best = report
            steps.append(_step(folder, "any", active, event.evaluation, report))
        if state.best is not None and state.best.id == event.evaluation:
            steps.append(_step(folder, "search", active, event.evaluation, report))
    if reports is not None:
        reports.store()
    return steps


def _step(folder: Path, way: str, active: float, evaluation: str, report: dict[str, Any] | None) -> Step:
    won = [name for name in ("gold", "silver", "bronze") if report and report[f"{name}_medal"]]
    score = report["score"] if report else None
    return Step(folder.name, way, active / 3600, evaluation or "sample", score, won[0] if won else "")


def _is_better(report: dict[str, Any], other: dict[str, Any]) -> bool:
    score, other_score = report["score"], other["score"]
    if score is None or other_score is None:
        return score is not None
    return bool(score < other_score if report["is_lower_better"] else score > other_score)


class _Reports:
    """Grades of a run's evaluations, cached beside the run's grade."""

    def __init__(self, folder: Path, settings: Settings, state: State) -> None:
        run_id = state.created.run_id if state.created else folder.name
        if not (settings.grades / f"{run_id}.json").exists():
            errors.fail(f"{folder.name} has not been graded yet. Grade it: harness score {folder.name}")
        self._folder, self._settings = folder, settings
        self._path = settings.grades / f"{run_id}.attempts.json"
        self._cached: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def of(self, evaluation: str, state: State) -> dict[str, Any] | None:
        """The official report on an evaluation's submission; None if the file is gone."""
        if evaluation in self._cached:
            cached: dict[str, Any] | None = self._cached[evaluation]
            return cached
        from harness.commands.score import task_path
        from tasks.judging.grade import run_grade

        folder = self._folder / "evaluations"
        path = folder / evaluation / "submission.csv" if evaluation else folder / "sample.csv"
        report = run_grade(task_path(state, self._settings), path).official() if path.exists() else None
        self._cached[evaluation] = report
        return report

    def store(self) -> None:
        """Store the cache, readable by its owner only."""
        write_atomically(self._path, json.dumps(self._cached).encode())


# ------------------------------------------------------------------------------------------------------------ chart


def medal_rate(steps: Sequence[Step], runs: int, way: str) -> list[tuple[float, float]]:
    """(hours, per cent of runs with a medal) at each change of the rate under one selection rule."""
    has_medal: dict[str, bool] = {}
    points = [(0.0, 0.0)]
    for step in sorted((step for step in steps if step.way == way), key=lambda step: step.hours):
        has_medal[step.run] = bool(step.medal)
        rate = 100 * sum(has_medal.values()) / runs
        if rate != points[-1][1]:
            points.append((step.hours, rate))
    return points


def _chart(steps: Sequence[Step], runs: int) -> str:
    return "\n".join(_svg(steps, runs)) + "\n"


def _svg(steps: Sequence[Step], runs: int) -> Iterator[str]:
    last = max((step.hours for step in steps), default=0.0) or 1.0
    width, height, left, top = 640, 320, 60, 20
    size = f'width="{width + 180}" height="{height + 80}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    for rate in (0, 25, 50, 75, 100):
        y = top + height * (1 - rate / 100)
        yield f'<line x1="{left}" y1="{y}" x2="{left + width}" y2="{y}" stroke="#ddd"/>'
        yield f'<text x="{left - 8}" y="{y + 4}" text-anchor="end" font-size="12">{rate} %</text>'
    for quarter in range(5):
        x = left + width * quarter / 4
        hours = f"{last * quarter / 4:.3g} h"
        yield f'<text x="{x}" y="{top + height + 18}" text-anchor="middle" font-size="12">{hours}</text>'
    for index, way in enumerate(WAYS):
        points = [(left + width * h / last, top + height * (1 - r / 100)) for h, r in medal_rate(steps, runs, way)]
        line = f"M{points[0][0]:.1f} {points[0][1]:.1f}" + "".join(f" H{x:.1f} V{y:.1f}" for x, y in points[1:])
        yield f'<path d="{line} H{left + width}" fill="none" stroke="{COLOURS[way]}" stroke-width="2"/>'
        position = f'x="{left + width + 12}" y="{top + 16 + 20 * index}"'
        yield f'<text {position} fill="{COLOURS[way]}" font-size="13">{way}</text>'
    caption = f"runs with a medal, by active time ({runs} runs)"
    yield f'<text x="{left}" y="{top + height + 44}" font-size="13">{caption}</text>'
    yield "</svg>"
