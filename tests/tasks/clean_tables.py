"""Tables of many kinds in which nothing leaks: the leak checks must raise no alarm on them."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable

from tasks.holdout.label_copies import describe_copy, sample_held_out
from tasks.io.csv_text import Row

Pair = tuple[list[Row], list[Row]]


def _pair(draw: random.Random, names: list[str], make: Callable[[], list[str]], train: int, test: int) -> Pair:
    """Rows by one rule, a random part of them for the test; the last cell is the label."""
    ids = draw.sample(range(10_000, 999_999), train + test)
    rows = [[str(name), *make()] for name in ids]
    header = ["id", *names, "label"]
    return [header, *rows[:train]], [header[:-1], *(row[:-1] for row in rows[train:])]


def wide(draw: random.Random) -> Pair:
    """Forty numbers, ten of which say something together."""

    def make() -> list[str]:
        values = [draw.gauss(0, 1) for _ in range(40)]
        return [*(f"{value:.3f}" for value in values), str(int(sum(values[:10]) + draw.gauss(0, 2) > 0))]

    return _pair(draw, [f"f{at}" for at in range(40)], make, 500, 250)


def counts(draw: random.Random) -> Pair:
    """Small whole numbers and words, as a survey has them; a rare label."""

    def make() -> list[str]:
        age, answers = draw.randrange(18, 90), [draw.randrange(1, 6) for _ in range(6)]
        label = str(int(draw.random() < (0.12 if age > 60 else 0.03)))
        return [str(age), *map(str, answers), draw.choice(["north", "south", "west"]), draw.choice("mf"), label]

    return _pair(draw, ["age", *(f"q{at}" for at in range(6)), "region", "sex"], make, 800, 400)


def skewed(draw: random.Random) -> Pair:
    """Prices with long tails and holes, a number to predict."""

    def make() -> list[str]:
        size, rooms = draw.lognormvariate(4, 0.6), draw.randrange(1, 8)
        price = 1000 * size * draw.lognormvariate(0, 0.3)
        hole = draw.random() < 0.15
        return ["" if hole else f"{size:.1f}", str(rooms), str(draw.randrange(1900, 2021)), f"{price:.0f}"]

    return _pair(draw, ["size", "rooms", "built"], make, 700, 350)


def grouped(draw: random.Random) -> Pair:
    """Customers with several rows each, in both files; visits on days that are in both; many classes."""
    taste = [draw.randrange(12) for _ in range(90)]

    def make() -> list[str]:
        who = draw.randrange(90)
        day = f"{draw.randrange(1, 29):02d}.{draw.randrange(1, 13):02d}.{draw.randrange(2015, 2020)}"
        label = taste[who] if draw.random() < 0.4 else draw.randrange(12)
        return [f"c{who}", day, str(draw.randrange(1, 40)), f"class {label}"]

    return _pair(draw, ["customer", "day", "basket"], make, 900, 300)


def little(draw: random.Random) -> Pair:
    """Hardly any rows, features that are strong and tied together."""

    def make() -> list[str]:
        signal = draw.gauss(0, 1)
        others = [signal + draw.gauss(0, 0.5) for _ in range(4)]
        return [*(f"{value:.2f}" for value in others), "yes" if signal + draw.gauss(0, 0.3) > 0 else "no"]

    return _pair(draw, [f"f{at}" for at in range(4)], make, 80, 45)


def texts(draw: random.Random) -> Pair:
    """Sentences, and codes of many values that come again."""
    words = [f"word{at}" for at in range(300)]

    def make() -> list[str]:
        return [" ".join(draw.choices(words, k=8)), f"k{int(draw.expovariate(0.05))}", str(draw.randrange(3))]

    return _pair(draw, ["text", "code"], make, 600, 600)


KINDS = (wide, counts, skewed, grouped, little, texts)


def make_unrelated_table(draw: random.Random, names: list[str]) -> str:
    """The ids of all rows beside columns that are independent of the labels: few values, many values, words."""
    makers: list[Callable[[], str]] = [
        lambda: draw.choice("01"), lambda: str(draw.randrange(6)), lambda: f"{draw.gauss(0, 1):.3f}",
        lambda: draw.choice(["yes", "no"]), lambda: str(draw.randrange(500)),
        lambda: "1" if draw.random() < 0.1 else "0",
    ]  # fmt: skip
    stream = io.StringIO()
    csv.writer(stream).writerows([name, *(make() for make in makers)] for name in names)
    return stream.getvalue()


def count_false_copies(seeds: int) -> int:
    """How many unrelated tables are taken for a copy of the labels."""
    alarms = 0
    for seed in range(seeds):
        draw = random.Random(seed)
        count = draw.choice([14, 40, 50, 200])
        names = [str(n) for n in (range(1, count + 1) if seed % 3 else draw.sample(range(10_000, 99_999), count))]
        classes = (2, 2, 5, 99)[seed % 4]
        labels = [str(min(draw.randrange(classes), draw.randrange(classes))) for _ in names]
        order = [draw.choice(labels) for _ in range(5 * count)]
        alarms += bool(
            describe_copy(sample_held_out(names, [labels], [], order, "s"), make_unrelated_table(draw, names))
        )
    return alarms
