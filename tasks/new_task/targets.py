"""What is predicted: the label columns, and how a label becomes cells of a submission.

A target is columns of the same name (`same`), one column with the probability of a word (`map`), or one column with the
probability of each class (`onehot`). Several labels in a cell become a 0/1 column each, and words in an order numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.errors import TaskError
from tasks.io.columns import Columns
from tasks.io.csv_text import as_number, is_missing
from tasks.metrics.metric import Metric
from tasks.new_task.request import Findings, TaskRequest

PAIRS = (
    ("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("positive", "negative"), ("pos", "neg"),
    ("malignant", "benign"), ("spam", "ham"), ("fraud", "legit"), ("present", "absent"), ("on", "off"),
    ("success", "failure"), ("pass", "fail"), ("sick", "healthy"), ("dead", "alive"), ("1", "0"), ("2", "1"),
    ("1", "-1"),
)  # fmt: skip
"""Two words for one question; the first is the one whose probability people predict."""
MIN_MEMBER_ROWS = 10
"""Rows that a label of several in a cell must have to become a column."""
MAX_COLUMNS = 1000
"""Of a submission."""
WHOLE_FROM = 1e15
"""From here on a number is taken for a whole one: a label such as 7e30 is a code."""


@dataclass(frozen=True)
class Target:
    """What is predicted: `labels` are columns of train, `predicted` of a submission; `positive` is set for `map`."""

    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    answer: Literal["same", "map", "onehot"] = "same"
    values: tuple[tuple[str, str], ...] = ()
    positive: str = ""

    def cells(self, table: Columns) -> list[list[str]]:
        """The answers, a list for each column of a submission."""
        if self.answer == "same":
            return [table.column(name) for name in self.labels]
        labels = table.column(self.labels[0])
        if self.answer == "map":
            cell_of = dict(self.values)
            return [[cell_of[label] for label in labels]]
        return [["1" if label == name else "0" for label in labels] for name in self.predicted]


# ------------------------------------------------------------------------------------------------------ missing labels


def emptiness(cells: Sequence[str]) -> list[bool]:
    """Which cells have no label: empty ones, and in a column of numbers also the words for missing values."""
    missing = {cell: is_missing(cell) for cell in set(cells)}
    others = [cell for cell, is_word in missing.items() if not is_word]
    are_numbers = bool(others) and all(as_number(cell) is not None for cell in others)
    if not are_numbers:
        missing = {cell: not cell.strip() for cell in missing}
    return [missing[cell] for cell in cells]


def keep_labelled(table: Columns, targets: Sequence[str], findings: Findings) -> tuple[Columns, Sequence[int]]:
    """The rows in which every target has a label, without spaces around labels, and their numbers in the table."""
    empty = [False] * len(table)
    for name in targets:
        cells = table.column(name)
        is_empty = emptiness(cells)
        words = sorted({cell.strip() for cell, missing in zip(cells, is_empty, strict=True) if missing} - {""})
        if count := sum(is_empty):
            which = f" or {', '.join(words)}" if words else ""
            findings.facts.append(f"left out {count} rows whose {name} is empty{which}")
            empty = [one or other for one, other in zip(empty, is_empty, strict=True)]
        stripped = {cell: cell.strip() for cell in set(cells)}
        if any(cell != text for cell, text in stripped.items()):
            table = table.with_column(name, [stripped[cell] for cell in cells])
    kept = [row for row, missing in enumerate(empty) if not missing]
    return (table.take(kept) if any(empty) else table), kept


# ------------------------------------------------------------------------------------------------------ other columns


def expand(table: Columns, request: TaskRequest, findings: Findings) -> tuple[Columns, tuple[str, ...]]:
    """The table and its target columns, after cells with several labels and words in an order are rewritten."""
    targets = request.targets
    if request.separator is not None:
        return _split_labels(table, _one(targets, "--split-labels"), request.separator, findings)
    if request.order:
        name = _one(targets, "--order")
        return _number_labels(table, name, request.order, findings), targets
    return table, targets


def _one(targets: Sequence[str], option: str) -> str:
    if len(targets) != 1:
        raise TaskError(f"{option} is for one --target, and {len(targets)} are given.")
    return targets[0]


def _split_labels(table: Columns, name: str, separator: str, findings: Findings) -> tuple[Columns, tuple[str, ...]]:
    sets = [members_of(cell, separator) for cell in table.column(name)]
    counts = Counter(member for members in sets for member in members)
    kept = sorted(member for member, count in counts.items() if count >= MIN_MEMBER_ROWS)
    if len(kept) < 2:
        raise TaskError(
            f"--split-labels: with {separator!r} between labels, {name} has {len(kept)} labels that at least "
            f"{MIN_MEMBER_ROWS} rows have. Name the text that separates the labels."
        )
    columns = {f"{name}_{member}": ["1" if member in members else "0" for members in sets] for member in kept}
    if clash := sorted(set(columns) & set(table.header)):
        raise TaskError(f"--split-labels would add a second column {clash[0]!r}. Rename that column.")
    findings.facts.append(f"{name} became {len(kept)} columns, one 0/1 column for each label")
    if rare := len(counts) - len(kept):
        findings.facts.append(f"left out {rare} labels of {name} that fewer than {MIN_MEMBER_ROWS} rows have")
    rest = [column for column in table.header if column != name]
    header = [*rest, *columns]
    return Columns(header, [*(table.column(column) for column in rest), *columns.values()]), tuple(columns)


def members_of(cell: str, separator: str) -> frozenset[str]:
    """The labels in a cell, which may also be a JSON list."""
    text = cell.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            return frozenset(str(member).strip() for member in json.loads(text.replace("'", '"')))
        except ValueError:
            text = text[1:-1]
    parts = text.split() if separator == " " else text.split(separator)
    return frozenset(part.strip() for part in parts if part.strip())


def _number_labels(table: Columns, name: str, order: Sequence[str], findings: Findings) -> Columns:
    numbers = {label: str(number) for number, label in enumerate(order)}
    cells = table.column(name)
    if unknown := sorted(set(cells) - set(numbers)):
        raise TaskError(f"--order names {', '.join(order)}, and {name} is {unknown[0]!r} in some row. Name all labels.")
    shown = ", ".join(f"{label} = {number}" for label, number in numbers.items())
    findings.facts.append(f"{name} became whole numbers: {shown}")
    return table.with_column(name, [numbers[cell] for cell in cells])


def number_words(table: Columns, targets: Sequence[str], request: TaskRequest, findings: Findings) -> Columns:
    """The table with 1 and 0 for two words, where their probability is not asked for in a column of its own."""
    for name in targets:
        cells = table.column(name)
        kinds = set(cells)
        given = request.positive if len(targets) == 1 else None
        if len(kinds) == 2 and ({as_number(kind) for kind in kinds} != {0, 1} or given not in (None, "1")):
            positive = _positive(cells, name, request if len(targets) == 1 else None, findings)
            table = table.with_column(name, ["1" if cell == positive else "0" for cell in cells])
            findings.facts.append(f"{name} became 1 for {positive!r} and 0 for {min(kinds - {positive})!r}")
    return table


def pair_of(kinds: set[str]) -> tuple[str, str] | None:
    """The label whose probability people predict, and the other one; None for labels that are not a known pair."""
    if len(kinds) != 2:
        return None
    by_lower = {kind.lower().removesuffix(".0"): kind for kind in kinds}
    found = next((pair for pair in PAIRS if set(pair) == set(by_lower)), None)
    return (by_lower[found[0]], by_lower[found[1]]) if found else None


# ------------------------------------------------------------------------------------------------------------ the form


def form_of(
    table: Columns, targets: tuple[str, ...], metric: Metric, request: TaskRequest, findings: Findings
) -> Target:
    """How labels become cells of a submission for this metric. Raises TaskError if it cannot score them."""
    kinds = set(table.column(targets[0]))
    if request.positive is not None and (metric.answers != "binary" or len(targets) > 1 or len(kinds) > 2):
        raise TaskError(
            f"--positive is for one target with two labels and a metric such as roc_auc or f1, and not for "
            f"{metric.name} of {', '.join(targets)}. Leave it out, or choose another --metric."
        )
    numbers = {as_number(kind) for kind in kinds}
    is_ready = numbers == {0, 1} and (request.positive is None or metric.needs == "labels")
    if metric.answers != "binary" or len(targets) > 1 or is_ready:
        return Target(targets, targets)
    if any(number is not None and -WHOLE_FROM < number < WHOLE_FROM and number % 1 for number in numbers):
        raise TaskError(
            f"--metric {metric.name} needs labels, and {targets[0]} has numbers, such as {min(kinds)}. Choose another, "
            "such as rmse."
        )
    if len(kinds) == 2:
        positive = _positive(table.column(targets[0]), targets[0], request, findings)
        values = tuple((kind, "1" if kind == positive else "0") for kind in sorted(kinds))
        return Target(targets, targets, "map", values, positive)
    if metric.needs != "scores":
        raise TaskError(
            f"--metric {metric.name} needs two labels, and {targets[0]} has {len(kinds)}. Choose another, such as "
            "f1_macro."
        )
    if len(kinds) > MAX_COLUMNS:
        raise TaskError(f"--metric {metric.name} needs a column for each of the {len(kinds)} labels of {targets[0]}.")
    findings.facts.append(f"a submission has a column with the probability of each of the {len(kinds)} labels")
    classes = tuple(sorted(kinds, key=lambda kind: (as_number(kind) is None, as_number(kind) or 0, kind)))
    return Target(targets, classes, "onehot")


def _positive(cells: Sequence[str], name: str, request: TaskRequest | None, findings: Findings) -> str:
    counts = Counter(cells)
    if request is not None and request.positive is not None:
        if request.positive not in counts:
            labels = " and ".join(sorted(counts))
            raise TaskError(f"--positive {request.positive} is not a label of {name}, whose labels are {labels}.")
        return request.positive
    pair = pair_of(set(counts))
    positive = pair[0] if pair else min(counts, key=lambda kind: (counts[kind], kind))
    why = "" if pair else ", the rarer label"
    findings.guesses.append(f"predicted is the probability that {name} is {positive!r}{why} (another: --positive)")
    return positive
