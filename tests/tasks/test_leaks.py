"""The sentinel finds twelve planted leaks, and is silent on clean data."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tasks.cells import Row
from tasks.leaks import Finding, Tables, look_at_data
from tasks.leaks_in_code import look_at_claim, look_at_code, look_at_table

NAMES = ["id", "a", "b", "kind", "when", "label"]


def clean(seed: int, train_rows: int = 600, test_rows: int = 300, classes: int = 2) -> tuple[list[Row], list[Row]]:
    """Rows in which two features say something of the label, and nothing says too much."""
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


def look(train: list[Row], test: list[Row]) -> list[Finding]:
    return look_at_data(Tables(train, test, "id", "label"))


def add(rows: list[Row], name: str, make: Callable[[Row], str]) -> list[Row]:
    return [[*rows[0], name], *([*row, make(row)] for row in rows[1:])]


def twins(train: list[Row], test: list[Row]) -> list[Finding]:
    return look(
        train,
        [test[0], *([row[0], *other[1:-1]] for row, other in zip(test[1:61], train[1:], strict=False)), *test[61:]],
    )


def repeats(train: list[Row], test: list[Row]) -> list[Finding]:
    return look([*train, *([f"9{row[0]}", *row[1:]] for row in train[1:200])], test)


def id_tells(train: list[Row], test: list[Row]) -> list[Finding]:
    return look([train[0], *([str(int(row[0]) + 20_000 * int(row[-1])), *row[1:]] for row in train[1:])], test)


def order_tells(train: list[Row], test: list[Row]) -> list[Finding]:
    return look([train[0], *sorted(train[1:], key=lambda row: row[-1])], test)


def copied(train: list[Row], test: list[Row]) -> list[Finding]:
    return look(add(train, "copy", lambda row: row[-1]), add(test, "copy", lambda row: "0"))


def nearly(train: list[Row], test: list[Row]) -> list[Finding]:
    draw = random.Random(0)
    return look(
        add(train, "risk", lambda row: f"{int(row[-1]) + draw.gauss(0, 0.15):.3f}"), add(test, "risk", lambda _: "0.5")
    )


def spelt_out(train: list[Row], test: list[Row]) -> list[Finding]:
    draw = random.Random(0)
    return look(
        add(train, "code", lambda row: f"c{int(row[-1]) * 10 + draw.randrange(8)}"), add(test, "code", lambda _: "c1")
    )


def shifted(train: list[Row], test: list[Row]) -> list[Finding]:
    return look(train, [test[0], *([*row[:2], str(float(row[2]) + 2), *row[3:]] for row in test[1:])])


def by_group(train: list[Row], test: list[Row]) -> list[Finding]:
    draw = random.Random(0)
    return look(
        add(train, "patient", lambda row: f"p{draw.randrange(80)}"),
        add(test, "patient", lambda row: f"q{draw.randrange(40)}"),
    )


def by_time(train: list[Row], test: list[Row]) -> list[Finding]:
    return look(train, [test[0], *([*row[:4], "2025" + row[4][4:]] for row in test[1:])])


EARLY = """
from sklearn.preprocessing import StandardScaler
from sklearn.model_selection import train_test_split
scaler = StandardScaler()
X = scaler.fit_transform(X)
X_train, X_valid = train_test_split(X)
"""


def fitted_early(train: list[Row], test: list[Row]) -> list[Finding]:
    return look_at_code(EARLY)


def boasts(train: list[Row], test: list[Row]) -> list[Finding]:
    return look_at_claim(0.99, 0.81, 0.02, False)


PLANTED = {
    "duplicate rows": twins,
    "repeated rows": repeats,
    "id leak": id_tells,
    "order leak": order_tells,
    "target copied": copied,
    "one feature is enough": nearly,
    "target-derived": spelt_out,
    "train and test differ": shifted,
    "split by group": by_group,
    "split by time": by_time,
    "fitted before the split": fitted_early,
    "self-reported too high": boasts,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_is_found(kind: str) -> None:
    assert len(PLANTED) == 12
    found = sum(kind in {one.kind for one in PLANTED[kind](*clean(seed))} for seed in range(5))
    assert found == 5, f"found in {found} of 5"


def test_clean_data_raise_no_alarm() -> None:
    sets = [clean(seed, classes=(2, 5, 99)[seed % 3]) for seed in range(100, 160)]
    alarms = [found for train, test in sets if (found := look(train, test))]
    assert len(alarms) <= 0.05 * len(sets), alarms


def test_clean_code_and_honest_claims_raise_no_alarm() -> None:
    late = EARLY.replace("X = scaler.fit_transform(X)\n", "") + "X_train = scaler.fit_transform(X_train)\n"
    assert look_at_code(late, [str(at) for at in range(100)]) == []
    assert look_at_claim(0.84, 0.81, 0.02, False) == look_at_claim(None, 0.81, 0.02, False) == []
    assert look_at_claim(0.5, 0.81, 0.02, True)[0].is_fair is False


def test_answers_brought_along_are_seen() -> None:
    names = [str(at) for at in range(100, 400)]
    table = dict.fromkeys(names, 1)
    assert look_at_code(f"answers = {table!r}", names)[0].kind == "answers in the code"
    assert (
        look_at_table([["id", "label"], *([name, "1"] for name in names)], names)[0].kind == "predictions brought along"
    )
    assert look_at_table([["x"], ["1"], ["2"]], names) == []
