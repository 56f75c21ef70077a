"""Whether a text is a second copy of the labels: some held-out rows are looked for, beside their names or in order.

A text tells labels where one column of it (or one place before or behind a row's name) says of nearly every row that is
found what its label says: the label itself, or another word for each class. How a column is called does not matter.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from tasks.holdout.splitters import MAX_CLASSES
from tasks.io.csv_text import Row, as_number
from tasks.metrics.ranking import rank_correlation

LOOKED_FOR = 64
"""Held-out rows that are looked for in a text: a copy of a third of the labels names twenty of them."""
FIRST_LOOK = 16
BITS = 13.0
"""How much the rows found must say together before they say it not by chance, and what one that says else takes off."""
PRICE = 6.0
AGREE = 0.95
NEAR = 40
"""Cells before and behind a row's name that are looked at."""
WINDOW = 4000
TOKENS, STRIDES, CHANGES, LONGEST, SPOTS = 1_000_000, 64, 24, 20_000, 6
_CELLS = (
    re.compile(r'"(?:[^"\\\n]|\\.|"")*"|[^,;|\t\n]+|(?<=[,;|\t])(?=[,;|\t])'),
    re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s,:;=|/()\[\]{}<>"]+'),
)
"""Two ways to part a text into cells: at what parts tables, and at everything that is no word (JSON, names, YAML)."""
_NAME = re.compile(r"(?<![\w.])\w+(?!\w|\.\d)")


@dataclass(frozen=True)
class Known:
    """What is looked for. `keys` are kinds of names (the id; cells that only one row has), each with the names of the
    same rows; `labels` are their labels, and `runs` those of labelled rows in the order of the file, a target each."""

    keys: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]
    runs: tuple[tuple[str, ...], ...]


def known_of(
    ids: Sequence[str], labels: Sequence[Sequence[str]], rows: Sequence[Row], in_order: Sequence[str | None], seed: str
) -> Known:
    """What to look for, of rows held out: their ids, their labels (a list a target), their features (or nothing);
    `in_order` are the labels of all rows as the file has them."""
    chosen = _chosen(list(zip(*labels, strict=True)), seed) if labels else []
    names = [ids[at] for at in chosen]
    some = [rows[at] for at in chosen] if rows and rows[0] else []
    columns = [list(column) for column in zip(*some, strict=True)]
    marks = sorted((column for column in columns if _names_rows(column)), key=lambda one: -len("".join(one)))
    keys = [names, *[one for one in marks if one != names][:2]]
    split = [cells.split("\x1f") for cells in islice(in_order, LONGEST) if cells is not None]
    runs = [_run(column) for column in zip(*split, strict=True)] if len({len(row) for row in split}) == 1 else []
    return Known(
        tuple(tuple(one) for one in keys if all(key and "\n" not in key and len(key) < 200 for key in one)),
        tuple(tuple(column[at] for at in chosen) for column in labels),
        tuple(run for run in runs if run),
    )


def _chosen(labels: Sequence[tuple[str, ...]], seed: str) -> list[int]:
    """Rows at random, of each label as many: where one is rare, its rows say most."""
    draw = random.Random(seed)
    of_label: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at in sorted(range(len(labels)), key=lambda _: draw.random()):
        of_label[labels[at]].append(at)
    ranked = sorted((place, at) for found in of_label.values() for place, at in enumerate(found))
    return [at for _, at in ranked[:LOOKED_FOR]]


def _names_rows(column: Sequence[str]) -> bool:
    """Whether a column's cells are long, and one's own each: found elsewhere, such a cell names its row."""
    return len(set(column)) == len(column) and all(6 <= len(cell) < 200 and '"' not in cell for cell in column)


def _run(labels: Sequence[str]) -> tuple[str, ...]:
    """The first labels of the file, so many that no other column has the same; none where their order is a rule."""
    few, changes = len(set(labels[:LONGEST])) <= MAX_CLASSES, 0
    for at in range(1, min(len(labels), LONGEST)):
        changes += labels[at] != labels[at - 1]
        if changes >= CHANGES and at >= 2 * CHANGES:
            run = labels[: at + 1]
            is_rule = any(
                sum(one == other for one, other in zip(run, run[step:], strict=False)) > 0.95 * (len(run) - step)
                for step in range(1, 17)
            )
            return () if few and is_rule else tuple(run)
    return ()


def tells(known: Known, text: str) -> str:
    """What the text says of held-out rows, as words that end a sentence; empty where it says nothing."""
    for names in known.keys:
        for labels in known.labels:
            if found := _beside(names, labels, text):
                return f"it has the labels of {found} of {len(names)} held-out rows that were looked for"
    return (
        "it has the labels in the order of the training rows" if any(_in_order(run, text) for run in known.runs) else ""
    )


# ------------------------------------------------------------------------------------------ labels beside names of rows


