"""The runs of a trial: played one after the other, and what is read from their journals."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from context.playbook.trial import MEASURES, Result, TaskRange, Trial, Wanted
from context.playbook.versions import Playbook
from harness import errors
from harness.settings import Settings
from runs.events.registry import Event, ModelReplied, RunCreated
from runs.journal import JournalError, read_events
from runs.state import State, fold
from runs.views.final_choice import result_evaluation

STARTED = "started.json"


@dataclass(frozen=True)
class Played:
    """A run that was played. `result` is None if it stopped before its end."""

    run: str
    result: Result | None


def play_wanted(trial: Trial, wanted: Wanted, version: str, settings: Settings) -> Played:
    """Play the wanted run, or continue it where an earlier process stopped."""
    from harness.startup.create_run import RunRequest
    from harness.startup.open_run import resume, start
    from harness.ui.live import open_screen

    started = settings.home / "evolve" / trial.name / STARTED
    folder = _started(started, wanted, settings)
    screen = open_screen(False, True)
    try:
        if folder is None:
            flags: dict[str, object] = {"seed": wanted.seed, "playbook": version, "no_ledger": True}
            if wanted.stage == "mechanism":
                flags["attempts"] = trial.short_attempts
            before = _run_names(settings)
            request = RunRequest(wanted.task, flags, tuple(trial.settings))
            start(request, settings, _Noting(screen, started, wanted))
            (name,) = _run_names(settings) - before
            folder = settings.runs / name
        elif not fold(read_events(folder)).ended:
            resume(folder, settings, screen)
    finally:
        screen.close()
    events = list(read_events(folder))
    state = fold(events)
    if not state.ended:
        return Played(folder.name, None)
    task = next(one for one in trial.tasks if one.task == wanted.task)
    started.unlink(missing_ok=True)
    return Played(folder.name, result_of(trial, wanted, task, folder.name, state, events))


def result_of(
    trial: Trial, wanted: Wanted, task: TaskRange, name: str, state: State, events: Sequence[Event]
) -> Result:
    """What a finished run counts for in its trial."""
    evaluation = result_evaluation(state)
    score = task.scaled(evaluation.score if evaluation else None)
    value = measured(trial.measure, state, events)
    return Result(stage=wanted.stage, pair=wanted.pair, arm=wanted.arm, run=name, score=score, value=value)


def measured(measure: str, state: State, events: Sequence[Event]) -> float:
    """The mechanism of a run by its name in `MEASURES`."""
    attempts = max(1, len(state.attempts))
    if measure == "failed_attempts":
        scored = {one.attempt for one in state.evaluations.values() if one.status in ("scored", "unscored")}
        return 1 - len(scored) / attempts
    if measure == "unreadable_calls":
        replies = [event for event in events if isinstance(event, ModelReplied)]
        unread = sum(not any(not call.problem for call in reply.calls) for reply in replies)
        return unread / max(1, len(replies))
    if measure == "repeated_diffs":
        trees = [one.started.tree for one in state.evaluations.values()]
        return 1 - len(set(trees)) / max(1, len(trees))
    if measure == "minutes_to_first_score":
        return _minutes_to_first_score(state, events)
    return (state.prompt_tokens + state.completion_tokens) / attempts


def _minutes_to_first_score(state: State, events: Sequence[Event]) -> float:
    """Active minutes until the first score, or those of the whole run where there is none."""
    clock = State()
    for event in events:
        clock.apply(event)
        if getattr(event, "kind", "") == "evaluation_finished" and getattr(event, "score", None) is not None:
            return clock.active_seconds / 60
    return state.active_seconds / 60


def ranges_of(texts: Sequence[str]) -> list[TaskRange]:
    """Tasks with their ranges, from NAME=LOW:HIGH."""
    found = []
    for text in texts:
        name, _, bounds = text.rpartition("=")
        low, _, high = bounds.partition(":")
        try:
            one = TaskRange(task=name, low=float(low), high=float(high))
        except ValueError:
            errors.fail(f"--task {text}: write NAME=LOW:HIGH, such as digits=0.5:1.0; LOW is the worse score")
        if one.low == one.high or not name:
            errors.fail(f"--task {text}: the two scores must differ")
        found.append(one)
    return found


def known_scores(tasks: Sequence[TaskRange], playbook: Playbook, settings: Settings) -> list[list[float]]:
    """Scaled scores of earlier full runs of each task with this version of the playbook."""
    found: dict[str, list[float]] = {task.task: [] for task in tasks}
    ranges = {task.task: task for task in tasks}
    for name in sorted(_run_names(settings)):
        state = _state_of(settings.runs / name)
        created = state.created if state else None
        if state is None or created is None or not state.ended or created.playbook != playbook.digest:
            continue
        evaluation = result_evaluation(state)
        if created.task_id in ranges and not created.is_demo and evaluation:
            found[created.task_id].append(ranges[created.task_id].scaled(evaluation.score))
    return list(found.values())


def typical_cost(settings: Settings) -> tuple[float, float]:
    """Mean dollars and hours of the ended runs of this home; zeros where there are none."""
    dollars, hours = [], []
    for name in _run_names(settings):
        summary = settings.runs / name / "summary.json"
        try:
            fields = json.loads(summary.read_text())
            if fields.get("ended") and not fields.get("demo"):
                dollars.append(float(fields.get("cost") or 0.0))
                hours.append(float(fields.get("active_seconds") or 0.0) / 3600)
        except (OSError, ValueError, TypeError):
            continue
    count = max(1, len(hours))
    return sum(dollars) / count, sum(hours) / count


def recorded_measures(settings: Settings, most: int = 20) -> list[tuple[str, dict[str, float]]]:
    """The playbook's version and every measure of the latest ended runs of a model, oldest first."""
    found: list[tuple[str, dict[str, float]]] = []
    for name in sorted(_run_names(settings), reverse=True):
        state = _state_of(settings.runs / name)
        if state is None or state.created is None or not state.ended or state.created.is_demo:
            continue
        events = list(read_events(settings.runs / name))
        found.append((state.created.playbook[:12], {one: measured(one, state, events) for one in MEASURES}))
        if len(found) == most:
            break
    return found[::-1]


