"""Whether a text is a copy of the labels: held-out rows are searched in it, by their names or in their order.

A text is a copy if one column of it (or one position before or after a row's name) agrees with the labels of nearly
every row that is found: it has the label itself, or one word for each class. Column names do not matter.
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

SEARCHED_ROWS = 64
"""Held-out rows that are searched: a copy of a third of the labels has twenty of them."""
FIRST_ROWS = 16
"""A text without any of these is no copy."""
MIN_BITS, BITS_PER_ERROR = 13.0, 6.0
"""Information in the agreeing rows from which on agreement is not chance, and what a disagreeing row takes off."""
MIN_AGREEMENT = 0.95
MAX_CELLS = 40
"""Cells that are read before and after a row's name."""
WINDOW = 4000
TOKENS, STRIDES, CHANGES, LONGEST, OCCURRENCES = 1_000_000, 64, 24, 20_000, 6
_CELLS = (
    re.compile(r'"(?:[^"\\\n]|\\.|"")*"|[^,;|\t\n]+|(?<=[,;|\t])(?=[,;|\t])'),
    re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s,:;=|/()\[\]{}<>"]+'),
)
"""Two ways to split a text into cells: at separators of tables, and at everything that is no word (JSON, YAML)."""
_NAME = re.compile(r"(?<![\w.])\w+(?!\w|\.\d)")


@dataclass(frozen=True)
class HeldOutSample:
    """The held-out rows that are searched.

    `keys` are kinds of names (the id; cells that identify a row), each with the names of the same rows. `labels` are
    the labels of these rows, one tuple per target. `runs` are labels in the order of the training file, by target.
    """

    keys: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]
    runs: tuple[tuple[str, ...], ...]


def sample_held_out(
    ids: Sequence[str], labels: Sequence[Sequence[str]], rows: Sequence[Row], in_order: Sequence[str | None], seed: str
) -> HeldOutSample:
    """Choose the rows to search.

    `ids`, `labels` (a list per target) and `rows` (features, or nothing) are those of the held-out rows; `in_order`
    are the labels of all rows in the order of the file.
    """
    chosen = _choose_rows(list(zip(*labels, strict=True)), seed) if labels else []
    names = [ids[row] for row in chosen]
    features = [rows[row] for row in chosen] if rows and rows[0] else []
    columns = [list(column) for column in zip(*features, strict=True)]
    identifying = sorted((column for column in columns if _identifies_rows(column)), key=lambda one: -len("".join(one)))
    keys = [names, *[column for column in identifying if column != names][:2]]
    cells = [row.split("\x1f") for row in islice(in_order, LONGEST) if row is not None]
    runs = [_first_run(column) for column in zip(*cells, strict=True)] if len({len(row) for row in cells}) == 1 else []
    return HeldOutSample(
        tuple(tuple(key) for key in keys if all(name and "\n" not in name and len(name) < 200 for name in key)),
        tuple(tuple(column[row] for row in chosen) for column in labels),
        tuple(run for run in runs if run),
    )


def _choose_rows(labels: Sequence[tuple[str, ...]], seed: str) -> list[int]:
    """Random rows, the same number of each label: the rows of a rare one carry most information."""
    draw = random.Random(seed)
    of_label: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row in sorted(range(len(labels)), key=lambda _: draw.random()):
        of_label[labels[row]].append(row)
    ranked = sorted((rank, row) for rows in of_label.values() for rank, row in enumerate(rows))
    return [row for _, row in ranked[:SEARCHED_ROWS]]


def _identifies_rows(column: Sequence[str]) -> bool:
    """Whether the cells of a column are long and distinct, so that such a cell names its row."""
    return len(set(column)) == len(column) and all(6 <= len(cell) < 200 and '"' not in cell for cell in column)


