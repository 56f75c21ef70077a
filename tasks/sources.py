"""What a task's tables say before any row moves: the sample, the labelled rows, and the rows to predict.

Raises `TableError` for tables that do not fit together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.cells import Positions, Row, TableError, read_header, read_rows
from tasks.checking import number

if TYPE_CHECKING:
    from tasks.spec import Labels, Task


@dataclass(frozen=True)
class Train:
    """What must be known of the labelled rows to choose among them; `labels` is None where a label is missing.

    `cells` are the target cells, `moments` the times where rows are held out by time. `classes` are the sample's
    columns where each stands for one class of the label; `notes` say what was guessed.
    """

    header: Row
    ids: list[str]
    labels: list[str | None]
    cells: list[tuple[str, ...]]
    units: list[str]
    moments: list[str]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Test:
    """The rows to predict: `places[i]` is the row of the sample submission that test row i answers to."""

    path: Path
    header: Row
    rows: list[Row]
    places: list[int]


def read_sample(task: Task) -> list[Row]:
    """The sample submission, header first. Raises TableError."""
    sample = list(read_rows(task.submission.sample))
    name = task.submission.sample.name
    for column in (task.submission.id, *task.submission.targets):
        if not sample or sample[0].count(column) != 1:
            raise TableError(f"{name} needs one column {column!r}")
    ids = [row[sample[0].index(task.submission.id)] for row in sample[1:]]
    if not ids:
        raise TableError(f"{name} has no rows")
    if not Positions(ids).unique:
        raise TableError(f"{name}: ids in column {task.submission.id!r} repeat; give every row its own")
    return sample


def scan(task: Task, labels: Labels, sample: Sequence[Row]) -> Train:
    """Read what must be known of the labelled rows. Raises TableError."""
    rows = read_rows(labels.file)
    header = next(rows, [])
    classes, notes = _classes(task, labels, sample[0] if sample else [])
    more = [name for name in (labels.group, task.recipe.time) if name]
    wanted = [labels.id, *labels.targets, *more]
    for column in wanted:
        if header.count(column) != 1:
            raise TableError(f"{labels.file.name} needs one column {column!r}; it has {', '.join(header) or 'none'}")
    at = {column: header.index(column) for column in wanted}
    train = Train(header, [], [], [], [], [], classes, notes)
    for row in rows:
        cells = tuple(row[at[name]] for name in labels.targets)
        name = row[at[labels.id]]
        if classes:
            _require_class(cells[0], classes, labels, name)
        elif task.metric.needs != "labels":
            _require_number(cells, labels, name)
        known = task.submission.may_be_missing or all(cell.strip() for cell in cells)
        train.ids.append(name)
        train.cells.append(cells)
        train.labels.append("\x1f".join(cells) if known else None)
        train.units.append(row[at[labels.group]] if labels.group else "")
        train.moments.append(row[at[task.recipe.time]] if task.recipe.time else "")
    return train


def _classes(task: Task, labels: Labels, header: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sample's columns where each is a class of the one label, as said or (with a note) as guessed."""
    targets = task.submission.targets
    spreads = task.recipe.onehot
    if spreads is None:
        spreads = len(labels.targets) == 1 and len(targets) > 1
        if spreads:
            note = f"guessed that the sample's columns {', '.join(targets[:5])}… are the classes of {labels.targets[0]}"
            return targets, (f"{note}; write `blend: {{answer: {{onehot: {labels.targets[0]}}}}}` to say so",)
    if spreads:
        return targets, ()
    if len(labels.targets) != len(targets):
        raise TableError("labels.target and submission.target must name the same number of columns, in the same order")
    return (), ()


def _require_class(cell: str, classes: Sequence[str], labels: Labels, name: str) -> None:
    if cell.strip() and cell.strip() not in classes:
        raise TableError(
            f"{labels.file.name}: the label {cell!r} of row {name!r} is no column of the sample submission, "
            f"whose classes are {', '.join(classes[:8])}"
        )


def _require_number(cells: Sequence[str], labels: Labels, name: str) -> None:
    for cell in cells:
        try:
            if math.isinf(number(cell)):
                raise ValueError
        except ValueError:
            raise TableError(
                f"{labels.file.name}: the label {cell!r} of row {name!r} is not a number, and the metric needs numbers"
            ) from None


def find_test(task: Task, labels: Labels, train: Train, sample: list[Row]) -> Test:
    """The one CSV of public with the labels file's columns but for the targets."""
    columns = set(train.header) - set(labels.targets)
    shapes = [columns, columns - {labels.group}]
    others = {labels.file, task.submission.sample}
    found = [path for path in _tables(task.public) if path not in others and set(read_header(path)) in shapes]
    if task.recipe.test:
        found = [task.recipe.test]
        if not set(read_header(found[0])) <= columns:
            raise TableError(f"{found[0].name} has columns that {labels.file.name} has not, or the targets")
    expected = ", ".join(name for name in train.header if name in columns)
    if len(found) != 1:
        names = ", ".join(path.relative_to(task.public).as_posix() for path in found) or "none"
        raise TableError(
            f"one CSV in {task.public.name}/ must have the columns of {labels.file.name} without the targets "
            f"({expected}), and that is the test file; found: {names}. Tasks without such a file are not supported "
            "with labels: leave `labels` out, and scores are self-reported"
        )
    header, *rows = read_rows(found[0])
    id_at, sample_id_at = header.index(labels.id), sample[0].index(task.submission.id)
    ids = [row[id_at] for row in rows]
    if not Positions(train.ids + ids).unique:
        raise TableError(
            f"ids in column {labels.id!r} must be unique over {labels.file.name} and {found[0].name} together"
        )
    positions = Positions([row[sample_id_at] for row in sample[1:]])
    places = [place for name in ids if (place := positions.find(name)) is not None]
    if sorted(places) != list(range(len(sample) - 1)) or len(places) != len(ids):
        raise TableError(f"{task.submission.sample.name} and {found[0].name} must have the same ids, each once")
    return Test(found[0], header, rows, places)


def _tables(public: Path) -> list[Path]:
    return sorted(path for path in public.rglob("*") if path.suffix.lower() == ".csv" and path.is_file())
