"""The leak sentinel: what would make a score too good to be true, found by counting, without any model.

`look_at_data` reads a task's tables; `leaks_in_code` looks at what a solution brings and says of itself. Each finding
names its kind, says what was counted, and whether an agent may be told (`is_fair`): what the data show to anybody is
fair, what the held-out labels show is not.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.cells import Row, as_number

ROWS = 20_000
"""Rows looked at of each table; more would tell nothing new."""
SURE = 4.5
"""Standard errors from which on a rank statistic is no chance, with a few hundred columns looked at."""
ORDER = 3.9
"""The same for the two things looked at once, id and order (p < 1e-4)."""
NEAR_ONE = 0.995
SHARED = 0.02


@dataclass(frozen=True)
class Finding:
    """One warning. `kind` is a word for it, `says` a sentence with numbers."""

    kind: str
    says: str
    is_fair: bool = True


@dataclass(frozen=True)
class Tables:
    """Train and test rows as text (header first), the id column, the target, and the columns of group and time."""

    train: Sequence[Row]
    test: Sequence[Row]
    id: str
    target: str
    group: str | None = None
    time: str | None = None


def look_at_data(tables: Tables) -> list[Finding]:
    """Everything suspicious about the two tables."""
    tables = Tables(tables.train[: ROWS + 1], tables.test[: ROWS + 1], *_names(tables))
    findings = [*_duplicates(tables), *_order(tables), *_features(tables), *_split(tables), *_adversarial(tables)]
    return list({(one.kind, one.says): one for one in findings}.values())


def _names(tables: Tables) -> tuple[str, str, str | None, str | None]:
    return tables.id, tables.target, tables.group, tables.time


def _column(rows: Sequence[Row], name: str) -> list[str]:
    at = rows[0].index(name)
    return [row[at] for row in rows[1:]]


def _shared(tables: Tables) -> list[str]:
    return [name for name in tables.train[0] if name in tables.test[0] and name != tables.id]


# ------------------------------------------------------------------------------------------------- rows seen twice


def _duplicates(tables: Tables) -> Iterator[Finding]:
    names = _shared(tables)
    if len(names) < 2:
        return
    train, test = (_rows(rows, names) for rows in (tables.train, tables.test))
    known = Counter(train)
    # Rows of a few small numbers repeat by chance: as often within train as across.
    within = sum(count - 1 for count in known.values()) / len(train)
    across = sum(row in known for row in test) / max(1, len(test))
    if across > SHARED and across > 2 * within + SHARED:
        yield Finding("duplicate rows", f"{across:.1%} of the test rows are training rows too, in every feature")
    if within > SHARED:
        labels: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for row, label in zip(train, _column(tables.train, tables.target), strict=True):
            labels[row].add(label)
        same = sum(len(found) == 1 for row, found in labels.items() if known[row] > 1)
        twice = sum(count > 1 for count in known.values())
        if twice and same / twice > 0.95 and within > 0.05:
            yield Finding(
                "repeated rows", f"{within:.1%} of the training rows repeat another, label and all: split by group"
            )


def _rows(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[str, ...]]:
    at = [rows[0].index(name) for name in names]
    return [tuple(row[place] for place in at) for row in rows[1:]]


# -------------------------------------------------------------------------------------------------- ids and order


def _order(tables: Tables) -> Iterator[Finding]:
    labels = _ranks_of(_column(tables.train, tables.target))
    if labels is None:
        return
    ids = _numbers(_column(tables.train, tables.id))
    for kind, values in (("id leak", ids), ("order leak", [float(at) for at in range(len(labels))])):
        if values is None:
            continue
        strength = rank_correlation(values, labels)
        if abs(strength) * math.sqrt(len(labels)) > ORDER:
            what = "the id" if kind == "id leak" else "the place in the file"
            yield Finding(kind, f"{what} goes with the target (rank correlation {strength:+.2f})")
    target = _column(tables.train, tables.target)
    if len(set(target)) <= 50 and (errors := runs_of_labels(target)) > SURE:
        yield Finding(
            "order leak", f"neighbours in the file share their label too often ({errors:.0f} standard errors)"
        )


def _ranks_of(cells: Sequence[str]) -> list[float] | None:
    """Targets as numbers to correlate: numbers as they are, two classes as 0 and 1, others by how common they are."""
    numbers = _numbers(cells)
    if numbers is not None:
        return numbers
    common = [name for name, _ in Counter(cells).most_common()]
    return [float(common[0] == cell) for cell in cells] if len(common) > 1 else None


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """The cells as floats, missing ones as the median; None where some are words."""
    found = [as_number(cell) if cell.strip() else None for cell in cells]
    known = sorted(float(one) for one in found if one is not None)
    if not known or any(
        one is None and cell.strip() not in ("", "NA", "nan", "NaN") for one, cell in zip(found, cells, strict=True)
    ):
        return None
    middle = known[len(known) // 2]
    return [middle if one is None else float(one) for one in found]


def _ranked(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for at in order[start:end]:
            ranks[at] = (start + end - 1) / 2
        start = end
    return ranks


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 where one of them never changes."""
    first, second = _ranked(one), _ranked(other)
    middle = (len(first) - 1) / 2
    spread = math.sqrt(sum((a - middle) ** 2 for a in first) * sum((b - middle) ** 2 for b in second))
    together = sum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True))
    return together / spread if spread else 0.0


