"""Check a parsed task.yaml against the disk: files exist, tables have the named columns, thresholds are in order."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tasks.config.schema import (
    AnswerSection,
    BlendSection,
    LabelsSection,
    MetricSection,
    SubmissionSection,
    TaskFile,
    ThresholdsSection,
    clip,
)
from tasks.config.yaml_with_lines import Location, YamlFile
from tasks.errors import TaskError
from tasks.io.path_templates import Template
from tasks.metrics.medals import Thresholds, read_board, thresholds_from_leaderboard
from tasks.metrics.registry import METRICS, Metric, find_metric, similar_metric

T = TypeVar("T")

MAX_LINE_CHARS = 10_000_000
"""Of a header line; a file with a longer one is not a table."""
MAX_TEXT_CHARS = 5_000_000
"""Of a description, a leaderboard or a metric's file."""


class _Problem(Exception):
    """A problem with the value at `location`; checks that depend on the value are skipped."""

    def __init__(self, location: Location, message: str) -> None:
        super().__init__(message)
        self.location = location


class Checks:
    """Collects the problems of one task file, so that the user sees all of them at once.

    After a problem a method returns None (or leaves a value out): call `raise_problems` before using the results.
    """

    def __init__(self, yaml_file: YamlFile, folder: Path) -> None:
        self.yaml_file = yaml_file
        self.folder = folder
        self._problems: list[str] = []

    def raise_problems(self) -> None:
        """Raise TaskError if any problem was found."""
        if self._problems:
            raise TaskError("\n".join(dict.fromkeys(self._problems)))

    def _report(self, location: Location, message: str) -> None:
        self._problems.append(self.yaml_file.problem(location, message))

    def _try(self, check: Callable[[], T]) -> T | None:
        try:
            return check()
        except _Problem as mistake:
            self._report(mistake.location, str(mistake))
            return None

    # ------------------------------------------------------------------------------------------- metric, thresholds

    def metric(self, section: MetricSection) -> Metric | None:
        """The named metric, or the task's own function."""
        if section.function is not None:
            return self._try(lambda: self._own_metric(section, section.function or ""))
        return self._try(lambda: _named_metric(section))

    def _own_metric(self, section: MetricSection, function: str) -> Metric:
        location = ("metric", "function")
        file, _, name = function.rpartition(":")
        if section.name is not None:
            raise _Problem(("metric",), "metric has both a name and a function. Keep one.")
        if not file or not name.isidentifier():
            raise _Problem(location, f"function '{clip(function)}' is not of the form `file.py:function`.")
        if section.direction is None:
            raise _Problem(location, "a function needs a direction. Add `direction: lower` or `direction: higher`.")
        path = self._file(location, file, "the file of the metric")
        if name not in _functions_of(location, path):
            message = f"{clip(file)} defines no function '{name}'. Write `def {name}(answers, predictions, targets):`."
            raise _Problem(location, message)
        return Metric(name, section.direction == "lower", section.needs, "A metric defined by the task.", path, name)

    def thresholds(
        self, section: ThresholdsSection | None, leaderboard: str | None, lower_is_better: bool | None
    ) -> Thresholds | None:
        """Medal thresholds, as numbers or from a leaderboard; None also if the task has none."""
        if section is not None and leaderboard is not None:
            self._report(("leaderboard",), "both thresholds and leaderboard are given. Keep one.")
        elif leaderboard is not None:
            return self._try(lambda: self._from_leaderboard(leaderboard, lower_is_better))
        elif section is not None:
            return self._try(lambda: _written_thresholds(section, lower_is_better))
        return None

    def _from_leaderboard(self, name: str, lower_is_better: bool | None) -> Thresholds:
        location = ("leaderboard",)
        text = _read(location, self._file(location, name, "the leaderboard"))
        try:
            return thresholds_from_leaderboard(read_board(text), lower_is_better)
        except (ValueError, csv.Error) as error:
            message = f"{clip(name)} cannot be used: {clip(str(error), 200)}. Write one number a row, best first."
        raise _Problem(location, message)

    # -------------------------------------------------------------------------------------------------------- files

    def description(self, name: str) -> str:
        """The text of the description file."""
        return self._try(lambda: self._description(name)) or ""

    def _description(self, name: str) -> str:
        text = _read(("description",), self._file(("description",), name, "the task description"))
        if not text.strip():
            raise _Problem(("description",), f"file '{clip(name)}' is empty. Describe the task in it.")
        return text

    def data_paths(self, file: TaskFile) -> dict[str, Path]:
        """The data folders and files that the task names, by key, each checked."""
        data, paths = file.data, dict[str, Path | None]()
        paths["public"] = self._try(lambda: self._data_folder("public", data.public))
        if data.private is not None:
            private = data.private
            paths["private"] = self._try(lambda: self._data_folder("private", private))
            paths["answers"] = self._answers(private, data.answers, file.submission)
        elif data.answers is not None:
            self._report(("data", "answers"), "answers need `private:`, the folder that contains them. Add it.")
        self._require_apart(paths)
        paths["sample"] = self._sample(file.submission)
        if file.labels:
            paths["labels"] = self._labels(file.labels, data.public)
        if file.blend:
            self._blend(file.blend, file.labels)
        return {key: path for key, path in paths.items() if path}

    def _answers(self, private: str, name: str | None, section: SubmissionSection) -> Path | None:
        location = ("data", "answers" if name else "private")
        name = name or str(PurePosixPath(private) / "answers.csv")
        columns = [("id", section.id), *(("target", target) for target in section.target)]
        return self._table(location, name, "the private answers", ("submission",), columns)

    def _sample(self, section: SubmissionSection) -> Path | None:
        columns = [("id", section.id), *(("target", target) for target in section.target)]
        location = ("submission", "sample")
        return self._table(location, section.sample, "the sample submission", ("submission",), columns)

    def _labels(self, section: LabelsSection, public: str) -> Path | None:
        location = ("labels", "file")
        paths = [self._try(partial(self._label_file, location, name, public, section)) for name in section.file]
        return paths[0]

    def _label_file(self, location: Location, name: str, public: str, section: LabelsSection) -> Path | None:
        """One of the files with the labels; columns are checked if it is a plain CSV."""
        if name.startswith("files:"):
            return self.folder / public
        path = name.removeprefix("marked:").partition("!")[0]
        if path != name or not name.lower().endswith(".csv"):
            return self._file(location, path, "the training labels")
        columns = [("id", column) for column in Template(section.id).names]
        columns += [("target", target) for target in section.target]
        if section.group and section.group not in Template(section.id).names:
            columns.append(("group", section.group))
        return self._table(location, name, "the training labels", ("labels",), columns)

    def _blend(self, section: BlendSection, labels: LabelsSection | None) -> None:
        """Whether the keys of `blend:` fit together, and whether its files exist."""
        if labels is None:
            self._report(("blend",), "a blend needs labels. Add a section `labels: {file: ..., id: ..., target: ...}`.")
        elif section.answer:
            self._answer(section.answer, labels)
        if section.plan and section.plan.folds and (section.plan.search or section.plan.select):
            self._report(("blend", "plan"), "both folds and search are given. Keep one.")
        elif section.plan and section.plan.select and not section.plan.search:
            self._report(("blend", "plan"), "select needs search. Add `search: 0.1`.")
        if section.split.time and section.plan and section.plan.folds:
            self._report(("blend", "plan"), "a split by time has no folds. Remove `folds`.")
        for name in section.test or ():
            if not name.startswith("files:"):
                self._try(partial(self._file, ("blend", "test"), name.partition("!")[0], "the rows to predict"))

    def _answer(self, section: AnswerSection, labels: LabelsSection) -> None:
        location = ("blend", "answer")
        kinds = [name for name in ("onehot", "map", "set", "pixels") if getattr(section, name)]
        columns = [section.onehot or section.set or next(iter(section.map or {}), "")]
        if len(kinds) != 1 or len(section.map or {}) > 1:
            self._report(location, "write exactly one of `onehot:`, `map:`, `set:` and `pixels:`, for one column.")
        elif kinds != ["pixels"] and columns != labels.target:
            self._report(location, f"{kinds[0]} must name the label's column, {clip(', '.join(labels.target))}.")
        elif bool(section.set) != bool(section.count):
            self._report(
                location,
                "`set:` and `count:` (its number of members) belong together. Write both or neither.",
            )

    def _data_folder(self, key: str, name: str) -> Path:
        path = self._resolve(("data", key), name)
        if not path.is_dir():
            raise _Problem(("data", key), f"folder '{clip(name)}' does not exist. Create it at {path}.")
        return path

    def _require_apart(self, paths: dict[str, Path | None]) -> None:
        public = paths["public"]
        for key in ("private", "answers"):
            path = paths.get(key)
            if public and path and path.resolve().is_relative_to(public.resolve()):
                message = f"'{key}' is inside the public folder, where the model could read it. Move it out."
                self._report(("data", key), message)

    def _file(self, location: Location, name: str, what: str) -> Path:
        path = self._resolve(location, name)
        if not path.is_file():
            raise _Problem(location, f"file '{clip(name)}' ({what}) does not exist. Put it at {path}.")
        return path

    def _resolve(self, location: Location, name: str) -> Path:
        """The path of `name` relative to the task file; it need not exist, but must be a valid path."""
        path = self.folder / name
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            message = f"'{clip(name)}' cannot be read ({reason}). Make it readable, or name another file."
            raise _Problem(location, message) from None
        return path

    def _table(
        self, location: Location, name: str, what: str, section: Location, columns: Sequence[tuple[str, str]]
    ) -> Path | None:
        """The CSV file `name`, whose header must contain `columns`, given as (key of the task file, column)."""

        def check() -> Path:
            path = self._file(location, name, what)
            header = _header(location, path)
            for key, column in columns:
                if column not in header:
                    has = clip(", ".join(header), 200)
                    message = f"{path.name} has no column '{clip(column)}'. Its columns are: {has}."
                    self._report((*section, key), message)
            if len({column for _, column in columns}) < len(columns):
                self._report((*section, "target"), "a column is named twice. Name each column once, without the id.")
            return path

        return self._try(check)

    # ------------------------------------------------------------------------------------------------------- hidden

    def hidden(self, names: Sequence[str]) -> None:
        """Check that every path to mask is inside site-packages."""
        for index, name in enumerate(names):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or path == PurePosixPath("."):
                message = f"'{clip(name)}' is not a path inside site-packages, such as `sklearn/datasets/data`."
                self._report(("hide", index), message)

    # -------------------------------------------------------------------------------------------------- competition

    def competition(self, name: str | None) -> None:
        """Check that MLE-bench has the competition whose official metric grades the task."""
        from tasks.mlebench.facts import competitions

        if name is not None and name not in competitions():
            similar = get_close_matches(name, competitions(), n=1)
            hint = f" Did you mean '{similar[0]}'?" if similar else ""
            self._report(("competition",), f"'{clip(name)}' is not a competition of MLE-bench.{hint}")


