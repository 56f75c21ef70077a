"""Match the columns of train, test and sample tables: ids, labels and predictions, also under names that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.errors import TaskError
from tasks.holdout.splitters import shuffled_indices
from tasks.io.columns import Columns
from tasks.io.csv_text import Number, as_number, is_missing
from tasks.io.hashing import hash_of_cells
from tasks.new_task.compose_ids import composed, composing_columns, with_composed
from tasks.new_task.find_tables import Tables
from tasks.new_task.match_names import match_names, same_name
from tasks.new_task.request import Findings, TaskRequest
from tasks.new_task.targets import emptiness

SHOWN = 8
"""Names in a message."""
PROBED = 100
"""Cells that tell ids from measures."""


@dataclass(frozen=True)
class Matched:
    """The three tables, the id column, and the label columns with those that are predicted.

    The id has the name of the sample in all tables. Where `predicted` are the classes of one label column, the labels
    are the names of these columns.
    """

    train: Columns
    test: Columns
    sample: Columns
    id: str
    labels: tuple[str, ...]
    predicted: tuple[str, ...]


def match_tables(
    request: TaskRequest, tables: Tables, train: Columns, test: Columns, sample: Columns, findings: Findings
) -> Matched:
    """Find ids, labels and predicted columns. Raises TaskError for tables that do not fit together."""
    train, test = _with_composed_ids(train, test, sample, findings)
    id_name, old_id = _find_id(request, tables, test, sample, findings)
    test = _renamed(_numbered(sample, test, id_name, old_id, findings), {old_id: id_name})
    _check_ids(tables, test, sample, id_name)
    names = (old_id, *(same_name(name, train.header) for name in (id_name, old_id)))
    old = next((name for name in names if name in train.header), id_name)
    train = _with_ids(_renamed(train, {old: id_name}), test, id_name, findings)
    predicted = _predicted(request, test, sample, id_name)
    if not predicted:
        raise TaskError(f"{tables.sample}: has only the ids in {id_name}. Add a column for each prediction.")
    train, labels = _find_labels(request, tables, train, test, id_name, predicted, findings)
    test = _without_empty_labels(test, labels, findings)
    test = _spelled_as_in_train(test, train, labels, findings)
    features = set(train.header) - set(labels)
    if extra := [name for name in test.header if name not in features]:
        if extra[0] in labels:
            raise TaskError(
                f"{tables.test_name}: has labels in {extra[0]!r}. Leave --sample out to make these rows the private "
                "ones, or remove that column."
            )
        raise TaskError(
            f"{tables.test_name}: its column {extra[0]!r} is not a feature of {tables.train.name}. Remove it, or name "
            "the tables that belong together."
        )
    if unused := [name for name in train.header if name not in (*test.header, *labels)]:
        findings.facts.append(f"only training rows have {', '.join(unused[:SHOWN])}")
    findings.guesses.append(f"ids are in {id_name}, labels in {', '.join(labels[:SHOWN])}")
    return Matched(train, test, sample, id_name, labels, predicted)


def _renamed(table: Columns, names: dict[str, str]) -> Columns:
    header = [names.get(name, name) for name in table.header]
    if header == table.header:
        return table
    return Columns(header, [table.column_at(index) for index in range(len(header))])


# ------------------------------------------------------------------------------------------------------------------ ids


def _find_id(
    request: TaskRequest, tables: Tables, test: Columns, sample: Columns, findings: Findings
) -> tuple[str, str]:
    """The id column of the sample, and what test calls it: by its name, its spelling, or its cells."""
    header = [name for name in sample.header if not _has_fractions(sample.column(name))] or sample.header
    names = [request.id] if request.id else header
    for name in names:
        if name in sample.header and (old := _id_in_test(name, test, sample)):
            if old != name:
                findings.facts.append(f"{old} of {tables.test_name} is called {name}, as in the sample")
            return name, old
    return names[0], names[0]


def _with_composed_ids(train: Columns, test: Columns, sample: Columns, findings: Findings) -> tuple[Columns, Columns]:
    """Train and test with the first column of the sample, where it joins columns of test."""
    name, ids = sample.header[0], sample.column_at(0)
    if same_name(name, test.header) or len(ids) != len(test):
        return train, test
    names, separator = composing_columns(ids, test)
    if not names:
        return train, test
    findings.facts.append(f"{name} of the sample is {separator.join(names)}, so all rows got it")
    return with_composed(train, name, names, separator), with_composed(test, name, names, separator)


def _has_fractions(cells: Sequence[str]) -> bool:
    """Whether cells are measures such as 0.25, and no ids."""
    return any(as_number(cell) is not None and not float(cell).is_integer() for cell in cells[:PROBED])


def _id_in_test(name: str, test: Columns, sample: Columns) -> str | None:
    ids = set(sample.column(name))
    if len(ids) < len(sample) and len(ids) < len(test):
        return None
    if found := same_name(name, test.header):
        return found
    return next((one for one in test.header if len(test) == len(ids) and set(test.column(one)) == ids), None)


def _numbered(sample: Columns, test: Columns, id_name: str, old_id: str, findings: Findings) -> Columns:
    """The test table with the ids of the sample, where these only count its rows."""
    if old_id in test.header or id_name not in sample.header or len(sample) != len(test):
        return test
    ids = sample.column(id_name)
    start = as_number(ids[0])
    if start not in (0, 1) or any(as_number(cell) != number for number, cell in enumerate(ids, int(start or 0))):
        return test
    findings.guesses.append(f"test rows have no {id_name}: they are in the order of the sample")
    return Columns([id_name, *test.header], [ids, *(test.column(name) for name in test.header)])


def _check_ids(tables: Tables, test: Columns, sample: Columns, id_name: str) -> None:
    if id_name not in sample.header or id_name not in test.header:
        raise TaskError(
            f"{tables.sample}: its first column {sample.header[0]!r} is not a column of {tables.test_name}, so it is "
            "not the id. Name the id, which both have, with --id, or add a column with the sample's ids to test "
            "and train."
        )
    ids, wanted = sample.column(id_name), test.column(id_name)
    both = [name for name in sample.header[:2] if name in test.header]
    if len(set(ids)) < len(ids) and len(both) == 2 and len(set(composed(sample, both, "\0"))) == len(ids):
        raise TaskError(
            f"{tables.sample}: {both[0]} and {both[1]} together are the id, and a task needs one column of ids. Add a "
            f"column that joins them to sample, test and train, and take it out of the file that you submit."
        )
    if len(set(ids)) < len(ids):
        raise TaskError(
            f"{tables.sample or tables.test}: ids in {id_name} repeat. Rows with several predictions need a `blend:` "
            "section."
        )
    in_sample, in_test = Counter(map(_counted, ids)), Counter(map(_counted, wanted))
    if in_sample != in_test:
        example = str(next(iter((in_sample - in_test) or (in_test - in_sample))))
        raise TaskError(
            f"{tables.sample}: has {len(ids):,} ids and {tables.test_name} {len(wanted):,}; they must be the same, but "
            f"{example[:40]!r} is not once in each. Name the sample that belongs to this test table with --sample."
        )


def _counted(name: str) -> str | Number:
    """An id as it is compared: `7.0` is 7."""
    number = as_number(name)
    return name if number is None else number


def _with_ids(train: Columns, test: Columns, id_name: str, findings: Findings) -> Columns:
    """The training table with ids: its own, or new ones that no row to predict has."""
    count, taken = len(train), set(test.column(id_name))
    if id_name in train.header:
        ids = train.column(id_name)
        if len(set(ids)) == count and not taken.intersection(ids):
            return train
        findings.facts.append(f"{id_name} of training rows repeats, or is that of a row to predict: they got new ids")
    else:
        findings.facts.append(f"training rows have no {id_name}: they got new ones")
    numbers = [str(number) for number in range(1, count + len(taken) + 1) if str(number) not in taken][:count]
    only = [name for name in train.header if name not in test.header] or train.header
    seed = f"ids: {hash_of_cells(map(train.column, only))}"  # labels, some of which a run holds out
    new = [numbers[place] for place in shuffled_indices(count, seed)]
    names = [name for name in train.header if name != id_name]
    return Columns([id_name, *names], [new, *(train.column(name) for name in names)])


# --------------------------------------------------------------------------------------------------------------- labels


def _predicted(request: TaskRequest, test: Columns, sample: Columns, id_name: str) -> tuple[str, ...]:
    """The columns of the sample to fill: not those that it has from the test rows."""
    others = [name for name in sample.header if name != id_name]
    new = [name for name in others if name not in test.header or all(map(is_missing, test.column(name)))]
    return tuple(name for name in others if name in request.targets or name in new) or tuple(others)


def _find_labels(
    request: TaskRequest,
    tables: Tables,
    train: Columns,
    test: Columns,
    id_name: str,
    predicted: Sequence[str],
    findings: Findings,
) -> tuple[Columns, tuple[str, ...]]:
    """The label columns: those that are named, those of the sample, or the one that only training rows have.

    The labels of a column are renamed where the sample's columns are its classes under other names.
    """
    known = [name for name in train.header if name != id_name]
    in_test = {name: same_name(name, test.header) for name in known}
    only = [name for name, one in in_test.items() if one is None]
    only = only or [name for name, one in in_test.items() if one and all(map(is_missing, test.column(one)))]
    if request.targets:
        labels = _named_labels(request, tables, known, predicted)
        return (_with_class_names(train, labels[0], predicted, findings) or train, labels)
    if len(predicted) == len(names := match_names(predicted, known, affixes=False)):
        return train, tuple(names[name] for name in predicted)
    if len(predicted) == 1 and len(only) == 1:
        return train, (only[0],)
    if len(predicted) > 1:
        if len(names := match_names(only, predicted)) == len(predicted):
            label_of = {name: label for label, name in names.items()}
            return train, tuple(label_of[name] for name in predicted)
        fitting = [name for name in only if _with_class_names(train, name, predicted, Findings())]
        if len(fitting) == 1:
            return _with_class_names(train, fitting[0], predicted, findings) or train, (fitting[0],)
    raise TaskError(
        f"{tables.sample}: its columns {', '.join(predicted[:6])} are not in {tables.train.name}, and it cannot be "
        f"told which column has the labels ({', '.join(only[:SHOWN]) or 'test has all of them'}). Name it with "
        "--target."
    )


def _named_labels(
    request: TaskRequest, tables: Tables, known: Sequence[str], predicted: Sequence[str]
) -> tuple[str, ...]:
    """The targets that are named, in the order of the sample's columns."""
    if missing := [name for name in request.targets if name not in known]:
        raise TaskError(f"{tables.train}: --target {missing[0]} is not a column of it.")
    others = [name for name in predicted if name in known and name not in request.targets]
    if others and set(request.targets) <= set(predicted):
        raise TaskError(
            f"{tables.sample}: has {others[0]} too, which is not named. Name every target of the sample with --target, "
            "or leave --target out."
        )
    names = match_names(predicted, request.targets, affixes=False) or match_names(request.targets, predicted)
    if len(names) == len(predicted) == len(request.targets):
        label_of = names if set(names) == set(predicted) else {name: label for label, name in names.items()}
        return tuple(label_of[name] for name in predicted)
    return request.targets


