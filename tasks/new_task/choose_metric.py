"""Recommend a metric for a target from its values, and say why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

from tasks.errors import TaskError
from tasks.io.columns import Columns, parse_numbers
from tasks.io.csv_text import as_number
from tasks.metrics.metric import METRICS, Metric
from tasks.metrics.registry import find_metric, similar_metric
from tasks.new_task.column_types import shown_number
from tasks.new_task.request import Findings, Kind, TaskRequest
from tasks.new_task.targets import pair_of

MAX_CLASSES = 20
RARE_SHARE = 0.05
"""From fewer rows of a class than this on, a binary target is called very imbalanced."""
MIN_RANKED = 100
"""With fewer rows of the rare class, average precision depends on a few of them, and AUC is steadier."""
COMMON_SHARE = 0.8
MIN_COUNTS = 5
"""A column with fewer different whole numbers is not taken for a count."""
SKEWED, LONG_TAIL = 1.5, 3.0
"""From so many medians on, the 95 % quantile makes a skewed price, and a long tail."""
_ORDINAL = re.compile(r"rating|grade|quality|score|stars?\b|level|stage|severity|satisf|rank|opinion", re.IGNORECASE)
_COUNT = re.compile(r"(\b|_)(counts?|cnt|number|num|visits|visitors|claims|events|accidents|goals)(\b|_)|_count|Count")
_PRICE = re.compile(
    r"price|cost|fare|salar|income|revenue|sales|amount|charges?\b|wage|budget|spend|rent|value|pay|earn|gdp",
    re.IGNORECASE,
)


def named_metric(name: str) -> Metric:
    """The metric that --metric names. Raises TaskError."""
    metric = find_metric(name)
    if ".py:" in name:
        raise TaskError(
            f"--metric {name} is a function of your own. Choose the nearest metric that `harness tasks --metrics` "
            f"lists, and name the function in task.yaml afterwards: `metric: {{function: {name}, direction: higher}}`, "
            "or lower."
        )
    if metric is None:
        near = similar_metric(name)
        hint = f" Did you mean {near}?" if near else ""
        raise TaskError(f"--metric {name} does not exist.{hint} `harness tasks --metrics` lists all metrics.")
    return metric


def empty_is_an_answer(request: TaskRequest) -> bool:
    """Whether an empty cell of the target is an answer, as an empty mask is, and no missing label."""
    return request.metric is not None and named_metric(request.metric).answers == "masks"


def choose_metric(table: Columns, targets: Sequence[str], request: TaskRequest, findings: Findings) -> Metric:
    """The metric that is named, or a recommended one."""
    if request.metric is not None:
        return named_metric(request.metric)
    if len(targets) > 1:
        name, why = _for_several(table, targets, request)
    else:
        name, why = _for_one(table.column(targets[0]), targets[0], request)
    findings.guesses.append(f"metric {name}, because {why} (choose another with --metric)")
    return METRICS[name]


def _for_several(table: Columns, targets: Sequence[str], request: TaskRequest) -> tuple[str, str]:
    if request.separator is not None:
        return "f1_micro", "a row may have several labels"
    columns = [set(table.column(name)) for name in targets]
    if all({as_number(cell) for cell in kinds} <= {0, 1} for kinds in columns):
        return "roc_auc", "all targets are 0 or 1; it is averaged over them"
    numbers = [_is_number(name, kinds, request) for name, kinds in zip(targets, columns, strict=True)]
    if all(numbers):
        return "mcrmse", "all targets are numbers, each with a scale of its own"
    if any(numbers):
        words = targets[numbers.index(False)]
        raise TaskError(
            f"{targets[numbers.index(True)]} has numbers and {words} has labels, which no metric scores together. "
            "Make a task of each, or name a --metric for both."
        )
    return "accuracy", "all targets have labels; it is averaged over them"


def _is_number(name: str, kinds: Collection[str], request: TaskRequest) -> bool:
    given: Kind | None = request.types.get(name)
    if given is not None:
        return given == "number"
    return len(kinds) > MAX_CLASSES and parse_numbers(list(kinds)) is not None


def _for_one(cells: Sequence[str], name: str, request: TaskRequest) -> tuple[str, str]:
    counts = Counter(cells)
    numbers = parse_numbers(list(counts)) if request.types.get(name) in (None, "number") else None
    if request.order:
        return "quadratic_weighted_kappa", f"the labels of {name} have an order"
    if len(counts) == 2 and (set(numbers or ()) == {0, 1} or pair_of(set(counts)) or _rare_share(counts) < RARE_SHARE):
        return _for_two(counts, name)
    is_measure = numbers is not None and (len(counts) > MAX_CLASSES or request.types.get(name) == "number")
    if numbers is not None and (is_measure or _looks_like_count(counts, name)):
        return _for_numbers(sorted(map(float, cells)), name, len(counts))
    return _for_classes(counts, name, numbers)


def _for_two(counts: Counter[str], name: str) -> tuple[str, str]:
    rarest = min(counts, key=lambda label: counts[label])
    pair = pair_of(set(counts)) or (("1", "0") if {"1", "0"} == set(counts) else (rarest,))
    share, words = counts[pair[0]] / counts.total(), " or ".join(sorted(counts))
    if share < RARE_SHARE:
        why = f"{name} is {words}, and {pair[0]} in only {share:.1%} of the rows"
        is_steady = counts[pair[0]] >= MIN_RANKED
        return ("average_precision", why) if is_steady else ("roc_auc", f"{why}, too few for average precision")
    return "roc_auc", f"{name} is {words}"


def _rare_share(counts: Counter[str]) -> float:
    return min(counts.values()) / counts.total()


def _for_classes(counts: Counter[str], name: str, numbers: Sequence[float] | None) -> tuple[str, str]:
    if numbers is not None and len(counts) > 2 and _ORDINAL.search(name):
        whole = sorted(numbers)
        if all(number.is_integer() for number in whole) and whole[-1] - whole[0] < 2 * len(whole):
            return "quadratic_weighted_kappa", f"{name} is a grade from {whole[0]:g} to {whole[-1]:g}"
    label, count = counts.most_common(1)[0]
    share = count / counts.total()
    if share >= COMMON_SHARE and len(counts) > 2:
        return "f1_macro", f"{name} has {len(counts)} classes, and {share:.0%} of the rows are {label!r}"
    return "accuracy", f"{name} has {len(counts)} classes"


def _looks_like_count(counts: Counter[str], name: str) -> bool:
    """Whether a few whole numbers from 0 up are called a count, or thin out towards the largest as counts do."""
    numbers = {float(cell): count for cell, count in counts.items()}
    if min(numbers) != 0 or len(numbers) < MIN_COUNTS or not all(number.is_integer() for number in numbers):
        return False
    if _COUNT.search(name):
        return True
    upper = sum(count for number, count in numbers.items() if number > max(numbers) / 2)
    return len(numbers) > MIN_COUNTS and upper < 0.1 * counts.total()


def _for_numbers(values: Sequence[float], name: str, distinct: int) -> tuple[str, str]:
    low, median, high = values[0], values[len(values) // 2], values[int(0.95 * len(values))]
    bounds = f"95 % are below {shown_number(high)}, half below {shown_number(median)}"
    tail, is_price = f"a few are large ({bounds}), so errors count as ratios", _PRICE.search(name) is not None
    if low >= 0 and high >= LONG_TAIL * median and all(value.is_integer() for value in values):
        kind = "a price" if is_price and not _COUNT.search(name) else "a count"
        return "rmsle", f"{name} is {kind}, and {tail}"
    if low > 0 and (high >= LONG_TAIL * median or (is_price and high >= SKEWED * median)):
        return "rmsle", f"{name} is {'a price' if is_price else 'a size from 0 up'}, and {tail}"
    if distinct <= MAX_CLASSES and low == 0:
        return "rmse", f"{name} looks like a count; --types {name}=category makes its numbers labels"
    return "rmse", f"{name} has {distinct:,} different numbers"
