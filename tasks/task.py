"""A task in memory: frozen dataclasses, read from a task.yaml by `load_task`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.config.recipe import Answer, Mark, Recipe, Renumber
from tasks.config.schema import AnswerSection, BlendSection, TaskFile, parse_task_file
from tasks.config.validate import Checks
from tasks.config.yaml_with_lines import read_yaml_file
from tasks.errors import TaskError
from tasks.io.hashing import hash_of, hash_of_file
from tasks.metrics.medals import Thresholds
from tasks.metrics.registry import Metric

__all__ = ["Labels", "Metric", "Recipe", "Submission", "Task", "TaskError", "Thresholds", "load_task"]


@dataclass(frozen=True)
class Submission:
    """The format of a submission: sample file, id column, target columns, and whether predictions may be empty.

    `shown` is the sample's path below ./data, if it is shown under another name than the file's own.
    """

    sample: Path
    id: str
    targets: tuple[str, ...]
    may_be_missing: bool = False
    shown: str = ""


@dataclass(frozen=True)
class Labels:
    """The labels of training rows, of which the harness holds some out, stratified or by whole groups.

    `file` is the first file with labels (the public folder if labels are in file names); `where` lists all files as
    the task file names them. `id` is a column, or a template of several columns.
    """

    file: Path
    id: str
    targets: tuple[str, ...]
    stratify: bool = False
    group: str | None = None
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A task whose paths are absolute and whose files exist.

    `description` is the text. `answers` is the file of private answers, or None. `hidden` are paths relative to
    site-packages that a sandbox masks. `digest` changes when the task file, the sample or the answers change.
    `competition` names the MLE-bench competition whose official metric grades the task, if there is one. `kaggle` names
    the live competition that a submission can be sent to.
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
    run: Mapping[str, Any]
    """The `run:` part as written: settings of runs of this task. The harness checks it."""
    run_lines: Mapping[str, str]
    """`file:line` of each key of it."""
    folder: Path
    path: Path
    hidden: tuple[str, ...]
    digest: str
    recipe: Recipe = field(default_factory=Recipe)
    competition: str = ""
    kaggle: str = ""


def load_task(path: Path) -> Task:
    """Load a task.yaml, or the one in a folder. Raises TaskError, which lists every problem."""
    path = _task_file(path)
    yaml_file = read_yaml_file(path)
    file = parse_task_file(yaml_file)
    checks = Checks(yaml_file, path.absolute().parent)
    metric = checks.metric(file.metric)
    lower_is_better = metric.lower_is_better if metric else None
    thresholds = checks.thresholds(file.thresholds, file.leaderboard, lower_is_better)
    description = checks.description(file.description)
    paths = checks.data_paths(file)
    checks.hidden(file.hide)
    checks.competition(file.competition)
    checks.raise_problems()
    assert metric is not None  # otherwise there was a problem
    answers = paths.get("answers")
    submission = _submission(file, paths["sample"])
    return Task(
        id=file.id,
        title=file.title or file.id,
        description=description,
        metric=metric,
        public=paths["public"],
        private=paths.get("private"),
        answers=answers,
        submission=submission,
        labels=_labels(file, paths),
        thresholds=thresholds,
        run=file.run,
        run_lines={name: yaml_file.problem(("run", name), "", at_key=True).rstrip() for name in file.run},
        folder=checks.folder,
        path=path.absolute(),
        hidden=tuple(file.hide),
        digest=_digest(yaml_file.content, submission.sample, answers),
        recipe=_recipe(file.blend) if file.blend else Recipe(),
        competition=file.competition or "",
        kaggle=file.kaggle or "",
    )


def _task_file(path: Path) -> Path:
    try:
        if path.is_dir():
            file = path / "task.yaml"
            if not file.is_file():
                raise TaskError(f"{path}: the folder contains no task.yaml. Write one, or name another folder or file.")
            return file
        if not path.exists():
            raise TaskError(f"{path}: does not exist. `harness tasks` lists the available tasks.")
        if not path.is_file():
            raise TaskError(f"{path}: is not a regular file. Name a task.yaml or a folder that contains one.")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TaskError(f"{path}: cannot be read ({reason}).") from None
    return path


def _submission(file: TaskFile, sample: Path) -> Submission:
    section = file.submission
    return Submission(sample, section.id, tuple(section.target), section.may_be_missing, section.shown or "")


def _labels(file: TaskFile, paths: Mapping[str, Path]) -> Labels | None:
    section, labels_file = file.labels, paths.get("labels")
    if section is None or labels_file is None:
        return None
    split = file.blend.split if file.blend else None
    stratify = split.stratify if split and split.stratify is not None else section.stratify
    group = (split.group if split else None) or section.group
    return Labels(labels_file, section.id, tuple(section.target), stratify, group, tuple(section.file))


def _recipe(section: BlendSection) -> Recipe:
    plan, renumber = section.plan, section.renumber
    pairs = [line.partition("->") for line in section.files]
    return Recipe(
        is_written=True,
        test=tuple(section.test or ()),
        answer=_answer(section.answer),
        files=tuple((before.strip(), after.strip()) for before, _, after in pairs),
        side=tuple(section.side.items()),
        also_mark=tuple((name, Mark(mark.key, tuple(mark.set.items()))) for name, mark in section.also_mark.items()),
        mark=section.mark or "",
        fill=tuple(section.fill.items()),
        renumber=Renumber(renumber.field, renumber.form, renumber.start, renumber.order.removeprefix("random"))
        if renumber
        else None,
        unit=section.unit,
        time=section.split.time,
        keeps_tails=section.split.tails == "keep",
        folds=plan.folds if plan else None,
        search=plan.search if plan else None,
        select=plan.select if plan else None,
        static=tuple(section.static),
        omit=tuple(section.omit),
    )


def _answer(section: AnswerSection | None) -> Answer:
    if section is None:
        return Answer()
    if section.onehot:
        return Answer("onehot")
    if section.map:
        return Answer("map", next(tuple(values.items()) for values in section.map.values()))
    if section.set:
        return Answer("set", count=section.count or 0)
    return Answer("pixels", image=section.pixels or "")


def _digest(content: bytes, *files: Path | None) -> str:
    digests = [bytes.fromhex(hash_of(content))]
    for path in files:
        if path is None:
            digests.append(b"none")
            continue
        try:
            digests.append(bytes.fromhex(hash_of_file(path)))
        except OSError as error:
            raise TaskError(f"{path}: cannot be read ({error.strerror}). Make it readable.") from None
    return hash_of(b"".join(digests))
