"""The leak checks on a whole task, run in a child process because they take time."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.holdout.splitters import TooFewRows
from tasks.io.atomic import open_durable
from tasks.io.csv_text import TableError
from tasks.io.hashing import hash_of
from tasks.leakage.statistics import Finding, Tables
from tasks.leakage.tables import ROWS, check_data
from tasks.subprocesses import ChildFailed, Reply, run_isolated, serve

if TYPE_CHECKING:
    from tasks.holdout.load_inputs import TaskInputs
    from tasks.task import Labels, Task

SECONDS = 120.0
MOST_TARGETS = 3
NOT_CHECKED = "not checked"


def check_task(task: Task, seconds: float = SECONDS) -> list[Finding]:
    """Findings in a task's public tables, or one finding that says why they could not be checked."""
    if task.labels is None:
        return []
    try:
        reply = run_isolated("tasks.leakage.task", {"task": str(task.path)}, seconds)
    except ChildFailed as failure:
        return [_not_checked(str(failure).strip().splitlines()[-1])]
    return [Finding(**finding) for finding in reply["findings"]]


def check_task_once(task: Task, private_labels: Path) -> list[Finding]:
    """`check_task`, with its findings kept beside the private labels of a blend of this task.

    A blend is refused once the task's data change, so kept findings are valid until the checks themselves change.
    """
    file, version = private_labels / "leaks.json", _version()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["checks"] == version:
            return [Finding(**finding) for finding in kept["findings"]]
    findings = check_task(task)
    if not any(finding.kind == NOT_CHECKED for finding in findings):
        with contextlib.suppress(OSError), open_durable(file, 0o600) as stream:  # a full disk costs a repeated check
            json.dump({"checks": version, "findings": [asdict(finding) for finding in findings]}, stream)
    return findings


def _version() -> str:
    """A hash of the source of the checks."""
    return hash_of(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def _not_checked(reason: str) -> Finding:
    return Finding(NOT_CHECKED, f"the data were not checked for leaks ({reason})", agent_may_see=False)


def read_tables(task: Task) -> list[Tables]:
    """The task's train and test tables, once for each target. Raises TableError."""
    from tasks.holdout.load_inputs import load_inputs
    from tasks.holdout.sources import Table

    labels = task.labels
    if labels is None:
        return []
    inputs = load_inputs(task, labels)
    train, test, key = inputs.train.source, inputs.test, inputs.encoder.id.single_field
    if not isinstance(train, Table) or not isinstance(test.source, Table) or not key:
        return []  # file names alone have no columns to check
    train_rows = [train.header, *(list(map(train.plain, row)) for row in islice(train.rows(), ROWS))]
    test_rows = [test.header, *(list(map(train.plain, row)) for row in test.rows[:ROWS])]
    hides_ids, targets = _hides_ids(task, labels, inputs), labels.targets[:MOST_TARGETS]
    return [Tables(train_rows, test_rows, key, target, labels.group, task.recipe.time, hides_ids) for target in targets]


def _hides_ids(task: Task, labels: Labels, inputs: TaskInputs) -> bool:
    """Whether a run shows other ids: new numbers by the recipe, or a permutation in each fold."""
    from tasks.holdout.public_files import list_other_files
    from tasks.holdout.rename_ids import rename_ids
    from tasks.holdout.split import plan_folds

    if task.recipe.renumber:
        return task.recipe.renumber.field == inputs.encoder.id.single_field
    has_folds = plan_folds(task.recipe, sum(label is not None for label in inputs.train.labels)).cv_folds > 0
    return has_folds and bool(rename_ids(task, labels, inputs, list_other_files(task, inputs, ()), ""))


def _perform(request: dict[str, Any]) -> Reply:
    from tasks.task import load_task

    try:
        tables = read_tables(load_task(Path(request["task"])))
    except (TableError, TooFewRows, OSError) as error:
        return {"findings": [asdict(_not_checked(str(error)))]}
    findings = dict.fromkeys(finding for pair in tables for finding in check_data(pair))
    return {"findings": [asdict(finding) for finding in findings]}


if __name__ == "__main__":
    serve(_perform)
