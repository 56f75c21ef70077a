"""The leak sentinel between train and test: how the test was split off, and what tells its rows from training rows."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tasks.io.timestamps import UnreadableTimestamps, parse_timestamps
from tasks.leakage.statistics import SURE, Finding, Tables, column, numbers, shared
from tasks.metrics.ranking import area_under_roc

BY_CHANCE = math.log(1e-8)
"""How unlikely it must be (log) that a random split parts a column's values so well."""
LATER = 0.99
"""The area from which on test rows are the later ones: one tied day is still a split by time."""
MAX_FOLD_Z, SHIFTED, TOGETHER = 0.1, 0.1, 0.12
"""How far an area lies from one half, how large a share of rows has moved, before a difference is told."""
FEW, RARE = 50, 10
LEARNT, FEWEST = 3000, 100
"""Rows of each table that a small forest learns to tell apart, and the fewest that it can."""
_TIME = re.compile(r"date|time|year|month|week|day|season|quarter|period|epoch|stamp", re.IGNORECASE)


def check_train_vs_test(tables: Tables) -> list[Finding]:
    """What is suspicious about the two tables side by side."""
    found: list[Finding] = []
    explained = {name for name in (tables.group, tables.time) if name}
    for name in [tables.id, *shared(tables)]:
        if name in explained:
            continue
        pair = column(tables.train, name), column(tables.test, name)
        moments = _moments([*pair[0], *pair[1]])
        one = (_split(name, *pair, moments) if name != tables.id else None) or _shift(tables, name, *pair, moments)
        if one:
            found.append(one)
            explained.add(name)
    rest = [name for name in shared(tables) if name not in explained]
    return [*found, *(_together(tables, rest) if explained <= {tables.id} else [])]


# ------------------------------------------------------------------------------------------- how the test was split


def _split(name: str, train: list[str], test: list[str], moments: list[float]) -> Finding | None:
    if moments:
        later = area_under_roc(_is_test(train, test), moments)
        is_apart = max(moments[: len(train)]) < min(moments[len(train) :])
        if later > LATER and not _is_key(train, test, is_apart and not _TIME.search(name)):
            if _is_date(train) or _TIME.search(name):
                return Finding("split by time", f"every test row is later by {name}: hold out by `time: {name}`")
            if is_apart and len(set(train)) > 2:
                says = f"every test row has a higher {name}: hold out by `time: {name}` if it counts time"
                return Finding("split by time", says)
            return None
    if _is_key(train, test, True):
        return Finding("split by group", f"no value of {name} is in both files: hold out by `group: {name}`")
    return None


def _is_test(train: Sequence[str], test: Sequence[str]) -> list[bool]:
    return [False] * len(train) + [True] * len(test)


def _is_key(train: Sequence[str], test: Sequence[str], may_be: bool) -> bool:
    """Whether values stay whole on one side, as groups do, and a random split would not have left them so."""
    known, asked = Counter(train), Counter(test)
    if not may_be or len(known) < 3 or len(train) < 2 * len(known) or known.keys() & asked.keys():
        return False
    share = len(train) / (len(train) + len(test))
    together = (*known.values(), *asked.values())
    return sum(math.log(share**count + (1 - share) ** count) for count in together) < BY_CHANCE


def _moments(cells: Sequence[str]) -> list[float]:
    """Numbers or dates as numbers, missing ones as the one in the middle; nothing for a column of words."""
    try:
        found = parse_timestamps(cells)
    except UnreadableTimestamps:
        return []
    known = sorted(one for one in found if one is not None)
    return [known[len(known) // 2] if one is None else one for one in found] if known else []


def _is_date(cells: Sequence[str]) -> bool:
    return numbers(cells[:200]) is None


# -------------------------------------------------------------------------------------- what tells the files apart


def _shift(tables: Tables, name: str, train: list[str], test: list[str], values: list[float]) -> Finding | None:
    """What tells train from test rows in one column: where its values lie, how wide, how often each is there."""
    kind = "ids tell the files apart" if name == tables.id else "train and test differ"
    if values:
        is_test = _is_test(train, test)
        apart = max(SURE * _chance(len(train), len(test)), MAX_FOLD_Z)
        here = area_under_roc(is_test, values)
        if abs(here - 0.5) > apart:
            return Finding(kind, f"column {name} tells train from test rows (AUC {here:.2f})")
        middle = sorted(values)[len(values) // 2]
        wide = area_under_roc(is_test, [abs(value - middle) for value in values])
        if abs(wide - 0.5) > apart and name != tables.id:
            how = "wider" if wide > 0.5 else "narrower"
            return Finding(
                kind, f"column {name} is {how} in the test rows (AUC {wide:.2f} by distance from the middle)"
            )
    moved = _moved(train, test)
    if moved and name != tables.id:
        return Finding(kind, f"column {name} has other values in the test rows: {moved:.0%} of them are elsewhere")
    return None


def _chance(one: int, other: int) -> float:
    return math.sqrt((one + other + 1) / 12 / max(1, one * other))


def _moved(train: Sequence[str], test: Sequence[str]) -> float:
    """The share of test rows whose values of a column of few values train has not as often; 0 where that may be
    chance (chi-squared, by Wilson and Hilferty's cube root)."""
    one, other = Counter(train), Counter(test)
    total = one + other
    if not 2 <= len(total) <= max(FEW, len(train) // 20):
        return 0.0
    rare = {value for value, count in total.items() if count < RARE}
    pairs = [(one[value], other[value]) for value in total if value not in rare]
    if rare:
        pairs.append((sum(one[value] for value in rare), sum(other[value] for value in rare)))
    share, free = len(train) / (len(train) + len(test)), len(pairs) - 1
    if free < 1:
        return 0.0
    squares = sum(
        (mine - (mine + theirs) * share) ** 2 / ((mine + theirs) * share * (1 - share)) for mine, theirs in pairs
    )
    errors = ((squares / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))
    moved = sum(abs(mine / len(train) - theirs / len(test)) for mine, theirs in pairs) / 2
    return moved if errors > SURE and moved > SHIFTED else 0.0


def _together(tables: Tables, names: Sequence[str]) -> Iterator[Finding]:
    """Whether a small forest tells train from test rows it has not seen, by all columns together."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    count = min(LEARNT, len(tables.train) - 1), min(LEARNT, len(tables.test) - 1)
    if not names or min(count) < FEWEST:
        return
    columns = []
    for name in names:
        cells = [*column(tables.train, name)[: count[0]], *column(tables.test, name)[: count[1]]]
        # Words by the alphabet: an order that came of the tables would tell the first one from the second.
        place = {value: float(at) for at, value in enumerate(sorted(set(cells)))}
        columns.append(_moments(cells) or [place[cell] for cell in cells])
    table, sides = np.column_stack(columns), np.repeat([0, 1], count)
    model = RandomForestClassifier(50, min_samples_leaf=10, random_state=0, n_jobs=1)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    told = cross_val_predict(model, table, sides, cv=folds, method="predict_proba")[:, 1]
    found = area_under_roc(sides, told)
    if found - 0.5 > max(SURE * _chance(*count), TOGETHER):
        says = f"a small forest tells test rows it has not seen from training rows (AUC {found:.2f})"
        yield Finding("train and test differ", f"{says}, by no one column but by several together")
