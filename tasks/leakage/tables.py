"""Leak checks on the tables of a task: anything that makes scores too good to be true, found by counting.

`Finding.agent_may_see` says whether the model may see a finding. What public data show may be seen; what held-out
labels show may not.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from tasks.io.csv_text import Row
from tasks.leakage.statistics import MIN_STANDARD_ERRORS, Finding, Tables, column, numbers, shared_columns
from tasks.leakage.train_vs_test import check_train_vs_test
from tasks.metrics.ranking import area_under_roc, rank_correlation

ROWS = 20_000
"""Rows checked of each table."""
MIN_ORDER_ERRORS = 3.9
"""Like MIN_STANDARD_ERRORS, for id and order, which are only two checks (p < 1e-4)."""
NEAR_ONE = 0.995
UNSORTED, MISSPELT = 0.02, 0.015
"""Exceptions allowed in a column that is the target all the same: a share of the class changes expected by chance in a
sorted column, and a share of the rows that the most common class gets wrong."""
MOST_COLUMNS = 60
"""Up to this many columns, rows are also compared without each one of them."""
SHARED = 0.02


def check_data(tables: Tables) -> list[Finding]:
    """All findings in the two tables."""
    tables = replace(tables, train=tables.train[: ROWS + 1], test=tables.test[: ROWS + 1])
    findings = [*_check_duplicates(tables), *_check_order(tables), *_check_features(tables)]
    return list(dict.fromkeys([*findings, *check_train_vs_test(tables)]))


# -------------------------------------------------------------------------------------------------- duplicate rows


def _check_duplicates(tables: Tables) -> Iterator[Finding]:
    names = shared_columns(tables)
    if len(names) < 2:
        return
    yield from _check_repeated(tables, names)
    # A row is the sum of its cells' hashes: leaving out a column costs one subtraction per row.
    train, test = (
        [[hash((name, cell)) for cell in column(rows, name)] for name in names] for rows in (tables.train, tables.test)
    )
    train_rows, test_rows = ([sum(row) for row in zip(*side, strict=True)] for side in (train, test))
    if share := _duplicate_share(train_rows, test_rows):
        yield Finding("duplicate rows", f"{share:.1%} of the test rows are training rows too, in every feature")
    elif 3 <= len(names) <= MOST_COLUMNS:
        shares = []
        for name, train_cells, test_cells in zip(names, train, test, strict=True):
            without_train = list(map(int.__sub__, train_rows, train_cells))
            without_test = list(map(int.__sub__, test_rows, test_cells))
            shares.append((_duplicate_share(without_train, without_test, 2 * SHARED), name))
        share, name = max(shares)
        if share:
            message = f"{share:.1%} of the test rows are training rows too, in every feature but {name}"
            yield Finding("duplicate rows", message)


def _duplicate_share(train: Sequence[int], test: Sequence[int], margin: float = SHARED) -> float:
    """The share of test rows that are training rows; 0 if it is no more than chance."""
    counts = Counter(train)
    # Rows of a few small numbers are equal by chance, as often within train as across.
    within = sum(count for count in counts.values() if count > 1) / len(train)
    across = sum(row in counts for row in test) / max(1, len(test))
    return across if across > 2 * within + margin else 0.0


def _check_repeated(tables: Tables, names: Sequence[str]) -> Iterator[Finding]:
    train = _rows(tables.train, names)
    counts = Counter(train)
    repeated = sum(count - 1 for count in counts.values()) / len(train)
    if repeated <= 0.05:
        return
    labels: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row, label in zip(train, column(tables.train, tables.target), strict=True):
        labels[row].add(label)
    consistent = sum(len(values) == 1 for row, values in labels.items() if counts[row] > 1)
    total = sum(count > 1 for count in counts.values())
    if total and consistent / total > 0.95:
        message = f"{repeated:.1%} of the training rows repeat another, including its label: split by group"
        yield Finding("repeated rows", message)


def _rows(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[str, ...]]:
    indices = [rows[0].index(name) for name in names]
    return [tuple(row[index] for index in indices) for row in rows[1:]]


# --------------------------------------------------------------------------------------------------- ids and order


def _check_order(tables: Tables) -> Iterator[Finding]:
    target = column(tables.train, tables.target)
    values = _target_values(target)
    if values is None:
        return
    ids, positions = numbers(column(tables.train, tables.id)), [float(row) for row in range(len(values))]
    for kind, subject, order in (("id leak", "the id", ids), ("order leak", "the position in the file", positions)):
        if order is None:
            continue
        strength = rank_correlation(order, values)
        if abs(strength) * math.sqrt(len(values)) > MIN_ORDER_ERRORS:
            yield Finding(kind, f"{subject} correlates with the target (rank correlation {strength:+.2f})")
    if len(set(target)) <= 50 and (errors := equal_neighbors(target)) > MIN_STANDARD_ERRORS:
        message = f"neighbours in the file have the same label too often ({errors:.0f} standard errors)"
        yield Finding("order leak", message)


def _target_values(cells: Sequence[str]) -> list[float] | None:
    """The target as numbers to correlate: itself if numeric, else 1 for the most common class; None for one class."""
    if (values := numbers(cells)) is not None:
        return values
    common = [name for name, _ in Counter(cells).most_common()]
    return [float(common[0] == cell) for cell in cells] if len(common) > 1 else None


def equal_neighbors(labels: Sequence[str]) -> float:
    """How much more often neighbours have equal labels than by chance, in standard errors."""
    counts = Counter(labels)
    chance = sum((count / len(labels)) ** 2 for count in counts.values())
    equal = sum(first == second for first, second in pairwise(labels))
    error = math.sqrt(max(1e-9, (len(labels) - 1) * chance * (1 - chance)))
    return (equal - (len(labels) - 1) * chance) / error


# -------------------------------------------------------------------------------------------------------- features


def _check_features(tables: Tables) -> Iterator[Finding]:
    target = column(tables.train, tables.target)
    target_values = numbers(target)
    for name in tables.train[0]:
        if name in (tables.id, tables.target):
            continue
        cells = column(tables.train, name)
        note = "" if name in tables.test[0] else ", and the test file does not have it"
        is_group = name == tables.group and not note and set(cells).isdisjoint(column(tables.test, name))
        copies, is_certain = _check_feature(name, cells, target, target_values, note, is_group)
        yield from copies
        if is_certain:
            continue
        missing = [float(not cell.strip()) for cell in cells]
        if target_values is not None and 0.02 < sum(missing) / len(missing) < 0.98:
            strength = abs(rank_correlation(missing, target_values))
            if strength > 0.7:
                message = f"missing values of {name} correlate with the target ({strength:.2f})"
                yield Finding("informative missing values", message)


def _check_feature(
    name: str, cells: Sequence[str], target: Sequence[str], target_values: list[float] | None, note: str, is_group: bool
) -> tuple[list[Finding], bool]:
    """Findings in one column, and whether it certainly is the target, so that no other check is needed.

    The values of a group may have one label each: those to predict are other values.
    """
    if cells == target:
        return [Finding("target copied", f"column {name} is the target itself{note}")], True
    values, classes = numbers(cells), Counter(target)
    findings = []
    if len(classes) == 2 and values is not None:
        positive = next(iter(classes))
        auc = area_under_roc([label == positive for label in target], values)
        if max(auc, 1 - auc) > NEAR_ONE and min(classes.values()) >= 10:
            message = f"column {name} alone ranks the classes (AUC {auc:.3f}){note}"
            return [Finding("one feature is enough", message)], True
    elif len(classes) > 20 and target_values is not None and values is not None:
        strength = rank_correlation(values, target_values)
        if abs(strength) > NEAR_ONE:
            message = f"column {name} correlates with the target ({strength:+.3f}){note}"
            findings.append(Finding("target-derived", message))
    if values is not None and _sorts_classes(values, target):
        findings.append(Finding("one feature is enough", f"sorting by column {name} separates the classes{note}"))
    elif not is_group and (wrong := _errors_as_code(cells, target)) is not None:
        message = f"each value of column {name} has only one label{f', except in {wrong} rows' if wrong else ''}{note}"
        findings.append(Finding("target-derived", message))
    return findings, False


def _sorts_classes(values: Sequence[float], target: Sequence[str]) -> bool:
    """Whether rows sorted by a column are sorted by class, whatever the number and order of the classes."""
    classes = Counter(target)
    if not 2 <= len(classes) <= 20 or min(classes.values()) < 10:
        return False
    ordered = [label for _, _, label in sorted(zip(values, range(len(values)), target, strict=True))]
    changes = sum(first != second for first, second in pairwise(ordered))
    chance = len(target) * (1 - sum((count / len(target)) ** 2 for count in classes.values()))
    return changes <= len(classes) - 1 + UNSORTED * chance


def _errors_as_code(cells: Sequence[str], target: Sequence[str]) -> int | None:
    """In how many rows a column of few values, taken as a code of the label, is wrong; None if it is no such code."""
    values, classes = Counter(cells), Counter(target)
    if not 2 <= len(classes) <= 50 or not len(classes) <= len(values) <= max(50, len(cells) // 10):
        return None
    if len(cells) / len(values) < 5:
        return None
    labels_of: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, label in zip(cells, target, strict=True):
        labels_of[cell][label] += 1
    wrong = len(cells) - sum(max(labels.values()) for labels in labels_of.values())
    return wrong if wrong <= MISSPELT * (len(cells) - max(classes.values())) else None