def _with_class_names(train: Columns, label: str, predicted: Sequence[str], findings: Findings) -> Columns | None:
    """The training table with the names of the sample's columns as labels; None if they are not its classes."""
    if len(predicted) < 2:
        return None
    cells = [cell.strip() for cell in train.column(label)]
    known = [not empty for empty in emptiness(cells)]
    classes = sorted({cell for cell, is_known in zip(cells, known, strict=True) if is_known})
    names = match_names(classes, predicted)
    if not names:
        return None
    changed = [f"{name} for {one}" for one, name in names.items() if name != one]
    if not changed:
        return train
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    findings.facts.append(f"labels of {label} became the sample's columns: {', '.join(changed[:SHOWN])}{more}")
    return train.with_column(
        label, [names[cell] if is_known else cell for cell, is_known in zip(cells, known, strict=True)]
    )


# ------------------------------------------------------------------------------------------------------------ features


def _without_empty_labels(test: Columns, labels: Sequence[str], findings: Findings) -> Columns:
    """The test table without label columns that are empty in every row."""
    empty = [name for name in labels if name in test.header and all(map(is_missing, test.column(name)))]
    if not empty:
        return test
    findings.facts.append(f"left out {', '.join(empty[:SHOWN])} of the test rows, which is empty")
    names = [name for name in test.header if name not in empty]
    return Columns(names, [test.column(name) for name in names])


def _spelled_as_in_train(test: Columns, train: Columns, labels: Sequence[str], findings: Findings) -> Columns:
    """The test table with the names of train where only the spelling differs."""
    features = [name for name in train.header if name not in labels and name not in test.header]
    names = {one: name for one in test.header if one not in train.header and (name := same_name(one, features))}
    if len(set(names.values())) < len(names) or not names:
        return test
    shown = ", ".join(f"{old} as {new}" for old, new in list(names.items())[:SHOWN])
    findings.facts.append(f"columns of test are spelled as in train: {shown}")
    return _renamed(test, names)
