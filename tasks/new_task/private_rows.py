"""Choose the rows that become private: a stratified quarter, whole groups, or the latest rows.

A run holds out other rows in the same way, so that its estimate holds for the private rows.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.errors import TaskError
from tasks.holdout.splitters import (
    SINGLE_SPLIT_FOLDS,
    Folds,
    TooFewRows,
    assign_folds,
    assign_group_folds,
    assign_late_folds,
    choose_fold_count,
)
from tasks.io.columns import Columns
from tasks.metrics.metric import Metric
from tasks.new_task.column_types import check_times
from tasks.new_task.request import Findings, TaskRequest
from tasks.new_task.targets import Target

PRIVATE_FOLDS = 4
"""One of this many folds becomes private."""
MAX_LATE_SHARE = 0.6
"""A larger share of the rows must not have the latest time."""
RARE_ROWS = 10
"""With fewer private rows of a class than this, chance dominates the score."""
MAX_CLASSES = 20


@dataclass(frozen=True)
class Rows:
    """The rows to divide: answers by column of a submission, strata, groups and times.

    `stratify`: each fold gets its share of every label. Numbers are not labels: their rows are divided at random.
    """

    answers: Sequence[Sequence[str]]
    strata: Sequence[str]
    groups: Sequence[str] | None
    times: Sequence[float | None] | None
    stratify: bool


def private_rows(
    table: Columns,
    target: Target,
    metric: Metric,
    request: TaskRequest,
    findings: Findings,
    given: Sequence[bool] = (),
) -> Sequence[bool]:
    """Which rows become private, unless they are given. Raises TaskError if a run could then not hold out or score
    any of the others."""
    shown = str(request.data)
    rows = Rows(
        target.cells(table),
        ["\x1f".join(cells) for cells in zip(*(table.column(name) for name in target.labels), strict=True)],
        table.column(request.group) if request.group else None,
        check_times(table.column(request.time), request.time, shown) if request.time else None,
        stratify=metric.needs != "numbers",
    )
    seed = f"private rows of {request.data.stem}" if request.data else "private rows"
    try:
        is_private = given or _choose(rows, seed)
        held = _held_out(rows, is_private)
    except TooFewRows as error:
        raise TaskError(f"{shown}: {_too_few(request, error)}") from None
    private = [row for row, kept in enumerate(is_private) if kept]
    for members in (private, *held):
        if not _can_be_scored(metric, rows.answers, members):
            raise TaskError(f"{shown}: {_too_rare(target, metric, rows, request, len(held))}")
    findings.facts.append(f"{len(private):,} rows are private, and {len(is_private) - len(private):,} are for training")
    labels = {name: table.column(name) for name in target.labels} if rows.stratify else {}
    findings.advice += _note_rare_class(labels, private)
    return is_private


def keep_true_claims(request: TaskRequest, train: Columns, test: Columns, findings: Findings) -> TaskRequest:
    """The request with --group and --time only where they divide test from train, and advice where they do not."""
    group, time = (name if name in test.header else None for name in (request.group, request.time))
    if group and not set(train.column(group)).isdisjoint(test.column(group)):
        findings.advice.append(
            f"rows to predict have values of {group} that training rows have too; a run holds out whole values, so its "
            "estimate may be worse than the score: leave --group out to hold out any rows"
        )
        group = None
    if time and not _is_later(test.column(time), train.column(time), time):
        findings.advice.append(
            f"not all rows to predict are later than the training rows in {time}; a run holds out the latest rows: "
            "leave --time out to hold out any rows"
        )
        time = None
    return replace(request, group=group, time=time)


def _is_later(cells: Sequence[str], others: Sequence[str], name: str) -> bool:
    """Whether all these times are known, and later than the others."""
    times = check_times([*cells, *others], name, "train and test")
    earliest = min((-math.inf if one is None else one for one in times[: len(cells)]), default=math.inf)
    return all(one is None or one < earliest for one in times[len(cells) :])


def _choose(rows: Rows, seed: str) -> list[bool]:
    """The latest rows, whole groups, or a stratified quarter."""
    if rows.times is not None:
        return _latest(rows.times)
    return [fold == 0 for fold in _folds(rows, rows.strata, rows.groups, PRIVATE_FOLDS, seed)]


def _held_out(rows: Rows, is_private: Sequence[bool]) -> list[list[int]]:
    """The rows that each fold of a run would hold out of those that are not private."""
    left = [row for row, private in enumerate(is_private) if not private]
    strata = [rows.strata[row] for row in left]
    if rows.times is not None:
        folds = assign_late_folds([rows.times[row] for row in left], strata, SINGLE_SPLIT_FOLDS, "0:held out")
    else:
        groups = rows.groups and [rows.groups[row] for row in left]
        folds = _folds(rows, strata, groups, choose_fold_count(len(left)), "0:held out")
    held: dict[int, list[int]] = defaultdict(list)
    for row, fold in zip(left, folds, strict=True):
        if fold is not None:
            held[0 if rows.times is not None else fold].append(row)
    return list(held.values())


def _folds(rows: Rows, strata: Sequence[str], groups: Sequence[str] | None, count: int, seed: str) -> Folds:
    """The fold of each row, assigned as in a run."""
    if groups:
        return assign_group_folds(groups, strata, count, seed)
    return assign_folds(strata, count, seed, stratify=rows.stratify)


def _latest(times: Sequence[float | None]) -> list[bool]:
    """Which rows are among the latest quarter; rows of one time stay together, rows without a time are early."""
    known = sorted((time for time in times if time is not None), reverse=True)
    if not known:
        raise TooFewRows("no row has a time")
    start = known[len(known) // PRIVATE_FOLDS]
    late = [time is not None and time > start for time in times]
    if sum(late) < len(known) / (2 * PRIVATE_FOLDS):
        late = [time is not None and time >= start for time in times]
    if sum(late) > MAX_LATE_SHARE * len(known):
        raise TooFewRows("most rows have the same time, so none are later than the others")
    return late


def _too_few(request: TaskRequest, error: TooFewRows) -> str:
    if request.time:
        reason = str(error).partition(";")[0]
        return f"the rows cannot be divided by {request.time}: {reason}. Name another --time, or leave it out."
    return (
        f"the groups in {request.group} are too few or too large: some groups become private, and runs hold out some "
        "of the others. Name another column with --group, or leave it out."
    )


def _can_be_scored(metric: Metric, answers: Sequence[Sequence[str]], members: Sequence[int]) -> bool:
    """Whether a metric is defined on the answers of these rows."""
    if not metric.needs_varied_answers:
        return True
    return all(len({column[row] for row in members}) > 1 for column in answers)


def _too_rare(target: Target, metric: Metric, rows: Rows, request: TaskRequest, fold_count: int) -> str:
    rarest = min(rows.answers, key=lambda column: min(Counter(column).values()))
    label, count = Counter(rarest).most_common()[-1]
    name = target.predicted[rows.answers.index(rarest)]
    if target.answer == "onehot":
        name, label = target.labels[0], name
    elif target.answer == "map":
        label = next(word for word, cell in target.values if cell == label)
    where = f"in only {count} rows"
    if request.group:
        where = f"in {count} rows, in too few groups of {request.group}"
    elif request.time:
        where = f"in {count} rows, and not in each stretch of {request.time}"
    return (
        f"{name} is {label!r} {where}. {metric.name} needs different answers among the private rows and in "
        f"each of the {fold_count} folds of the others. Add rows of this class, or choose another --metric."
    )


def _note_rare_class(labels: Mapping[str, Sequence[str]], private: Sequence[int]) -> list[str]:
    """A note about the class of a target that has the fewest private rows, if these are very few."""
    rarest = []
    for name, cells in labels.items():
        classes, counts = set(cells), Counter(cells[row] for row in private)
        rarest += [(counts[label], name, label) for label in classes] if len(classes) <= MAX_CLASSES else []
    few, name, label = min(rarest, default=(RARE_ROWS, "", ""))
    note = f"{name} is {label!r} in only {few} of the {len(private)} private rows: chance dominates the score"
    return [note] if few < RARE_ROWS else []
