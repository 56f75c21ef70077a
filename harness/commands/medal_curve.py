"""Medals over time: what every attempt handed in, graded after the run, under three ways of choosing among it.

any         the best grade of anything handed in so far: what perfect choice could have had
search      the grade of what scored best on held-out rows so far
chosen      the grade of what was the submission of record
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

if TYPE_CHECKING:
    from runs.state import State

WAYS = ("any", "search", "chosen")
COLOURS = {"any": "#999999", "search": "#1f6fb4", "chosen": "#c0392b"}


@dataclass(frozen=True)
class Step:
    """From `hours` on (active time), a way of choosing among a run's submissions has this grade."""

    run: str
    way: str
    hours: float
    evaluation: str
    score: float | None
    medal: str


def write_curve(folders: Sequence[Path], settings: Settings, output: Path) -> list[Path]:
    """Grade what the attempts of graded runs handed in; write medals_over_time.csv and .svg. Returns the paths."""
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
    """The steps of one run. Raises `UsageError` for a run that has not been graded, TaskError."""
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
        reports.keep()
    return steps


def _step(folder: Path, way: str, active: float, evaluation: str, report: dict[str, Any] | None) -> Step:
    won = [name for name in ("gold", "silver", "bronze") if report and report[f"{name}_medal"]]
    score = report["score"] if report else None
    return Step(folder.name, way, active / 3600, evaluation or "sample", score, won[0] if won else "")


def _is_better(report: dict[str, Any], other: dict[str, Any]) -> bool:
    ours, theirs = report["score"], other["score"]
    if ours is None or theirs is None:
        return ours is not None
    return bool(ours < theirs if report["is_lower_better"] else ours > theirs)


class _Reports:
    """The grades of a run's evaluations, kept beside the run's own so that none is made twice."""

    def __init__(self, folder: Path, settings: Settings, state: State) -> None:
        run_id = state.created.run_id if state.created else folder.name
        if not (settings.grades / f"{run_id}.json").exists():
            errors.fail(f"{folder.name} has not been graded: harness score {folder.name}")
        self._folder, self._settings = folder, settings
        self._path = settings.grades / f"{run_id}.attempts.json"
        self._known: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def of(self, evaluation: str, state: State) -> dict[str, Any] | None:
        """The official report on what an evaluation handed in; None where the file is gone."""
        if evaluation in self._known:
            found: dict[str, Any] | None = self._known[evaluation]
            return found
        from harness.commands.score import task_path
        from tasks.judging.grade import run_grade

        place = self._folder / "evaluations"
        path = place / evaluation / "submission.csv" if evaluation else place / "sample.csv"
        report = run_grade(task_path(state, self._settings), path).official() if path.exists() else None
        self._known[evaluation] = report
        return report

    def keep(self) -> None:
        """Write what is known, for its owner's eyes."""
        beside = self._path.with_name(f".{self._path.name}.new")
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(self._known), encoding="utf-8")
        beside.replace(self._path)


# ------------------------------------------------------------------------------------------------------------ chart


def medal_rate(steps: Sequence[Step], runs: int, way: str) -> list[tuple[float, float]]:
    """(hours, per cent of runs with a medal) wherever the rate of a way of choosing changes."""
    holds: dict[str, bool] = {}
    points = [(0.0, 0.0)]
    for step in sorted((one for one in steps if one.way == way), key=lambda one: one.hours):
        holds[step.run] = bool(step.medal)
        rate = 100 * sum(holds.values()) / runs
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
    for part in range(5):
        x = left + width * part / 4
        hours = f"{last * part / 4:.3g} h"
        yield f'<text x="{x}" y="{top + height + 18}" text-anchor="middle" font-size="12">{hours}</text>'
    for at, way in enumerate(WAYS):
        place = [(left + width * h / last, top + height * (1 - r / 100)) for h, r in medal_rate(steps, runs, way)]
        line = f"M{place[0][0]:.1f} {place[0][1]:.1f}" + "".join(f" H{x:.1f} V{y:.1f}" for x, y in place[1:])
        yield f'<path d="{line} H{left + width}" fill="none" stroke="{COLOURS[way]}" stroke-width="2"/>'
        spot = f'x="{left + width + 12}" y="{top + 16 + 20 * at}"'
        yield f'<text {spot} fill="{COLOURS[way]}" font-size="13">{way}</text>'
    words = f"runs with a medal, by active time ({runs} runs)"
    yield f'<text x="{left}" y="{top + height + 44}" font-size="13">{words}</text>'
    yield "</svg>"