def task_names(settings: Settings) -> set[str]:
    """The ids of the tasks that were played here, in lower case: a rule for all tasks names none."""
    found = set()
    for name in _run_names(settings):
        with contextlib.suppress(JournalError, OSError):
            first = next(iter(read_events(settings.runs / name)), None)
            found |= {first.task_id.lower()} if isinstance(first, RunCreated) else set()
    return found


class _Noting:
    """A screen that notes the run's name as soon as it exists, so that a crash does not lose it."""

    def __init__(self, screen: object, path: Path, wanted: Wanted) -> None:
        self._screen, self._path, self._wanted = screen, path, wanted
        self._is_noted = False

    def show(self, state: State, event: Event) -> None:
        if isinstance(event, RunCreated) and not self._is_noted:
            self._is_noted = True
            self._path.write_text(json.dumps({"run": event.run_id, **vars(self._wanted)}))
        self._screen.show(state, event)  # type: ignore[attr-defined]

    def alive(self, state: State, doing: str, tail: str, lane: int = 0) -> None:
        self._screen.alive(state, doing, tail, lane)  # type: ignore[attr-defined]

    def say(self, line: str) -> None:
        self._screen.say(line)  # type: ignore[attr-defined]

    def close(self) -> None:
        self._screen.close()  # type: ignore[attr-defined]


def _started(path: Path, wanted: Wanted, settings: Settings) -> Path | None:
    """The folder of the wanted run, if an earlier process began it."""
    try:
        fields = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    name = fields.pop("run", "")
    folder = settings.runs / name
    return folder if fields == vars(wanted) and name and folder.is_dir() else None


def _state_of(folder: Path) -> State | None:
    try:
        return fold(read_events(folder))
    except (JournalError, OSError, KeyError):
        return None


def _run_names(settings: Settings) -> set[str]:
    if not settings.runs.is_dir():
        return set()
    return {path.name for path in settings.runs.iterdir() if path.is_dir() and not path.name.startswith(".")}
