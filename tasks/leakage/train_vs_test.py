"""Leak checks between train and test: how the test set was split off, and how its rows differ."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.io.timestamps import UnreadableTimestamps, parse_timestamps
from tasks.leakage.statistics import MIN_STANDARD_ERRORS, Finding, Tables, column, numbers, shared_columns
from tasks.metrics.ranking import area_under_roc

MAX_LOG_CHANCE = math.log(1e-8)
"""Largest log probability under a random split at which values are said to be split by group."""
LATER = 0.99
"""AUC from which on test rows are the later ones; one shared day is still a split by time."""
MIN_DIFFERENCE, MIN_MOVED, MIN_LEARNED = 0.1, 0.1, 0.12
"""Least distance of an AUC from 0.5, share of moved rows, and such distance for the forest, that is reported."""
FEW_VALUES, RARE = 50, 10
FOREST_ROWS, FEWEST_FOREST_ROWS = 3000, 100
"""Rows of each table that the forest is trained on at most, and that it needs at least."""
_TIME = re.compile(r"date|time|year|month|week|day|season|quarter|period|epoch|stamp", re.IGNORECASE)


def check_train_vs_test(tables: Tables) -> list[Finding]:
    """All findings from comparing the two tables."""
    findings: list[Finding] = []
    explained = {name for name in (tables.group, tables.time) if name}
    explained |= {tables.id} if tables.hides_ids else set()
    for name in [tables.id, *shared_columns(tables)]:
        if name in explained:
            continue
        train, test = column(tables.train, name), column(tables.test, name)
        values = _values([*train, *test])
        split = _check_split(name, train, test, values) if name != tables.id else None
        if finding := split or _check_shift(tables, name, train, test, values):
            findings.append(finding)
            explained.add(name)
    others = [name for name in shared_columns(tables) if name not in explained]
    return [*findings, *(_check_together(tables, others) if explained <= {tables.id} else [])]


def _values(cells: Sequence[str]) -> list[float]:
    """Numbers or dates as numbers, missing ones as the median; empty for a column of text."""
    try:
        values = parse_timestamps(cells)
    except UnreadableTimestamps:
        return []
    present = sorted(value for value in values if value is not None)
    return [present[len(present) // 2] if value is None else value for value in values] if present else []


def _is_test(train: Sequence[str], test: Sequence[str]) -> list[bool]:
    return [False] * len(train) + [True] * len(test)


# ------------------------------------------------------------------------------------------ how the test was split


def _check_split(name: str, train: list[str], test: list[str], values: list[float]) -> Finding | None:
    if values:
        auc = area_under_roc(_is_test(train, test), values)
        is_disjoint = max(values[: len(train)]) < min(values[len(train) :])
        has_time_name = _TIME.search(name) is not None
        if auc > LATER and not (is_disjoint and not has_time_name and _is_group(train, test)):
            if has_time_name or numbers(train[:200]) is None:
                return Finding("split by time", f"every test row is later by {name}: hold out by `time: {name}`")
            if is_disjoint and len(set(train)) > 2:
                message = f"every test row has a higher {name}: hold out by `time: {name}` if it counts time"
                return Finding("split by time", message)
            return None
    if _is_group(train, test):
        return Finding("split by group", f"no value of {name} is in both files: hold out by `group: {name}`")
    return None


def _is_group(train: Sequence[str], test: Sequence[str]) -> bool:
    """Whether each value is in one file only, as groups are, and a random split would not have done that."""
    train_counts, test_counts = Counter(train), Counter(test)
    if len(train_counts) < 3 or len(train) < 2 * len(train_counts) or train_counts.keys() & test_counts.keys():
        return False
    share = len(train) / (len(train) + len(test))
    counts = (*train_counts.values(), *test_counts.values())
    return sum(math.log(share**count + (1 - share) ** count) for count in counts) < MAX_LOG_CHANCE


# ------------------------------------------------------------------------------------- whether the files differ


def _check_shift(tables: Tables, name: str, train: list[str], test: list[str], values: list[float]) -> Finding | None:
    """Whether train and test rows differ in one column: in location, in spread, in frequencies of values."""
    is_id = name == tables.id
    kind = "ids differ between the files" if is_id else "train and test differ"
    if values:
        is_test = _is_test(train, test)
        least = max(MIN_STANDARD_ERRORS * _auc_error(len(train), len(test)), MIN_DIFFERENCE)
        auc = area_under_roc(is_test, values)
        if abs(auc - 0.5) > least:
            return Finding(kind, f"column {name} separates train from test rows (AUC {auc:.2f})")
        median = sorted(values)[len(values) // 2]
        auc = area_under_roc(is_test, [abs(value - median) for value in values])
        if abs(auc - 0.5) > least and not is_id:
            spread = "wider" if auc > 0.5 else "narrower"
            message = f"column {name} is {spread} in the test rows (AUC {auc:.2f} by distance from the median)"
            return Finding(kind, message)
    moved = _moved_share(train, test)
    if moved and not is_id:
        return Finding(kind, f"column {name} has other frequencies in the test rows: {moved:.0%} of them moved")
    return None


def _auc_error(first: int, second: int) -> float:
    """The standard error of an AUC of 0.5."""
    return math.sqrt((first + second + 1) / 12 / max(1, first * second))


def _moved_share(train: Sequence[str], test: Sequence[str]) -> float:
    """The total variation distance between the values of a categorical column in train and test.

    0 if it may be chance: chi-squared test, by the cube root transformation of Wilson and Hilferty.
    """
    in_train, in_test = Counter(train), Counter(test)
    total = in_train + in_test
    if not 2 <= len(total) <= max(FEW_VALUES, len(train) // 20):
        return 0.0
    rare = {value for value, count in total.items() if count < RARE}
    pairs = [(in_train[value], in_test[value]) for value in total if value not in rare]
    if rare:
        pairs.append((sum(in_train[value] for value in rare), sum(in_test[value] for value in rare)))
    share, degrees = len(train) / (len(train) + len(test)), len(pairs) - 1
    if degrees < 1:
        return 0.0
    squares = sum((one - (one + other) * share) ** 2 / ((one + other) * share * (1 - share)) for one, other in pairs)
    errors = ((squares / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))
    moved = sum(abs(one / len(train) - other / len(test)) for one, other in pairs) / 2
    return moved if errors > MIN_STANDARD_ERRORS and moved > MIN_MOVED else 0.0


def _check_together(tables: Tables, names: Sequence[str]) -> Iterator[Finding]:
    """Whether a small forest separates train from test rows by all columns together, on rows it was not trained on."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    counts = min(FOREST_ROWS, len(tables.train) - 1), min(FOREST_ROWS, len(tables.test) - 1)
    if not names or min(counts) < FEWEST_FOREST_ROWS:
        return
    features = []
    for name in names:
        cells = [*column(tables.train, name)[: counts[0]], *column(tables.test, name)[: counts[1]]]
        # Text is ranked alphabetically: an order of appearance would separate the first table from the second.
        rank = {value: float(index) for index, value in enumerate(sorted(set(cells)))}
        features.append(_values(cells) or [rank[cell] for cell in cells])
    table, is_test = np.column_stack(features), np.repeat([0, 1], counts)
    model = RandomForestClassifier(50, min_samples_leaf=10, random_state=0, n_jobs=1)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = cross_val_predict(model, table, is_test, cv=folds, method="predict_proba")[:, 1]
    auc = area_under_roc(is_test, scores)
    if auc - 0.5 > max(MIN_STANDARD_ERRORS * _auc_error(*counts), MIN_LEARNED):
        message = f"a small forest separates test rows from training rows (AUC {auc:.2f})"
        yield Finding("train and test differ", f"{message}, by several columns together and by no single one")
