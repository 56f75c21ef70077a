"""Find tasks by name or path, and list the available ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tasks.config.schema import parse_task_file
from tasks.config.validate import Checks
from tasks.config.yaml_with_lines import read_yaml_file
from tasks.errors import TaskError
from tasks.examples.prepare import EXAMPLES, EXAMPLES_FOLDER, prepare_example
from tasks.metrics.medals import Thresholds
from tasks.mlebench.facts import Competition, Split, competitions, in_split
from tasks.mlebench.prepare import folder_of, is_prepared
from tasks.task import Task, load_task


@dataclass(frozen=True)
class TaskRow:
    """One line of a list of tasks. `train_rows` and `test_rows` are None if unknown."""

    name: str
    title: str
    metric: str
    lower_is_better: bool
    train_rows: int | None
    test_rows: int | None
    thresholds: Thresholds | None
    prepared: bool
    split: Split | None = None
    category: str | None = None

    @property
    def direction(self) -> str:
        """`lower` or `higher`: which scores are better."""
        return "lower" if self.lower_is_better else "higher"


def find_task(name_or_path: str, home: Path) -> Task:
    """Load a task by its name, or by the path of a task.yaml or its folder.

    An example is prepared into `home`/data/NAME on first use; a competition must be prepared already. A known name
    takes precedence over a file of that name; write `./NAME` for the file. Raises TaskError.
    """
    if name_or_path in EXAMPLES:
        return load_task(prepare_example(name_or_path, home))
    if name_or_path in competitions():
        return _prepared_competition(name_or_path, home)
    if "\0" in name_or_path or not name_or_path.strip():
        raise TaskError("The task has no name. Write the path of a task.yaml, or a name from `harness tasks`.")
    if _is_path(name_or_path):
        return load_task(Path(name_or_path).expanduser())
    similar = get_close_matches(name_or_path.lower(), [*EXAMPLES, *competitions()], n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(similar)}? " if similar else ""
    raise TaskError(
        f"There is no task '{name_or_path}'. {hint}`harness tasks` lists the names; or write the path of a task.yaml."
    )


def _prepared_competition(name: str, home: Path) -> Task:
    if is_prepared(name, home):
        return load_task(folder_of(name, home))
    unfinished = (
        " (an earlier preparation was not finished)" if (folder_of(name, home) / "prepared.part").exists() else ""
    )
    raise TaskError(f"The data of {name} are not prepared{unfinished}. Run: harness prepare {name}")


def _is_path(text: str) -> bool:
    looks_like_path = "/" in text or text.startswith((".", "~")) or text.endswith((".yaml", ".yml"))
    try:
        return looks_like_path or Path(text).exists()
    except OSError:
        return True


def list_tasks(home: Path) -> list[TaskRow]:
    """The examples, and the competitions that are prepared. Nothing is prepared by this call."""
    ready = [_competition_row(each, home) for each in competitions().values() if is_prepared(each.id, home)]
    return [*(_example_row(name, home) for name in EXAMPLES), *ready]


def list_competitions(split: str, home: Path) -> list[tuple[TaskRow, Competition]]:
    """The competitions of a split of MLE-bench, prepared or not. Raises TaskError for a split that does not exist."""
    try:
        members = in_split(split)
    except KeyError:
        raise TaskError(f"There is no split '{split}'. Write low, medium, high, all or dev.") from None
    return [(_competition_row(each, home), each) for each in members]


def _competition_row(competition: Competition, home: Path) -> TaskRow:
    return TaskRow(
        competition.id,
        competition.title,
        competition.metric,
        competition.lower_is_better,
        None,
        None,
        competition.thresholds,
        is_prepared(competition.id, home),
        competition.split,
        competition.category,
    )  # fmt: skip


def _example_row(name: str, home: Path) -> TaskRow:
    folder, example = EXAMPLES_FOLDER / name, EXAMPLES[name]
    yaml_file = read_yaml_file(folder / "task.yaml")
    file, checks = parse_task_file(yaml_file), Checks(yaml_file, folder)
    metric = checks.metric(file.metric)
    thresholds = checks.thresholds(file.thresholds, file.leaderboard, metric.lower_is_better if metric else None)
    checks.raise_problems()
    assert metric is not None  # otherwise there was a problem
    prepared = (home / "data" / name).is_dir()
    return TaskRow(
        name,
        file.title or name,
        metric.name,
        metric.lower_is_better,
        example.train_rows,
        example.test_rows,
        thresholds,
        prepared,
    )  # fmt: skip


def task_row(task: Task) -> TaskRow:
    """The line of a loaded task; the rows of its labels file and its sample are counted."""
    return TaskRow(
        task.id,
        task.title,
        task.metric.name,
        task.metric.lower_is_better,
        count_rows(task.labels.file) if task.labels else None,
        count_rows(task.submission.sample),
        task.thresholds,
        prepared=True,
    )


def count_rows(path: Path) -> int | None:
    """The number of rows below the header of a CSV file; None if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return max(0, sum(1 for row in csv.reader(file) if row) - 1)
    except (OSError, csv.Error):
        return None
