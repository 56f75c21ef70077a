"""Check that a target can be predicted and scored: no ids, no numbers in a form that no metric reads, no odd marks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path

from tasks.errors import TaskError
from tasks.io.columns import Columns, parse_numbers
from tasks.io.csv_text import Number, as_boolean, as_number, is_missing
from tasks.metrics.metric import METRICS, Metric
from tasks.metrics.target_columns import ValueKind, read_mask
from tasks.new_task.choose_metric import MAX_CLASSES
from tasks.new_task.numbers_with_commas import WITH_COMMA, rewrite_numbers
from tasks.new_task.request import Findings, Kind
from tasks.new_task.targets import pair_of

MAX_MARKS = 5
"""So few different words among many numbers are taken for marks of missing numbers."""
MIN_MARKED = 3
"""Rows with one number far from all others, from which on it may be a mark of missing numbers."""
_MARK = re.compile(r"-?9{2,}(\.0*)?|-1(\.0*)?")
_ID_NAME = re.compile(r"(^|[\W_])(id|ID|Id)$|[a-z](ID|Id)$")
ANSWERS: dict[ValueKind, tuple[str, Callable[[float], bool]]] = {
    "binary": ("0 and 1", (0.0, 1.0).__contains__),
    "whole": ("whole numbers", float.is_integer),
    "non_negative": ("numbers from 0 up", lambda number: number >= 0),
    "not_zero": ("numbers other than 0", lambda number: math.isfinite(number) and number != 0),
    "probabilities": ("numbers from 0 to 1", lambda number: 0 <= number <= 1),
    "numbers": ("numbers", math.isfinite),
}
"""The answers a metric accepts, as a description and a check."""
OTHER_WAYS: dict[ValueKind, str] = {
    "whole": "Write the labels from low to high with --order, or choose another --metric."
}


# ---------------------------------------------------------------------------------------------------------- spellings


def same_spelling(table: Columns, name: str, findings: Findings) -> Columns:
    """The table with one spelling for true and false, and for the words of a known pair such as yes and no."""
    cells = table.column(name)
    counts = Counter(cells)
    folded = {label.casefold() for label in counts}
    truths = {label: as_boolean(label) for label in counts}
    if len(counts) > 2 and None not in truths.values():
        findings.facts.append(f"{name} has {', '.join(sorted(counts))}: true became 1, and false 0")
        return table.with_column(name, ["1" if truths[cell] else "0" for cell in cells])
    if len(folded) == len(counts):
        _note_equal_numbers(name, sorted(counts), findings)
        return table
    if pair_of(folded) is None:
        twice = next(label for label in sorted(counts) if sum(label.casefold() == one.casefold() for one in counts) > 1)
        other = next(one for one in sorted(counts) if one != twice and one.casefold() == twice.casefold())
        findings.advice.append(f"{name} has {twice!r} and {other!r}, two labels here; write them alike if they are one")
        return table
    commonest = {word: max(counts, key=lambda one: (one.casefold() == word, counts[one])) for word in folded}
    findings.facts.append(f"{name} has {', '.join(sorted(counts))}: they became {' and '.join(commonest.values())}")
    return table.with_column(name, [commonest[cell.casefold()] for cell in cells])


def _note_equal_numbers(name: str, labels: Sequence[str], findings: Findings) -> None:
    """Advice about labels such as 1 and 1.0, which are compared as text."""
    first: dict[Number, str] = {}
    for label in labels if len(labels) <= MAX_CLASSES else ():
        number = as_number(label)
        if number is not None and (other := first.setdefault(number, label)) != label:
            findings.advice.append(
                f"{name} has {other!r} and {label!r}, two labels here; write them alike if they are one"
            )
            return


# ------------------------------------------------------------------------------------------------------------- targets


def check_target(
    data: Path | str, name: str, cells: Sequence[str], findings: Findings, kind: Kind | None = None
) -> None:
    """Refuse a target that no metric can score; `kind` is what --types says of it. Raises TaskError."""
    kinds = set(cells)
    if len(kinds) == 1:
        raise TaskError(f"{data}: {name} is {min(kinds)!r} in every row: there is nothing to predict.")
    numbers = parse_numbers(list(kinds))
    if numbers is None and kind != "category":
        _refuse_near_numbers(data, name, kinds)
    if numbers is not None and (infinite := sorted(cell for cell in kinds if math.isinf(float(cell)))):
        raise TaskError(f"{data}: {name} is {infinite[0][:20]} in some row, a number too large to be scored.")
    if len(kinds) == len(cells) and _are_ids(name, cells, numbers, findings):
        raise TaskError(
            f"{data}: {name} is different in every row, as an id is: it cannot be predicted. Name another --target."
        )
    if numbers is None:
        _note_words(name, cells, kinds, findings)
    else:
        _note_marks(name, cells, findings)


def _are_ids(name: str, cells: Sequence[str], numbers: Sequence[float] | None, findings: Findings) -> bool:
    """Whether cells that are all different are ids: text, numbers that count up, or whole numbers called an id."""
    if numbers is None:
        return True
    if not all(math.isfinite(number) and number.is_integer() for number in numbers):
        return False
    if max(numbers) - min(numbers) + 1 == len(numbers) or _ID_NAME.search(name):
        return True
    if all(before < after for before, after in pairwise(map(float, cells))):
        findings.advice.append(f"{name} grows from row to row, as an id or a time does; it may be no target")
    return False


def _refuse_near_numbers(data: Path | str, name: str, kinds: Collection[str]) -> None:
    """Refuse numbers that are written with commas, signs or spaces, and numbers among which words mark missing ones."""
    words = sorted(cell for cell in kinds if as_number(cell) is None)
    comma = [cell for cell in words if "," in cell]
    if comma and all(WITH_COMMA.fullmatch(cell) for cell in words):
        raise TaskError(
            f"{data}: {name} contains numbers with commas, such as {comma[0]!r}, which no metric can parse. Write "
            f"them as 1234.5, or add --types {name}=number."
        )
    if not rewrite_numbers(words)[1] and (len(kinds) > MAX_CLASSES or any(set(cell) & set("$€£¥%") for cell in words)):
        raise TaskError(
            f"{data}: {name} contains numbers with signs or spaces, such as {words[0][:40]!r}. To make them plain "
            f"numbers, add --types {name}=number; if they are labels, {name}=category."
        )
    if len(kinds) <= MAX_CLASSES:
        return
    if len(words) <= MAX_MARKS:
        raise TaskError(
            f"{data}: {name} has numbers, and {words[0][:40]!r} in some row. Empty such cells to leave out their rows, "
            f"or add --types {name}=category if the numbers are labels."
        )
    if not any(letter.isalpha() for cell in kinds for letter in cell) and len(words) == len(kinds):
        raise TaskError(
            f"{data}: {name} has no plain numbers and no words, but cells such as {words[0][:40]!r}. Write what is to "
            f"be predicted as a number (seconds, days), or add --types {name}=category if they are labels. For several "
            "labels in a cell, name what separates them with --split-labels."
        )


def _note_words(name: str, cells: Sequence[str], kinds: Collection[str], findings: Findings) -> None:
    """Advice about labels that are words."""
    if missing := sorted(cell for cell in kinds if is_missing(cell)):
        count = sum(cell in missing for cell in cells)
        findings.advice.append(
            f"{name} is {' or '.join(missing)} in {count} rows, a label here; empty these cells if it means missing"
        )
    if len(kinds) > len(cells) / 2:
        findings.advice.append(f"{name} is text with few repeated values: most classes cannot be predicted")


def _note_marks(name: str, cells: Sequence[str], findings: Findings) -> None:
    """Advice about a number such as -999 that is far from all others."""
    counts = Counter(cells)
    numbers = sorted(counts, key=float)
    for mark, rest in ((numbers[0], numbers[1:]), (numbers[-1], numbers[:-1])):
        spread = float(rest[-1]) - float(rest[0])
        gap = min(abs(float(mark) - float(one)) for one in (rest[0], rest[-1]))
        if _MARK.fullmatch(mark) and counts[mark] >= MIN_MARKED and len(rest) > MAX_CLASSES and gap > spread / 2:
            findings.advice.append(
                f"{name} is {mark} in {counts[mark]} rows, far from all others; empty these cells if it means missing"
            )


# ------------------------------------------------------------------------------------------------------------- metrics


def check_metric(data: Path | str, target: str, metric: Metric | str, kinds: Collection[str]) -> None:
    """Refuse a metric that cannot be computed on the answers, whatever is predicted. Raises TaskError."""
    metric = METRICS[metric] if isinstance(metric, str) else metric
    if metric.answers == "masks":
        _check_masks(data, target, metric, kinds)
    if metric.answers not in ANSWERS:
        return
    accepted, is_accepted = ANSWERS[metric.answers]
    if wrong := [cell for cell in kinds if as_number(cell) is None or not is_accepted(float(cell))]:
        raise TaskError(
            f"{data}: --metric {metric.name} needs {accepted}, and {target} is {min(wrong)[:40]!r} in some row. "
            f"{OTHER_WAYS.get(metric.answers, 'Choose another --metric, or another --target.')}"
        )


def _check_masks(data: Path | str, target: str, metric: Metric, kinds: Collection[str]) -> None:
    for cell in kinds:
        try:
            read_mask(cell)
        except ValueError:
            raise TaskError(
                f"{data}: --metric {metric.name} needs masks (start and length, start and length, and so on), and "
                f"{target} is {cell[:40]!r} in some row. Choose another --metric, or another --target."
            ) from None
