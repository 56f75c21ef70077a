"""Pairs of tables with a planted leak, and clean ones: what the leak checks must find, and what they must not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tasks.io.csv_text import Row
from tasks.leakage.code import check_code
from tasks.leakage.solution import check_claim
from tasks.leakage.statistics import Finding, Tables
from tasks.leakage.tables import check_data

NAMES = ["id", "a", "b", "kind", "when", "label"]
Plant = Callable[[list[Row], list[Row]], list[Finding]]
"""Plant a leak in train and test rows; what is found in them."""


def make_clean(seed: int, train_rows: int = 600, test_rows: int = 300, classes: int = 2) -> tuple[list[Row], list[Row]]:
    """Train and test rows in which two features predict the label somewhat. From 50 classes on it is a number."""
    draw = random.Random(seed)
    ids = draw.sample(range(10_000, 99_999), train_rows + test_rows)
    rows = []
    for name in ids:
        signal = draw.gauss(0, 1)
        label = min(classes - 1, max(0, int((signal + draw.gauss(0, 1.5) + 2) / 4 * classes)))
        when = f"20{draw.randrange(10, 24)}-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}"
        cells = [str(name), f"{signal:.4f}", f"{draw.gauss(5, 2):.4f}", draw.choice("xyz"), when]
        rows.append([*cells, str(label) if classes < 50 else f"{signal + draw.gauss(0, 1):.4f}"])
    return [NAMES, *rows[:train_rows]], [NAMES[:-1], *(row[:-1] for row in rows[train_rows:])]


def check(train: list[Row], test: list[Row]) -> list[Finding]:
    return check_data(Tables(train, test, "id", "label"))


def add_column(rows: list[Row], name: str, make: Callable[[Row], str]) -> list[Row]:
    return [[*rows[0], name], *([*row, make(row)] for row in rows[1:])]


def duplicate_rows(train: list[Row], test: list[Row]) -> list[Finding]:
    twins = [[row[0], *other[1:-1]] for row, other in zip(test[1:61], train[1:], strict=False)]
    return check(train, [test[0], *twins, *test[61:]])


def repeat_rows(train: list[Row], test: list[Row]) -> list[Finding]:
    return check([*train, *([f"9{row[0]}", *row[1:]] for row in train[1:200])], test)


def leak_by_id(train: list[Row], test: list[Row]) -> list[Finding]:
    return check([train[0], *([str(int(row[0]) + 20_000 * int(row[-1])), *row[1:]] for row in train[1:])], test)


def leak_by_order(train: list[Row], test: list[Row]) -> list[Finding]:
    return check([train[0], *sorted(train[1:], key=lambda row: row[-1])], test)


def copy_target(train: list[Row], test: list[Row]) -> list[Finding]:
    return check(add_column(train, "copy", lambda row: row[-1]), add_column(test, "copy", lambda row: "0"))


def add_noisy_target(train: list[Row], test: list[Row]) -> list[Finding]:
    draw = random.Random(0)
    noisy = add_column(train, "risk", lambda row: f"{int(row[-1]) + draw.gauss(0, 0.15):.3f}")
    return check(noisy, add_column(test, "risk", lambda _: "0.5"))


def encode_target(train: list[Row], test: list[Row]) -> list[Finding]:
    draw = random.Random(0)
    encoded = add_column(train, "code", lambda row: f"c{int(row[-1]) * 10 + draw.randrange(8)}")
    return check(encoded, add_column(test, "code", lambda _: "c1"))


def shift_test(train: list[Row], test: list[Row]) -> list[Finding]:
    return check(train, [test[0], *([*row[:2], str(float(row[2]) + 2), *row[3:]] for row in test[1:])])


def split_by_group(train: list[Row], test: list[Row]) -> list[Finding]:
    draw = random.Random(0)
    return check(
        add_column(train, "patient", lambda row: f"p{draw.randrange(80)}"),
        add_column(test, "patient", lambda row: f"q{draw.randrange(40)}"),
    )


def split_by_time(train: list[Row], test: list[Row]) -> list[Finding]:
    return check(train, [test[0], *([*row[:4], "2025" + row[4][4:]] for row in test[1:])])


FITTED_BEFORE_SPLIT = """
from sklearn.preprocessing import StandardScaler
from sklearn.model_selection import train_test_split
scaler = StandardScaler()
X = scaler.fit_transform(X)
X_train, X_valid = train_test_split(X)
"""

PLANTED: dict[str, Plant] = {
    "duplicate rows": duplicate_rows,
    "repeated rows": repeat_rows,
    "id leak": leak_by_id,
    "order leak": leak_by_order,
    "target copied": copy_target,
    "one feature is enough": add_noisy_target,
    "target-derived": encode_target,
    "train and test differ": shift_test,
    "split by group": split_by_group,
    "split by time": split_by_time,
    "fitted before the split": lambda train, test: check_code(FITTED_BEFORE_SPLIT),
    "self-reported too high": lambda train, test: check_claim(0.99, 0.81, 0.02, False),
}
"""Leaks by the kind of finding they must give."""

DRAW = random.Random(7)
NUMBERS = DRAW.sample(range(1, 121), 120)
Cell = Callable[[Row], str]


def day(first: int, last: int) -> Cell:
    return lambda _: f"{DRAW.randrange(1, 29)}.{DRAW.randrange(1, 13)}.{DRAW.randrange(first, last)}"


def one_of(values: Sequence[object]) -> Cell:
    return lambda _: str(DRAW.choice(values))


def normal(width: float) -> Cell:
    return lambda _: f"{DRAW.gauss(0, width):.3f}"


def month(share: float, other: str) -> Cell:
    """A month by the template `other`, or with probability `share` the one day that both tables have."""
    return lambda _: "2020-01-01" if DRAW.random() < share else other.format(DRAW.randrange(1, 9))


WEAKER: dict[str, tuple[str, Cell, Cell]] = {
    "numbers of groups": ("split by group", one_of(NUMBERS[:80]), one_of(NUMBERS[80:])),
    "a dozen groups": ("split by group", one_of([f"p{n}" for n in range(8)]), one_of([f"q{n}" for n in range(4)])),
    "years": ("split by time", one_of(range(2000, 2018)), one_of(range(2018, 2022))),
    "days in German format": ("split by time", day(2000, 2018), day(2018, 2022)),
    "a day in both": ("split by time", month(0.02, "2019-0{}-15"), month(0.1, "2020-0{}-11")),
    "seconds": ("split by time", one_of(range(10**9, 11 * 10**8)), one_of(range(11 * 10**8, 12 * 10**8))),
    "other categories": ("train and test differ", one_of("aaab"), one_of("ccca")),
    "other shares of the same": ("train and test differ", one_of("aaab"), one_of("aabb")),
    "a wider spread": ("train and test differ", normal(1), normal(2)),
    "a correlation in train only": (
        "train and test differ", lambda row: f"{float(row[1]) + DRAW.gauss(0, 0.5):.3f}", normal(1.1),
    ),
    "a number near each class": (
        "one feature is enough", lambda row: f"{int(row[5]) + DRAW.gauss(0, 0.1):.3f}", one_of("1"),
    ),
    "a word that is rarely wrong": (
        "target-derived", lambda row: "lo" if (row[5] == "1") != (DRAW.random() < 0.002) else "hi", one_of(["hi"]),
    ),
}  # fmt: skip
"""The kind of finding, and the cells of one more column in train and in test."""


def check_weaker(name: str, seed: int) -> list[Finding]:
    """What is found in tables with one of the WEAKER leaks."""
    _, in_train, in_test = WEAKER[name]
    title = "year" if name in ("years", "seconds") else "more"
    train, test = make_clean(seed, classes=5 if "class" in name else 2)
    return check(add_column(train, title, in_train), add_column(test, title, in_test))
