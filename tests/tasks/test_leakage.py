"""The sentinel finds twelve planted leaks, and is silent on clean data."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from clean_tables import KINDS, Pair

from tasks.io.csv_text import Row
from tasks.leakage.code import check_claim, check_code, check_table
from tasks.leakage.tables import Finding, Tables, check_data

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
    return check_data(Tables(train, test, "id", "label"))


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
    return check_code(EARLY)


def boasts(train: list[Row], test: list[Row]) -> list[Finding]:
    return check_claim(0.99, 0.81, 0.02, False)


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


DRAW = random.Random(7)
NUMBERS = DRAW.sample(range(1, 121), 120)
Cell = Callable[[Row], str]


def day(first: int, last: int) -> Cell:
    return lambda _: f"{DRAW.randrange(1, 29)}.{DRAW.randrange(1, 13)}.{DRAW.randrange(first, last)}"


def one_of(what: Sequence[object]) -> Cell:
    return lambda _: str(DRAW.choice(what))


def spread(width: float) -> Cell:
    return lambda _: f"{DRAW.gauss(0, width):.3f}"


def month(share: float, other: str) -> Cell:
    """A month as `other` says it, or now and then the one day that both tables have."""
    return lambda _: "2020-01-01" if DRAW.random() < share else other.format(DRAW.randrange(1, 9))


WEAKER: dict[str, tuple[str, Cell, Cell]] = {
    "numbers of groups": ("split by group", one_of(NUMBERS[:80]), one_of(NUMBERS[80:])),
    "a dozen groups": ("split by group", one_of([f"p{at}" for at in range(8)]), one_of([f"q{at}" for at in range(4)])),
    "years": ("split by time", one_of(range(2000, 2018)), one_of(range(2018, 2022))),
    "days written in German": ("split by time", day(2000, 2018), day(2018, 2022)),
    "a day in both": ("split by time", month(0.02, "2019-0{}-15"), month(0.1, "2020-0{}-11")),
    "seconds": ("split by time", one_of(range(10**9, 11 * 10**8)), one_of(range(11 * 10**8, 12 * 10**8))),
    "other categories": ("train and test differ", one_of("aaab"), one_of("ccca")),
    "other shares of the same": ("train and test differ", one_of("aaab"), one_of("aabb")),
    "a wider spread": ("train and test differ", spread(1), spread(2)),
    "what goes together in train only": (
        "train and test differ", lambda row: f"{float(row[1]) + DRAW.gauss(0, 0.5):.3f}", spread(1.1),
    ),
    "a number near each class": (
        "one feature is enough", lambda row: f"{int(row[5]) + DRAW.gauss(0, 0.1):.3f}", one_of("1"),
    ),
    "a word that is wrong now and then": (
        "target-derived", lambda row: "lo" if (row[5] == "1") != (DRAW.random() < 0.002) else "hi", one_of(["hi"]),
    ),
}  # fmt: skip
"""What each must be found to be, and the cell of a column more in each row of train and of test."""


@pytest.mark.parametrize("name", WEAKER)
def test_weaker_leaks_of_the_same_kinds_are_found(name: str) -> None:
    kind, in_train, in_test = WEAKER[name]
    title = "year" if name in ("years", "seconds") else "more"
    for seed in range(5):
        train, test = clean(seed, classes=5 if "class" in name else 2)
        assert kind in {one.kind for one in look(add(train, title, in_train), add(test, title, in_test))}


def test_twins_that_differ_in_one_column_are_found() -> None:
    for seed in range(5):
        train, test = clean(seed)
        nearly = [[new[0], *old[1:4], new[4]] for new, old in zip(test[1:61], train[1:], strict=False)]
        (found,) = look(train, [test[0], *nearly, *test[61:]])
        assert found.says == "20.0% of the test rows are training rows too, in every feature but when"


@pytest.mark.parametrize("kind", KINDS)
def test_clean_tables_of_other_kinds_raise_no_alarm(kind: Callable[[random.Random], Pair]) -> None:
    alarms = [found for seed in range(6) if (found := look(*kind(random.Random(seed))))]
    assert not alarms


def test_clean_data_raise_no_alarm() -> None:
    sets = [clean(seed, classes=(2, 5, 99)[seed % 3]) for seed in range(100, 140)]
    alarms = [found for train, test in sets if (found := look(train, test))]
    assert len(alarms) <= 0.05 * len(sets), alarms


def test_clean_code_and_honest_claims_raise_no_alarm() -> None:
    late = EARLY.replace("X = scaler.fit_transform(X)\n", "") + "X_train = scaler.fit_transform(X_train)\n"
    assert check_code(late, [str(at) for at in range(100)]) == []
    assert check_claim(0.84, 0.81, 0.02, False) == check_claim(None, 0.81, 0.02, False) == []
    assert check_claim(0.5, 0.81, 0.02, True)[0].is_fair is False


def test_a_boast_is_told_however_small_the_noise() -> None:
    assert check_claim(0.99, 0.80, 0.00018, False)[0].kind == "self-reported too high"
    assert check_claim(0.001, 0.69, 0.0001, True)[0].kind == "self-reported too high"
    assert check_claim(0.12, 45_000.0, 10.0, True) == []  # the error of a logarithm, beside that of prices


def test_answers_brought_along_are_seen() -> None:
    names = [str(at) for at in range(10_000, 40_000, 100)]
    table = dict.fromkeys(names, 1)
    assert check_code(f"answers = {table!r}", names)[0].kind == "answers in the code"
    held = [["id", "label"], *([name, "1"] for name in names)]
    assert check_table(held, names, "id")[0].kind == "predictions brought along"
    assert check_table([["x"], ["1"], ["2"]], names, "id") == []


def test_ids_that_are_small_numbers_are_known_by_their_column_and_number() -> None:
    names = [str(at) for at in range(1, 401)]
    counts = [["left", "id"], *(["7", name] for name in names)]
    assert check_table(counts, names, "id") and not check_table(counts, names, "place")
    assert check_code(f"SIZES = {list(range(10, 60))}", names, names) == []
    assert check_code(f"KNOWN = {dict.fromkeys(range(1, 200), 0)}", [], names)[0].kind == "labels in the code"


@pytest.mark.parametrize(
    "held",
    [
        [at / 7 for at in range(400)],
        [[at, at + 1] for at in range(200)],
        "QmFzZTY0IGhvbGRz" * 400,
        "17,0,3.5,1;" * 500,
        bytes(range(256)) * 20,
    ],
)
def test_a_literal_of_much_data_is_found_though_it_names_no_row(held: object) -> None:
    found = check_code(f"import numpy as np\nX = np.array({held!r})\n", ["a"], ["b"])
    assert [one.kind for one in found] == ["a table in the code"]


@pytest.mark.parametrize(
    "text",
    [
        f"COLUMNS = {[f'feature_{at}' for at in range(500)]}",
        f"STOP_WORDS = {['word' + 'x' * (at % 9) for at in range(600)]}",
        f"GRID = {[[at, at / 10] for at in range(90)]}",
        '"""' + "What this module does, told at length. " * 200 + '"""',
        f"PROMPT = {'A text for people, in words and with blanks between them. ' * 100!r}",
        f"DROP = {[f'p{at}' for at in range(12)]}",
    ],
)
def test_lists_of_names_settings_and_texts_are_no_tables(text: str) -> None:
    assert check_code(text, [f"p{at}" for at in range(400)], [f"p{at}" for at in range(400, 900)]) == []
