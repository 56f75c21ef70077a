"""Which tasks there are: the ones known by name, and the way from a name or a path to a loaded task."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tasks.marked_yaml import TaskError, read_marked_yaml
from tasks.medals import Thresholds
from tasks.preparation import EXAMPLES, EXAMPLES_FOLDER, prepare_example
from tasks.spec import Task, load_task
from tasks.task_checks import Checks
from tasks.task_file import parse_task_file


@dataclass(frozen=True)
class TaskRow:
    """One line of a list of tasks. `train_rows` and `test_rows` are None where they are not known."""

    name: str
    title: str
    metric: str
    lower_is_better: bool
    train_rows: int | None
    test_rows: int | None
    thresholds: Thresholds | None
    prepared: bool

    @property
    def direction(self) -> str:
        """`lower` or `higher`: which scores win."""
        return "lower" if self.lower_is_better else "higher"


def find_task(name_or_path: str, home: Path) -> Task:
    """The task of a name from the catalogue, or of the path of a task.yaml or its folder.

    An example is prepared into `home`/data/NAME when it is first asked for. A bare name that is in the catalogue
    wins over a file of that name; write `./NAME` for the file. Raises TaskError.
    """
    if name_or_path in EXAMPLES:
        return load_task(prepare_example(name_or_path, home))
    if "\0" in name_or_path or not name_or_path.strip():
        raise TaskError("The task has no name. Write the path of a task.yaml, or a name that `harness tasks` lists.")
    if _is_path(name_or_path):
        return load_task(Path(name_or_path).expanduser())
    near = get_close_matches(name_or_path.lower(), EXAMPLES, n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    raise TaskError(
        f"There is no task '{name_or_path}'. {meant}`harness tasks` lists the names; or write the path of a task.yaml."
    )


def _is_path(text: str) -> bool:
    looks_like_one = "/" in text or text.startswith((".", "~")) or text.endswith((".yaml", ".yml"))
    try:
        return looks_like_one or Path(text).exists()
    except OSError:
        return True


def list_tasks(home: Path) -> list[TaskRow]:
    """Every task known by name; prepares nothing."""
    return [_example_row(name, home) for name in EXAMPLES]


def _example_row(name: str, home: Path) -> TaskRow:
    folder, example = EXAMPLES_FOLDER / name, EXAMPLES[name]
    marked = read_marked_yaml(folder / "task.yaml")
    file, checks = parse_task_file(marked), Checks(marked, folder)
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


def row_of(task: Task) -> TaskRow:
    """The line of a loaded task; its labels and its sample are counted."""
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
    """Rows below the header of a CSV file, None where it cannot be read as one."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return max(0, sum(1 for row in csv.reader(file) if row) - 1)
    except (OSError, csv.Error):
        return None