def _first_run(labels: Sequence[str]) -> tuple[str, ...]:
    """As many of the first labels as no other column has; none where their order follows a rule."""
    few_classes, changes = len(set(labels[:LONGEST])) <= MAX_CLASSES, 0
    for index in range(1, min(len(labels), LONGEST)):
        changes += labels[index] != labels[index - 1]
        if changes >= CHANGES and index >= 2 * CHANGES:
            run = labels[: index + 1]
            is_periodic = any(
                sum(first == second for first, second in zip(run, run[step:], strict=False)) > 0.95 * (len(run) - step)
                for step in range(1, 17)
            )
            return () if few_classes and is_periodic else tuple(run)
    return ()


def describe_copy(sample: HeldOutSample, text: str) -> str:
    """What the text reveals about held-out rows, as the end of a sentence; empty if it reveals nothing."""
    for names in sample.keys:
        for labels in sample.labels:
            if count := _count_labelled(names, labels, text):
                return f"it has the labels of {count} of {len(names)} held-out rows that were searched"
    if any(_contains_run(run, text) for run in sample.runs):
        return "it has the labels in the order of the training rows"
    return ""


# ------------------------------------------------------------------------------------------ labels beside names of rows


def _count_labelled(names: Sequence[str], labels: Sequence[str], text: str) -> int:
    """Of how many rows the text has the labels; 0 if it may be chance."""
    if not any(name in text for name in names[:FIRST_ROWS]):
        return 0
    label_of = dict(zip(names, labels, strict=True))
    cells_at: dict[tuple[int, str, int, int], dict[str, str]] = defaultdict(dict)
    for name, offsets in _find_names(names, text).items():
        for number, offset in enumerate(offsets):
            for position, cell in _cells_around(text, name, offset):
                if position[1] != "flow" or not number:
                    cells_at[position].setdefault(name, cell)
    least = max(2, len(names) // 8)
    for cells in cells_at.values():
        if len(cells) >= least and _agree(list(cells.values()), [label_of[name] for name in cells]):
            return len(cells)
    return 0


def _find_names(names: Sequence[str], text: str) -> dict[str, list[int]]:
    """The offsets of the first few occurrences of each name as a word."""
    offsets: dict[str, list[int]] = defaultdict(list)
    if sum(map(len, names)) <= 6 * len(names) and all(map(_NAME.fullmatch, names)):
        wanted = set(names)  # short numbers are inside of others everywhere: reading word by word is faster
        for match in _NAME.finditer(text):
            if match[0] in wanted and len(offsets[match[0]]) < OCCURRENCES:
                offsets[match[0]].append(match.start())
        return offsets
    for name in names:
        start = text.find(name)
        while start >= 0 and len(offsets[name]) < OCCURRENCES:
            neighbors = text[max(0, start - 1) : start] + text[start + len(name) : start + len(name) + 1]
            if not any(sign.isalnum() or sign == "_" for sign in neighbors):
                offsets[name].append(start)
            start = text.find(name, start + 1)
    return offsets


def _cells_around(text: str, name: str, offset: int) -> Iterator[tuple[tuple[int, str, int, int], str]]:
    """The cells around a name: by their column in its line, from left and from right, and by their distance."""
    start, end = text.rfind("\n", 0, offset) + 1, text.find("\n", offset)
    end = len(text) if end < 0 else end
    for way, pattern in enumerate(_CELLS):
        if end - start <= 2 * WINDOW:
            cells = [(match.start(), _unquote(match[0])) for match in pattern.finditer(text, start, end)]
            own = max((index for index, (begin, _) in enumerate(cells) if begin <= offset), default=0)
            for index, (_, cell) in enumerate(cells):
                if index != own:
                    yield (way, "left", own, index), cell
                    yield (way, "right", own, len(cells) - index), cell
        matches = pattern.finditer(text, max(0, offset - WINDOW // 4), offset)
        before = [_unquote(match[0]) for match in matches][-MAX_CELLS:]
        after = [_unquote(match[0]) for match in islice(pattern.finditer(text, offset + len(name)), MAX_CELLS)]
        yield from (((way, "flow", 0, index - len(before)), cell) for index, cell in enumerate(before))
        yield from (((way, "flow", 0, index + 1), cell) for index, cell in enumerate(after))


def _unquote(cell: str) -> str:
    return cell.strip().strip("\"'").strip()


def _agree(cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether the cells are the labels, or one word for each class, in nearly every row and not by chance."""
    counts = Counter(labels)
    if len(counts) < 2:
        return False
    if len(counts) > MAX_CLASSES or len(counts) > len(labels) / 2:
        return len(labels) >= 8 and _are_equal(cells, labels)
    words = {
        label: Counter(cell for cell, other in zip(cells, labels, strict=True) if other == label) for label in counts
    }
    word_of = {label: counter.most_common(1)[0][0] for label, counter in words.items()}
    if len(set(word_of.values())) < len(counts):
        return False
    agrees = [cell == word_of[label] for cell, label in zip(cells, labels, strict=True)]
    bits = sum(-math.log2(counts[label] / len(labels)) for label, agree in zip(labels, agrees, strict=True) if agree)
    errors = len(agrees) - sum(agrees)
    return sum(agrees) >= MIN_AGREEMENT * len(agrees) and bits - BITS_PER_ERROR * errors >= MIN_BITS


def _are_equal(cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether cells are the labels: in the same order if both are numbers, else the same text in nearly every row."""
    numbers = [as_number(cell) for cell in (*cells, *labels)]
    if all(number is not None for number in numbers):
        values = [float(number) for number in numbers if number is not None]
        return abs(rank_correlation(values[: len(cells)], values[len(cells) :])) > 0.995
    agrees = [cell.casefold() == label.strip().casefold() for cell, label in zip(cells, labels, strict=True)]
    return sum(agrees) >= MIN_AGREEMENT * len(agrees)


# ------------------------------------------------------------------------------------------------ labels in their order


def _contains_run(run: Sequence[str], text: str) -> bool:
    """Whether every n-th cell of a text, or the cells of one column, are the run."""
    for pattern in _CELLS:
        cells = [_unquote(match[0]) for match in islice(pattern.finditer(text), TOKENS)]
        if _has_run(run, cells, STRIDES):
            return True
    lines = [
        [_unquote(match[0]) for match in _CELLS[0].finditer(line[: 4 * WINDOW])]
        for line in text.split("\n", 100_000)[:-1]
    ]
    columns: list[Callable[[list[str]], str]] = [
        lambda row, index=index: row[index] if -len(row) <= index < len(row) else ""  # type: ignore[misc]
        for index in (0, 1, 2, 3, -1, -2, -3)
    ]
    return any(_has_run(run, [column(line) for line in lines], 1) for column in columns)


def _has_run(run: Sequence[str], cells: Sequence[str], strides: int) -> bool:
    import numpy as np

    number_of: dict[str, int] = {}
    codes = np.fromiter((number_of.setdefault(cell, len(number_of)) for cell in cells), np.int64, len(cells))
    few_classes = len(set(run)) <= MAX_CLASSES
    # With few classes, compare whether a cell equals the one before: then the names of the classes do not matter.
    wanted = [first == second for first, second in pairwise(run)] if few_classes else list(run)
    values = None if few_classes else [number_of.get(label, -1) for label in run]
    for stride in range(1, strides + 1):
        sequence = codes[stride:] == codes[:-stride] if few_classes else codes
        starts = np.arange(max(0, len(sequence) - (len(wanted) - 1) * stride))
        for index in range(len(wanted)):
            expected = wanted[index] if values is None else values[index]
            starts = starts[sequence[starts + index * stride] == expected]
            if not len(starts):
                break
        for start in starts[:20].tolist():
            found = codes[start : start + len(run) * stride : stride].tolist()
            if len(set(zip(found, run, strict=True))) == len(set(found)) == len(set(run)):
                return True
    return False
