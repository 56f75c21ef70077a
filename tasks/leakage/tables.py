"""The leak sentinel: what would make a score too good to be true, found by counting, without any model.

`look_at_data` reads a task's tables; `leaks_in_code` looks at what a solution brings and says of itself. Each finding
names its kind, says what was counted, and whether an agent may be told (`is_fair`): what the data show to anybody is
fair, what the held-out labels show is not.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tasks.io.csv_text import Row
from tasks.leakage.statistics import SURE, column, numbers, shared
from tasks.leakage.statistics import Finding as Finding
from tasks.leakage.statistics import Tables as Tables
from tasks.leakage.train_vs_test import check_train_vs_test
from tasks.metrics.ranking import area_under_roc, rank_correlation

ROWS = 20_000
"""Rows looked at of each table; more would tell nothing new."""
ORDER = 3.9
"""The same for the two things looked at once, id and order (p < 1e-4)."""
NEAR_ONE = 0.995
UNSORTED, MISSPELT = 0.02, 0.015
"""Of the changes of class that chance would make down a sorted column, and of the rows that a guess of the commonest
class gets wrong, the share that a column may have which is the target all the same."""
MOST_COLUMNS = 60
"""Up to so many columns, rows are compared that differ in any one of them."""
SHARED = 0.02


def check_data(tables: Tables) -> list[Finding]:
    """Everything suspicious about the two tables."""
    tables = Tables(tables.train[: ROWS + 1], tables.test[: ROWS + 1], *_names(tables))
    findings = [*_duplicates(tables), *_order(tables), *_features(tables), *check_train_vs_test(tables)]
    return list({(one.kind, one.says): one for one in findings}.values())


def _names(tables: Tables) -> tuple[str, str, str | None, str | None]:
    return tables.id, tables.target, tables.group, tables.time


# ------------------------------------------------------------------------------------------------- rows seen twice


def _duplicates(tables: Tables) -> Iterator[Finding]:
    names = shared(tables)
    if len(names) < 2:
        return
    yield from _repeated(tables, names)
    # A row is the sum of its cells' hashes, so that leaving a column out costs one subtraction a row.
    cells = [
        [[hash((name, cell)) for cell in column(rows, name)] for name in names] for rows in (tables.train, tables.test)
    ]
    whole = [[sum(row) for row in zip(*side, strict=True)] for side in cells]
    if share := _twins(whole[0], whole[1]):
        yield Finding("duplicate rows", f"{share:.1%} of the test rows are training rows too, in every feature")
    elif 3 <= len(names) <= MOST_COLUMNS:
        found = []
        for name, mine, theirs in zip(names, *cells, strict=True):
            sides = [list(map(int.__sub__, *pair)) for pair in zip(whole, (mine, theirs), strict=True)]
            found.append((_twins(sides[0], sides[1], 2 * SHARED), name))
        share, left = max(found)
        if share:
            says = f"{share:.1%} of the test rows are training rows too, in every feature but {left}"
            yield Finding("duplicate rows", says)


def _twins(train: Sequence[int], test: Sequence[int], margin: float = SHARED) -> float:
    """The share of test rows that are training rows; 0 where it is no more than chance."""
    known = Counter(train)
    # Rows of a few small numbers have twins by chance: as often within train as across.
    within = sum(count for count in known.values() if count > 1) / len(train)
    across = sum(row in known for row in test) / max(1, len(test))
    return across if across > 2 * within + margin else 0.0


def _repeated(tables: Tables, names: Sequence[str]) -> Iterator[Finding]:
    train = _rows(tables.train, names)
    known = Counter(train)
    within = sum(count - 1 for count in known.values()) / len(train)
    if within <= 0.05:
        return
    labels: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row, label in zip(train, column(tables.train, tables.target), strict=True):
        labels[row].add(label)
    same = sum(len(found) == 1 for row, found in labels.items() if known[row] > 1)
    twice = sum(count > 1 for count in known.values())
    if twice and same / twice > 0.95:
        yield Finding(
            "repeated rows", f"{within:.1%} of the training rows repeat another, label and all: split by group"
        )


def _rows(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[str, ...]]:
    at = [rows[0].index(name) for name in names]
    return [tuple(row[place] for place in at) for row in rows[1:]]


# -------------------------------------------------------------------------------------------------- ids and order


def _order(tables: Tables) -> Iterator[Finding]:
    labels = _ranks_of(column(tables.train, tables.target))
    if labels is None:
        return
    ids = numbers(column(tables.train, tables.id))
    for kind, values in (("id leak", ids), ("order leak", [float(at) for at in range(len(labels))])):
        if values is None:
            continue
        strength = rank_correlation(values, labels)
        if abs(strength) * math.sqrt(len(labels)) > ORDER:
            what = "the id" if kind == "id leak" else "the place in the file"
            yield Finding(kind, f"{what} goes with the target (rank correlation {strength:+.2f})")
    target = column(tables.train, tables.target)
    if len(set(target)) <= 50 and (errors := runs_of_labels(target)) > SURE:
        yield Finding(
            "order leak", f"neighbours in the file share their label too often ({errors:.0f} standard errors)"
        )


def _ranks_of(cells: Sequence[str]) -> list[float] | None:
    """Targets as numbers to correlate: numbers as they are, two classes as 0 and 1, others by how common they are."""
    if (found := numbers(cells)) is not None:
        return found
    common = [name for name, _ in Counter(cells).most_common()]
    return [float(common[0] == cell) for cell in cells] if len(common) > 1 else None


# ------------------------------------------------------------------------------------------------------ features


def _features(tables: Tables) -> Iterator[Finding]:
    target = column(tables.train, tables.target)
    sizes, classes = numbers(target), Counter(target)
    for name in [name for name in tables.train[0] if name not in (tables.id, tables.target)]:
        cells = column(tables.train, name)
        where = "" if name in tables.test[0] else ", and the test file does not have it"
        if cells == target:
            yield Finding("target copied", f"column {name} is the target itself{where}")
            continue
        found = numbers(cells)
        if len(classes) == 2 and found is not None:
            positive = next(iter(classes))
            alone = area_under_roc([label == positive for label in target], found)
            if max(alone, 1 - alone) > NEAR_ONE and min(classes.values()) >= 10:
                yield Finding(
                    "one feature is enough", f"column {name} alone ranks the classes (AUC {alone:.3f}){where}"
                )
                continue
        elif len(classes) > 2 and sizes is not None and found is not None and len(classes) > 20:
            strength = rank_correlation(found, sizes)
            if abs(strength) > NEAR_ONE:
                yield Finding("target-derived", f"column {name} goes with the target ({strength:+.3f}){where}")
        if found is not None and _sorts_out(found, target):
            yield Finding(
                "one feature is enough", f"sorted by column {name}, the classes lie one after the other{where}"
            )
        elif (wrong := _wrong_by_code(cells, target)) is not None:
            says = f"each value of column {name} has one label only"
            yield Finding("target-derived", f"{says}, but for {wrong} rows{where}" if wrong else f"{says}{where}")
        missing = [float(not cell.strip()) for cell in cells]
        if sizes is not None and 0.02 < sum(missing) / len(missing) < 0.98:
            strength = abs(rank_correlation(missing, sizes))
            if strength > 0.7:
                yield Finding("missing tells", f"whether {name} is missing goes with the target ({strength:.2f})")


def _sorts_out(values: Sequence[float], target: Sequence[str]) -> bool:
    """Whether rows sorted by a column are sorted by class, however many classes there are and in whatever order."""
    classes = Counter(target)
    if not 2 <= len(classes) <= 20 or min(classes.values()) < 10:
        return False
    ordered = [label for _, _, label in sorted(zip(values, range(len(values)), target, strict=True))]
    changes = sum(one != other for one, other in pairwise(ordered))
    chance = len(target) * (1 - sum((count / len(target)) ** 2 for count in classes.values()))
    return changes <= len(classes) - 1 + UNSORTED * chance


def _wrong_by_code(cells: Sequence[str], target: Sequence[str]) -> int | None:
    """How many rows a column of a few values that spells the label out is wrong about; None for another column."""
    values, classes = Counter(cells), Counter(target)
    if not 2 <= len(classes) <= 50 or not len(classes) <= len(values) <= max(50, len(cells) // 10):
        return None
    if len(cells) / len(values) < 5:
        return None
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, label in zip(cells, target, strict=True):
        found[cell][label] += 1
    wrong = len(cells) - sum(max(labels.values()) for labels in found.values())
    return wrong if wrong <= MISSPELT * (len(cells) - max(classes.values())) else None


def runs_of_labels(labels: Sequence[str]) -> float:
    """How much oftener neighbours share a label than chance would have it, in standard errors."""
    counts = Counter(labels)
    chance = sum((count / len(labels)) ** 2 for count in counts.values())
    same = sum(one == other for one, other in pairwise(labels))
    spread = math.sqrt(max(1e-9, (len(labels) - 1) * chance * (1 - chance)))
    return (same - (len(labels) - 1) * chance) / spread