def _named_metric(section: MetricSection) -> Metric:
    known, name = ", ".join(METRICS), section.name
    if name is None:
        raise _Problem(("metric",), f"names no metric. Write one of: {known}.")
    if section.direction is not None or "needs" in section.model_fields_set:
        raise _Problem(("metric",), f"only a `function:` takes a direction. Write `metric: {clip(name)}`.")
    if metric := find_metric(name):
        return metric
    if ".py:" in name:
        message = (
            f"a function needs a direction. Write `metric: {{function: {clip(name)}, direction: lower}}` or higher."
        )
        raise _Problem(("metric",), message)
    similar = similar_metric(name)
    hint = f"Did you mean '{similar}'? " if similar else ""
    raise _Problem(("metric", "name"), f"metric '{clip(name)}' does not exist. {hint}Write one of: {known}.")


def _functions_of(location: Location, path: Path) -> set[str]:
    source = _read(location, path)
    try:
        return {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise _Problem(location, f"{path.name} is not valid Python at line {line}.") from None


def _written_thresholds(section: ThresholdsSection, lower_is_better: bool | None) -> Thresholds:
    sign = -1 if lower_is_better else 1
    if lower_is_better is not None and not sign * section.gold >= sign * section.silver >= sign * section.bronze:
        message = (
            "Lower is better: gold <= silver <= bronze"
            if lower_is_better
            else "Higher is better: gold >= silver >= bronze"
        )
        raise _Problem(("thresholds",), f"thresholds are in the wrong order. {message}.")
    return Thresholds(section.gold, section.silver, section.bronze, section.median)


def _read(location: Location, path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(MAX_TEXT_CHARS + 1)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise _Problem(location, f"{clip(path.name)} cannot be read ({reason}).") from None
    if len(text) > MAX_TEXT_CHARS:
        raise _Problem(location, f"{clip(path.name)} is longer than {MAX_TEXT_CHARS:,} characters.")
    return text


def _header(location: Location, path: Path) -> list[str]:
    try:
        header = read_header(path)
    except (OSError, UnicodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file in UTF-8"
        raise _Problem(location, f"{clip(path.name)} cannot be read ({reason}).") from None
    if not header:
        raise _Problem(location, f"{clip(path.name)} is empty. Its first line must name the columns.")
    return header


def read_header(path: Path) -> list[str]:
    """The column names at the head of a CSV file. Raises OSError, UnicodeError or csv.Error."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(iter(lambda: file.readline(MAX_LINE_CHARS), "")), [])
