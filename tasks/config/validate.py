"""Holds what a task.yaml says against the disk: files that must be there, columns they must have, numbers in order."""

from __future__ import annotations

import ast
import csv
import math
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tasks.config.schema import (
    AnswerPart,
    BlendPart,
    LabelsPart,
    MetricPart,
    SubmissionPart,
    TaskFile,
    ThresholdsPart,
    clip,
)
from tasks.config.yaml_with_lines import Location, TaskError, YamlFile
from tasks.io.path_templates import Template
from tasks.metrics.medals import Thresholds, thresholds_from_leaderboard
from tasks.metrics.registry import METRICS, Metric

T = TypeVar("T")

LINE_CAP = 10_000_000
"""Characters of a header line; more is no table."""
TEXT_CAP = 5_000_000
"""Characters of a description, a leaderboard or a metric's file."""


class _Mistake(Exception):
    """One problem with the value at `location`; what depends on that value is not looked at."""

    def __init__(self, location: Location, says: str) -> None:
        super().__init__(says)
        self.location = location


class Checks:
    """Gathers the problems of one task file, so that the user learns of all of them at once.

    Its methods return None (or leave something out) after a problem; `raise_problems` comes before their use.
    """

    def __init__(self, marked: YamlFile, folder: Path) -> None:
        self.marked = marked
        self.folder = folder
        self._problems: list[str] = []

    def raise_problems(self) -> None:
        """Raise TaskError if any problem was found."""
        if self._problems:
            raise TaskError("\n".join(dict.fromkeys(self._problems)))

    def _tell(self, location: Location, says: str) -> None:
        self._problems.append(self.marked.problem(location, says))

    def _try(self, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except _Mistake as mistake:
            self._tell(mistake.location, str(mistake))
            return None

    # ------------------------------------------------------------------------------------------- metric, thresholds

    def metric(self, part: MetricPart) -> Metric | None:
        """The metric that is named, or the task's own."""
        if part.function is not None:
            return self._try(lambda: self._own_metric(part, part.function or ""))
        return self._try(lambda: _named_metric(part))

    def _own_metric(self, part: MetricPart, function: str) -> Metric:
        place = ("metric", "function")
        file, _, name = function.rpartition(":")
        if part.name is not None:
            raise _Mistake(("metric",), "metric has both a name and a function. Keep one of them.")
        if not file or not name.isidentifier():
            raise _Mistake(place, f"function '{clip(function)}' is not of the form `file.py:function`.")
        if part.direction is None:
            raise _Mistake(place, "a function needs a direction. Add `direction: lower` or `direction: higher`.")
        path = self._file(place, file, "the file of the metric")
        if name not in _functions_of(place, path):
            says = f"{clip(file)} defines no function '{name}'. Write `def {name}(answers, predictions, targets):`."
            raise _Mistake(place, says)
        return Metric(name, part.direction == "lower", part.needs, "A metric of the task's own.", path, name)

    def thresholds(
        self, part: ThresholdsPart | None, leaderboard: str | None, lower_is_better: bool | None
    ) -> Thresholds | None:
        """Medal thresholds as written out or from a leaderboard; None also where the task has none."""
        if part is not None and leaderboard is not None:
            self._tell(("leaderboard",), "both thresholds and leaderboard are given. Keep one of them.")
        elif leaderboard is not None:
            return self._try(lambda: self._from_leaderboard(leaderboard, lower_is_better))
        elif part is not None:
            return self._try(lambda: _written_thresholds(part, lower_is_better))
        return None

    def _from_leaderboard(self, name: str, lower_is_better: bool | None) -> Thresholds:
        place = ("leaderboard",)
        text = _read(place, self._file(place, name, "the leaderboard"))
        try:
            scores = [float(row["score"]) for row in csv.DictReader(text.splitlines())]
            if not all(map(math.isfinite, scores)):
                raise ValueError("a score is not a finite number")
            return thresholds_from_leaderboard(scores, lower_is_better)
        except (KeyError, TypeError):
            says = f"{clip(name)} has no score in every row. Give it a column 'score', best first."
        except (ValueError, csv.Error) as error:
            says = f"{clip(name)} cannot be used: {clip(str(error))}. Write one number a row, best first."
        raise _Mistake(place, says)

    # -------------------------------------------------------------------------------------------------------- files

    def description(self, name: str) -> str:
        """The text of the description file."""
        return self._try(lambda: self._description(name)) or ""

    def _description(self, name: str) -> str:
        text = _read(("description",), self._file(("description",), name, "the task in words"))
        if not text.strip():
            raise _Mistake(("description",), f"file '{clip(name)}' is empty. Write there what the task is.")
        return text

    def places(self, file: TaskFile) -> dict[str, Path]:
        """The folders and files of data that the task names, by key, each looked at."""
        data, found = file.data, dict[str, Path | None]()
        found["public"] = self._try(lambda: self._data_folder("public", data.public))
        if data.private is not None:
            private = data.private
            found["private"] = self._try(lambda: self._data_folder("private", private))
            found["answers"] = self._answers(private, data.answers, file.submission)
        elif data.answers is not None:
            self._tell(("data", "answers"), "answers need `private:`, the folder they are kept in. Add it.")
        self._keep_apart(found)
        found["sample"] = self._sample(file.submission)
        if file.labels:
            found["labels"] = self._labels(file.labels, data.public)
        if file.blend:
            self._blend(file.blend, file.labels)
        return {key: path for key, path in found.items() if path}

    def _answers(self, private: str, name: str | None, wants: SubmissionPart) -> Path | None:
        place = ("data", "answers" if name else "private")
        name = name or str(PurePosixPath(private) / "answers.csv")
        columns = [("id", wants.id), *(("target", target) for target in wants.target)]
        return self._table(place, name, "the private answers", ("submission",), columns)

    def _sample(self, wants: SubmissionPart) -> Path | None:
        columns = [("id", wants.id), *(("target", target) for target in wants.target)]
        place = ("submission", "sample")
        return self._table(place, wants.sample, "the sample submission", ("submission",), columns)

    def _labels(self, wants: LabelsPart, public: str) -> Path | None:
        place = ("labels", "file")
        found = [self._try(partial(self._labelled, place, name, public, wants)) for name in wants.file]
        return found[0]

    def _labelled(self, place: Location, name: str, public: str, wants: LabelsPart) -> Path | None:
        """One of the places of the labels; columns are looked at where it is a plain CSV."""
        if name.startswith("files:"):
            return self.folder / public
        path = name.removeprefix("marked:").partition("!")[0]
        if path != name or not name.lower().endswith(".csv"):
            return self._file(place, path, "the training labels")
        columns = [("id", column) for column in Template(wants.id).names]
        columns += [("target", target) for target in wants.target]
        if wants.group and wants.group not in Template(wants.id).names:
            columns.append(("group", wants.group))
        return self._table(place, name, "the training labels", ("labels",), columns)

    def _blend(self, wants: BlendPart, labels: LabelsPart | None) -> None:
        """What the parts of a recipe say of each other, and whether its files are there."""
        if labels is None:
            self._tell(("blend",), "a blend needs labels. Add a part `labels: {file: ..., id: ..., target: ...}`.")
        elif wants.answer:
            self._answer(wants.answer, labels)
        if wants.plan and wants.plan.folds and (wants.plan.search or wants.plan.select):
            self._tell(("blend", "plan"), "both folds and search are given. Keep one of them.")
        elif wants.plan and wants.plan.select and not wants.plan.search:
            self._tell(("blend", "plan"), "select needs search. Add `search: 0.1`.")
        if wants.split.time and wants.plan and wants.plan.folds:
            self._tell(("blend", "plan"), "rows held out by time make one blend. Leave `folds` out.")
        for name in wants.test or ():
            if not name.startswith("files:"):
                self._try(partial(self._file, ("blend", "test"), name.partition("!")[0], "the rows to predict"))

    def _answer(self, wants: AnswerPart, labels: LabelsPart) -> None:
        place = ("blend", "answer")
        said = [name for name in ("onehot", "map", "set", "pixels") if getattr(wants, name)]
        named = [wants.onehot or wants.set or next(iter(wants.map or {}), "")]
        if len(said) != 1 or len(wants.map or {}) > 1:
            self._tell(place, "say one of `onehot:`, `map:`, `set:` and `pixels:`, of one column.")
        elif said != ["pixels"] and named != labels.target:
            self._tell(place, f"{said[0]} must be the label's column, {clip(', '.join(labels.target))}.")
        elif bool(wants.set) != bool(wants.count):
            self._tell(place, "a set needs the count of its members, and nothing else does. Write `count: 19` beside.")

    def _data_folder(self, key: str, name: str) -> Path:
        path = self._look(("data", key), name)
        if not path.is_dir():
            raise _Mistake(("data", key), f"folder '{clip(name)}' is not there. Make it at {path}.")
        return path

    def _keep_apart(self, found: dict[str, Path | None]) -> None:
        public = found["public"]
        for key in ("private", "answers"):
            path = found.get(key)
            if public and path and path.resolve().is_relative_to(public.resolve()):
                says = f"'{key}' lies inside the public folder, where the model could read it. Move it out."
                self._tell(("data", key), says)

    def _file(self, location: Location, name: str, what: str) -> Path:
        path = self._look(location, name)
        if not path.is_file():
            raise _Mistake(location, f"file '{clip(name)}' ({what}) is not there. Put it at {path}.")
        return path

    def _look(self, location: Location, name: str) -> Path:
        """The path that `name` means beside the task file; it may not exist, but can be asked."""
        path = self.folder / name
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            says = f"'{clip(name)}' cannot be read ({reason}). Make it readable, or name another."
            raise _Mistake(location, says) from None
        return path

    def _table(
        self, location: Location, name: str, what: str, part: Location, columns: Sequence[tuple[str, str]]
    ) -> Path | None:
        """The CSV file `name`, whose header must have `columns`, given as (key of the task file, column)."""

        def look() -> Path:
            path = self._file(location, name, what)
            header = _header(location, path)
            for key, column in columns:
                if column not in header:
                    has = clip(", ".join(header), 200)
                    says = f"{path.name} has no column '{clip(column)}'. Its columns are: {has}."
                    self._tell((*part, key), says)
            if len({column for _, column in columns}) < len(columns):
                self._tell((*part, "target"), "a column is named twice. Name each once, and not the id.")
            return path

        return self._try(look)

    # ------------------------------------------------------------------------------------------------------- hidden

    def hidden(self, names: Sequence[str]) -> None:
        """Look whether every path to mask stays inside site-packages."""
        for index, name in enumerate(names):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or path == PurePosixPath("."):
                says = f"'{clip(name)}' is not a path inside site-packages, such as `sklearn/datasets/data`."
                self._tell(("hide", index), says)

    # -------------------------------------------------------------------------------------------------- competition

    def competition(self, name: str | None) -> None:
        """Look whether the competition whose official rule is to grade is one that is known."""
        from tasks.mlebench.facts import competitions

        if name is not None and name not in competitions():
            near = get_close_matches(name, competitions(), n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            self._tell(("competition",), f"'{clip(name)}' is no competition of MLE-bench.{meant}")


def _named_metric(part: MetricPart) -> Metric:
    known, name = ", ".join(METRICS), part.name
    if name is None:
        raise _Mistake(("metric",), f"names no metric. Write one of: {known}.")
    if part.direction is not None or "needs" in part.model_fields_set:
        raise _Mistake(("metric",), f"only a `function:` takes a direction. Write `metric: {clip(name)}`.")
    if name in METRICS:
        return METRICS[name]
    if ".py:" in name:
        says = f"a function needs a direction. Write `metric: {{function: {clip(name)}, direction: lower}}` or higher."
        raise _Mistake(("metric",), says)
    near = get_close_matches(name, METRICS, n=1)
    meant = f"Did you mean '{near[0]}'? " if near else ""
    raise _Mistake(("metric", "name"), f"metric '{clip(name)}' does not exist. {meant}Write one of: {known}.")


def _functions_of(location: Location, path: Path) -> set[str]:
    source = _read(location, path)
    try:
        return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise _Mistake(location, f"{path.name} is not valid Python at line {line}.") from None


def _written_thresholds(part: ThresholdsPart, lower_is_better: bool | None) -> Thresholds:
    sign = -1 if lower_is_better else 1
    if lower_is_better is not None and not sign * part.gold >= sign * part.silver >= sign * part.bronze:
        says = (
            "Lower is better: gold <= silver <= bronze"
            if lower_is_better
            else "Higher is better: gold >= silver >= bronze"
        )
        raise _Mistake(("thresholds",), f"thresholds are in the wrong order. {says}.")
    return Thresholds(part.gold, part.silver, part.bronze, part.median)


def _read(location: Location, path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(TEXT_CAP + 1)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise _Mistake(location, f"{clip(path.name)} cannot be read ({reason}).") from None
    if len(text) > TEXT_CAP:
        raise _Mistake(location, f"{clip(path.name)} is longer than {TEXT_CAP:,} characters.")
    return text


def _header(location: Location, path: Path) -> list[str]:
    try:
        header = read_header(path)
    except (OSError, UnicodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file in UTF-8"
        raise _Mistake(location, f"{clip(path.name)} cannot be read ({reason}).") from None
    if not header:
        raise _Mistake(location, f"{clip(path.name)} is empty. Its first line must name the columns.")
    return header


def read_header(path: Path) -> list[str]:
    """The column names at the head of a CSV file. Raises OSError, UnicodeError or csv.Error."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(iter(lambda: file.readline(LINE_CAP), "")), [])