def _beside(names: Sequence[str], labels: Sequence[str], text: str) -> int:
    """How many of the rows a text has the labels of; 0 where it has too few to be sure."""
    if not any(name in text for name in names[:FIRST_LOOK]):
        return 0
    spots = _spots(names, text)
    label_of = dict(zip(names, labels, strict=True))
    at: dict[tuple[int, str, int, int], dict[str, str]] = defaultdict(dict)
    for name, places in spots.items():
        for number, place in enumerate(places):
            for where, cell in _around(text, name, place):
                if where[1] != "flow" or not number:
                    at[where].setdefault(name, cell)
    least = max(2, len(names) // 8)
    for cells in at.values():
        if len(cells) >= least and _says(list(cells.values()), [label_of[name] for name in cells]):
            return len(cells)
    return 0


def _spots(names: Sequence[str], text: str) -> dict[str, list[int]]:
    """Where each name stands as a word of its own, the first few times."""
    found: dict[str, list[int]] = defaultdict(list)
    if sum(map(len, names)) <= 6 * len(names) and all(map(_NAME.fullmatch, names)):
        wanted = set(names)  # short numbers stand inside of others everywhere: reading word by word is faster
        for match in _NAME.finditer(text):
            if match[0] in wanted and len(found[match[0]]) < SPOTS:
                found[match[0]].append(match.start())
        return found
    for name in names:
        start = text.find(name)
        while start >= 0 and len(found[name]) < SPOTS:
            around = text[max(0, start - 1) : start] + text[start + len(name) : start + len(name) + 1]
            if not any(sign.isalnum() or sign == "_" for sign in around):
                found[name].append(start)
            start = text.find(name, start + 1)
    return found


def _around(text: str, name: str, place: int) -> Iterator[tuple[tuple[int, str, int, int], str]]:
    """The cells around a name: by their columns in its line, from left and from right, and by their distance."""
    start, end = text.rfind("\n", 0, place) + 1, text.find("\n", place)
    end = len(text) if end < 0 else end
    lines = (start, end) if end - start <= 2 * WINDOW else None
    for way, pattern in enumerate(_CELLS):
        if lines:
            cells = [(one.start(), _bare(one[0])) for one in pattern.finditer(text, *lines)]
            mine = max((at for at, (begin, _) in enumerate(cells) if begin <= place), default=0)
            for at, (_, cell) in enumerate(cells):
                if at != mine:
                    yield (way, "left", mine, at), cell
                    yield (way, "right", mine, len(cells) - at), cell
        before = [_bare(one[0]) for one in pattern.finditer(text, max(0, place - WINDOW // 4), place)][-NEAR:]
        after = [_bare(one[0]) for one in islice(pattern.finditer(text, place + len(name)), NEAR)]
        yield from (((way, "flow", 0, at - len(before)), cell) for at, cell in enumerate(before))
        yield from (((way, "flow", 0, at + 1), cell) for at, cell in enumerate(after))


def _bare(cell: str) -> str:
    return cell.strip().strip("\"'").strip()


def _says(cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether the cells are the labels, or other words for them, in nearly every row, and that is no chance."""
    counts = Counter(labels)
    if len(counts) < 2:
        return False
    if len(counts) > MAX_CLASSES or len(counts) > len(labels) / 2:
        numbers = [as_number(cell) for cell in (*cells, *labels)]
        if all(number is not None for number in numbers):
            values = [float(number) for number in numbers if number is not None]
            return len(labels) >= 8 and abs(rank_correlation(values[: len(cells)], values[len(cells) :])) > 0.995
        agree = [cell.casefold() == label.strip().casefold() for cell, label in zip(cells, labels, strict=True)]
        return len(labels) >= 8 and sum(agree) >= AGREE * len(agree)
    word_of = {
        label: Counter(cell for cell, one in zip(cells, labels, strict=True) if one == label) for label in counts
    }
    common = {label: found.most_common(1)[0][0] for label, found in word_of.items()}
    if len(set(common.values())) < len(counts):
        return False
    agree = [cell == common[label] for cell, label in zip(cells, labels, strict=True)]
    bits = sum(-math.log2(counts[label] / len(labels)) for label, is_it in zip(labels, agree, strict=True) if is_it)
    return sum(agree) >= AGREE * len(agree) and bits - PRICE * (len(agree) - sum(agree)) >= BITS


# ------------------------------------------------------------------------------------------------ labels in their order


def _in_order(run: Sequence[str], text: str) -> bool:
    """Whether every so-many-th cell of a text, or the cells of one column, are the run."""
    for pattern in _CELLS:
        cells = [_bare(one[0]) for one in islice(pattern.finditer(text), TOKENS)]
        if _has(run, cells, STRIDES):
            return True
    lines = [
        [_bare(one[0]) for one in _CELLS[0].finditer(line[: 4 * WINDOW])] for line in text.split("\n", 100_000)[:-1]
    ]
    columns: list[Callable[[list[str]], str]] = [
        lambda row, at=at: row[at] if -len(row) <= at < len(row) else ""  # type: ignore[misc]
        for at in (0, 1, 2, 3, -1, -2, -3)
    ]
    return any(_has(run, [column(line) for line in lines], 1) for column in columns)


def _has(run: Sequence[str], cells: Sequence[str], strides: int) -> bool:
    import numpy as np

    number: dict[str, int] = {}
    codes = np.fromiter((number.setdefault(cell, len(number)) for cell in cells), np.int64, len(cells))
    is_few = len(set(run)) <= MAX_CLASSES
    # Of few classes, whether a cell is as the one before says all, whatever the classes are called.
    wanted = [one == other for one, other in pairwise(run)] if is_few else list(run)
    values = None if is_few else [number.get(label, -1) for label in run]
    for stride in range(1, strides + 1):
        told = codes[stride:] == codes[:-stride] if is_few else codes
        starts = np.arange(max(0, len(told) - (len(wanted) - 1) * stride))
        for at in range(len(wanted)):
            starts = starts[told[starts + at * stride] == (wanted[at] if values is None else values[at])]
            if not len(starts):
                break
        for start in starts[:20].tolist():
            found = codes[start : start + len(run) * stride : stride].tolist()
            if len(set(zip(found, run, strict=True))) == len(set(found)) == len(set(run)):
                return True
    return False
