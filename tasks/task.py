"""What a task is, in memory: frozen values that travel, made from a task.yaml by `load_task`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tasks.config.schema import AnswerPart, BlendPart, TaskFile, parse_task_file
from tasks.config.validate import Checks
from tasks.config.yaml_with_lines import TaskError, read_yaml_file
from tasks.holdout.recipe import Answer, Mark, Recipe, Renumber
from tasks.io.hashing import hash_of_file
from tasks.metrics.medals import Thresholds
from tasks.metrics.registry import Metric

__all__ = ["Labels", "Metric", "Recipe", "RunDefaults", "Submission", "Task", "TaskError", "Thresholds", "load_task"]

SandboxKind = Literal["auto", "docker", "bubblewrap", "local"]


@dataclass(frozen=True)
class Submission:
    """The form of an answer: the sample file, its id column, its target columns, and whether cells may be empty.

    `shown` is the path below ./data under which the model finds the sample, where that is not the file itself.
    """

    sample: Path
    id: str
    targets: tuple[str, ...]
    may_be_missing: bool = False
    shown: str = ""


@dataclass(frozen=True)
class Labels:
    """Where the labels of training rows are, for the harness to hold some out: by strata, or by whole groups.

    `file` is the first file they stand in (public itself where they stand in file names); `where` says all of it, as
    the task file does. `id` is a column, or a template of several.
    """

    file: Path
    id: str
    targets: tuple[str, ...]
    stratify: bool = False
    group: str | None = None
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunDefaults:
    """What the task asks of a run where no flag says otherwise. Cost in dollars."""

    model: str | None = None
    base_url: str | None = None
    hours: float | None = None
    cost: float | None = None
    attempts: int | None = None
    turns: int | None = None
    sandbox: SandboxKind | None = None


@dataclass(frozen=True)
class Task:
    """A task with every path absolute and every file known to be there.

    `description` is the text itself. `answers` is the file of private answers, None where there is none. `hidden`
    are paths relative to site-packages that a sandbox masks. `digest` changes when the task, its sample or its
    answers change. `competition` names the MLE-bench competition whose official rule grades it, if one does.
    """

    id: str
    title: str
    description: str
    metric: Metric
    public: Path
    private: Path | None
    answers: Path | None
    submission: Submission
    labels: Labels | None
    thresholds: Thresholds | None
    run: RunDefaults
    folder: Path
    path: Path
    hidden: tuple[str, ...]
    digest: str
    recipe: Recipe = field(default_factory=Recipe)
    competition: str = ""


def load_task(path: Path) -> Task:
    """The task of a task.yaml, or of a folder that holds one. Raises TaskError, listing every problem found."""
    path = _task_file(path)
    marked = read_yaml_file(path)
    file = parse_task_file(marked)
    checks = Checks(marked, path.absolute().parent)
    metric = checks.metric(file.metric)
    lower_is_better = metric.lower_is_better if metric else None
    thresholds = checks.thresholds(file.thresholds, file.leaderboard, lower_is_better)
    description = checks.description(file.description)
    places = checks.places(file)
    checks.hidden(file.hide)
    checks.competition(file.competition)
    checks.raise_problems()
    assert metric is not None  # otherwise there was a problem
    answers = places.get("answers")
    submission = _submission(file, places["sample"])
    return Task(
        id=file.id,
        title=file.title or file.id,
        description=description,
        metric=metric,
        public=places["public"],
        private=places.get("private"),
        answers=answers,
        submission=submission,
        labels=_labels(file, places),
        thresholds=thresholds,
        run=RunDefaults(**file.run.model_dump()),
        folder=checks.folder,
        path=path.absolute(),
        hidden=tuple(file.hide),
        digest=_digest(marked.content, submission.sample, answers),
        recipe=_recipe(file.blend) if file.blend else Recipe(),
        competition=file.competition or "",
    )


def _task_file(path: Path) -> Path:
    try:
        if path.is_dir():
            file = path / "task.yaml"
            if not file.is_file():
                raise TaskError(f"{path}: the folder holds no task.yaml. Write one, or name the file itself.")
            return file
        if not path.exists():
            raise TaskError(f"{path}: there is no such task file. `harness tasks` lists the tasks there are.")
        if not path.is_file():
            raise TaskError(f"{path}: is not a regular file. Name a task.yaml or a folder that holds one.")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TaskError(f"{path}: cannot be read ({reason}).") from None
    return path


def _submission(file: TaskFile, sample: Path) -> Submission:
    part = file.submission
    return Submission(sample, part.id, tuple(part.target), part.may_be_missing, part.shown or "")


def _labels(file: TaskFile, places: Mapping[str, Path]) -> Labels | None:
    part, found = file.labels, places.get("labels")
    if part is None or found is None:
        return None
    split = file.blend.split if file.blend else None
    stratify = split.stratify if split and split.stratify is not None else part.stratify
    group = (split.group if split else None) or part.group
    return Labels(found, part.id, tuple(part.target), stratify, group, tuple(part.file))


def _recipe(part: BlendPart) -> Recipe:
    plan, renumber = part.plan, part.renumber
    pairs = [line.partition("->") for line in part.files]
    return Recipe(
        is_written=True,
        test=tuple(part.test or ()),
        answer=_answer(part.answer),
        files=tuple((before.strip(), after.strip()) for before, _, after in pairs),
        side=tuple(part.side.items()),
        also_mark=tuple((name, Mark(mark.key, tuple(mark.set.items()))) for name, mark in part.also_mark.items()),
        mark=part.mark or "",
        fill=tuple(part.fill.items()),
        renumber=Renumber(renumber.field, renumber.form, renumber.start, renumber.order.removeprefix("random"))
        if renumber
        else None,
        unit=part.unit,
        time=part.split.time,
        keeps_tails=part.split.tails == "keep",
        folds=plan.folds if plan else None,
        search=plan.search if plan else None,
        select=plan.select if plan else None,
        static=tuple(part.static),
        omit=tuple(part.omit),
    )


def _answer(part: AnswerPart | None) -> Answer:
    if part is None:
        return Answer()
    if part.onehot:
        return Answer("onehot")
    if part.map:
        return Answer("map", next(tuple(values.items()) for values in part.map.values()))
    if part.set:
        return Answer("set", count=part.count or 0)
    return Answer("pixels", image=part.pixels or "")


def _digest(content: bytes, *files: Path | None) -> str:
    whole = hashlib.sha256(hashlib.sha256(content).digest())
    for path in files:
        if path is None:
            whole.update(b"none")
            continue
        try:
            whole.update(bytes.fromhex(hash_of_file(path)))
        except OSError as error:
            raise TaskError(f"{path}: cannot be read ({error.strerror}). Make it readable.") from None
    return whole.hexdigest()