# ------------------------------------------------------------------------------------------------------ features


def _features(tables: Tables) -> Iterator[Finding]:
    target = _column(tables.train, tables.target)
    numbers, classes = _numbers(target), Counter(target)
    for name in [name for name in tables.train[0] if name not in (tables.id, tables.target)]:
        cells = _column(tables.train, name)
        where = "" if name in tables.test[0] else ", and the test file does not have it"
        if cells == target:
            yield Finding("target copied", f"column {name} is the target itself{where}")
            continue
        found = _numbers(cells)
        if len(classes) == 2 and found is not None:
            area = _area(found, target, next(iter(classes)))
            if max(area, 1 - area) > NEAR_ONE and min(classes.values()) >= 10:
                yield Finding("one feature is enough", f"column {name} alone ranks the classes (AUC {area:.3f}){where}")
        elif len(classes) > 2 and numbers is not None and found is not None and len(classes) > 20:
            strength = rank_correlation(found, numbers)
            if abs(strength) > NEAR_ONE:
                yield Finding("target-derived", f"column {name} goes with the target ({strength:+.3f}){where}")
        if _is_code_of(cells, target):
            yield Finding("target-derived", f"each value of column {name} has one label only{where}")
        missing = [float(not cell.strip()) for cell in cells]
        if numbers is not None and 0.02 < sum(missing) / len(missing) < 0.98:
            strength = abs(rank_correlation(missing, numbers))
            if strength > 0.7:
                yield Finding("missing tells", f"whether {name} is missing goes with the target ({strength:.2f})")


def _area(values: Sequence[float], labels: Sequence[str], positive: str) -> float:
    ranks = _ranked(values)
    ours = [rank for rank, label in zip(ranks, labels, strict=True) if label == positive]
    pairs = len(ours) * (len(ranks) - len(ours))
    return (sum(ours) - len(ours) * (len(ours) - 1) / 2) / pairs if pairs else 0.5


def _is_code_of(cells: Sequence[str], target: Sequence[str]) -> bool:
    """Whether a column of a few values spells the label out."""
    values, classes = Counter(cells), set(target)
    if not 2 <= len(classes) <= 50 or not len(classes) <= len(values) <= max(50, len(cells) // 10):
        return False
    found: dict[str, set[str]] = defaultdict(set)
    for cell, label in zip(cells, target, strict=True):
        found[cell].add(label)
    return len(cells) / len(values) >= 5 and all(len(labels) == 1 for labels in found.values())


# ------------------------------------------------------------------------------------------- how the test was split


def _split(tables: Tables) -> Iterator[Finding]:
    for name in _shared(tables):
        train, test = _column(tables.train, name), _column(tables.test, name)
        counts = Counter(train)
        repeats = len(train) / len(counts)
        is_key = len(counts) > 20 and 2 <= repeats <= len(train) / 20 and as_number(train[0]) is None
        if is_key and name != tables.group and not set(counts) & set(test):
            yield Finding("split by group", f"no value of {name} is in both files: hold out by `group: {name}`")
        if name == tables.time or not _looks_like_time(train[:200]):
            continue
        if max(train) < min(test):
            yield Finding("split by time", f"every test row is later by {name}: hold out by `time: {name}`")


def _looks_like_time(cells: Sequence[str]) -> bool:
    return all(
        len(cell) >= 8 and cell[:4].isdigit() and cell[4] in "-/" and cell[5:7].isdigit() for cell in cells
    ) and bool(cells)


def _adversarial(tables: Tables) -> Iterator[Finding]:
    """Columns by which train and test rows can be told apart, one by one."""
    names = [name for name in _shared(tables) if name not in (tables.group, tables.time)]
    for name in [tables.id, *names]:
        pair = [_column(rows, name) for rows in (tables.train, tables.test)]
        values = _numbers([*pair[0], *pair[1]])
        if values is None:
            continue
        sides = ["a"] * len(pair[0]) + ["b"] * len(pair[1])
        area = _area(values, sides, "b")
        chance = math.sqrt((len(sides) + 1) / 12 / max(1, len(pair[0]) * len(pair[1])))
        if abs(area - 0.5) > max(SURE * chance, 0.1):
            kind = "ids tell the files apart" if name == tables.id else "train and test differ"
            yield Finding(kind, f"column {name} tells train from test rows (AUC {area:.2f})")


def runs_of_labels(labels: Sequence[str]) -> float:
    """How much oftener neighbours share a label than chance would have it, in standard errors."""
    counts = Counter(labels)
    chance = sum((count / len(labels)) ** 2 for count in counts.values())
    same = sum(one == other for one, other in pairwise(labels))
    spread = math.sqrt(max(1e-9, (len(labels) - 1) * chance * (1 - chance)))
    return (same - (len(labels) - 1) * chance) / spread
