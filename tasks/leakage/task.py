"""The sentinel on a whole task: its tables read and looked at, in a process of its own, for it takes its time."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.io.csv_text import TableError
from tasks.leakage.tables import ROWS, Finding, Tables, check_data
from tasks.subprocesses import ChildFailed, Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.task import Task

SECONDS = 120.0


def check_task(task: Task, seconds: float = SECONDS) -> list[Finding]:
    """What is suspicious about a task's public tables. One finding says so where they could not be looked at."""
    if task.labels is None:
        return []
    try:
        reply = run_isolated("tasks.leakage.task", {"task": str(task.path)}, seconds)
    except ChildFailed as failure:
        last = str(failure).strip().splitlines()[-1]
        return [Finding("not looked at", f"the data were not looked at for leaks ({last})", is_fair=False)]
    return [Finding(**found) for found in reply["findings"]]


def read_tables(task: Task) -> list[Tables]:
    """The task's train and test tables, once for each target. Raises TableError."""
    from tasks.holdout.load_inputs import load_inputs
    from tasks.holdout.sources import Table

    labels = task.labels
    if labels is None:
        return []
    book = load_inputs(task, labels)
    train, test = book.train.source, book.test
    if not isinstance(train, Table) or not isinstance(test.source, Table) or not book.encoder.id.single_field:
        return []  # what is only names of files has no columns to look at
    known = [train.header, *(list(map(train.plain, row)) for row in islice(train.rows(), ROWS))]
    rows = [test.header, *(list(map(train.plain, row)) for row in test.rows[:ROWS])]
    key = book.encoder.id.single_field
    return [Tables(known, rows, key, target, labels.group, task.recipe.time) for target in labels.targets[:3]]


def _perform(request: dict[str, Any]) -> Reply:
    from tasks.task import load_task

    try:
        found = [one for tables in read_tables(load_task(Path(request["task"]))) for one in check_data(tables)]
    except (TableError, OSError) as error:
        return {"findings": [asdict(Finding("not looked at", str(error), is_fair=False))]}
    return {"findings": [asdict(one) for one in dict.fromkeys(found)]}


if __name__ == "__main__":
    serve(_perform)
