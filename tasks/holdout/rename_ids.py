"""New ids for the rows of each fold, so that labels cannot be memorized by id.

Only opaque ids are renamed: integers that say nothing about the label, of a task without other public files, in which
they might occur.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.holdout.load_inputs import TaskInputs
from tasks.holdout.sources import Table
from tasks.holdout.splitters import shuffled_indices
from tasks.io.csv_text import as_number

if TYPE_CHECKING:
    from tasks.task import Labels, Task

INTEGER = re.compile(r"0|[1-9]\d{0,17}")
MAX_CORRELATION = 4.0
"""Standard errors of the rank correlation between ids and labels from which on ids are informative."""


def rename_ids(task: Task, labels: Labels, inputs: TaskInputs, other_files: Sequence[str], draw: str) -> dict[str, str]:
    """The new id of each row of the train and test tables, a permutation of the old ones; empty if ids are kept.

    `other_files` are the public files besides the tables of rows and the sample.
    """
    recipe, source, test = task.recipe, inputs.train.source, inputs.test
    name = inputs.encoder.id.single_field
    is_table = isinstance(source, Table) and isinstance(test.source, Table) and source.plain is str
    if other_files or recipe.files or recipe.renumber or recipe.unit or recipe.time or not is_table or not name:
        return {}
    if inputs.sample.rest or name == labels.group or {name} & set(labels.targets) or name not in test.header:
        return {}
    column, test_column = source.header.index(name), test.header.index(name)
    train_ids = [row[column] for row in source.rows()]
    test_ids = [row[test_column] for row in test.rows]
    ids = [*train_ids, *test_ids]
    is_unique = len(set(ids)) == len(ids) and set(test_ids) == set(inputs.sample.ids)
    if not is_unique or not all(map(INTEGER.fullmatch, ids)) or _is_informative(train_ids, inputs.train.labels):
        return {}
    return {name: ids[index] for name, index in zip(ids, shuffled_indices(len(ids), f"{draw}:ids"), strict=True)}


def _is_informative(ids: Sequence[str], labels: Sequence[str | None]) -> bool:
    """Whether the order of ids goes with that of labels."""
    import numpy as np

    known = [(int(name), label) for name, label in zip(ids, labels, strict=True) if label is not None]
    if len(known) < 3:
        return True
    numbers = [as_number(label) for _, label in known]
    values = [label if number is None else float(number) for (_, label), number in zip(known, numbers, strict=True)]
    if None in numbers:
        values = [label for _, label in known]
    ranks = np.argsort(np.argsort([name for name, _ in known], kind="stable"), kind="stable")
    _, inverse = np.unique(np.array(values), return_inverse=True)
    if not np.ptp(inverse):
        return False
    return abs(float(np.corrcoef(ranks, inverse)[0, 1])) * math.sqrt(len(known) - 1) > MAX_CORRELATION
