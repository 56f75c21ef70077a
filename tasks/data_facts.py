"""Facts about a task that decide which lessons fit it: what kind of target, what kind of metric, what is in the tables.

The list of names is closed: a lesson can ask for nothing else. They are found in the child process that makes the data
overview, from the tables that it describes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.metrics.registry import Metric
from tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

FACTS = {
    "classes": "the target is a class",
    "two_classes": "... one of two",
    "many_classes": "... one of three or more",
    "rare_classes": "... and some class has less than a third of an even share",
    "number": "the target is a number",
    "long_tail": "... not negative, with a few values far above the others",
    "thresholds": "the metric is of class labels, and the most likely label is not always the best one",
    "ranks": "the metric is of the order of predictions only",
    "probabilities": "the metric is of probabilities",
    "categories": "tables have columns of categories",
    "many_categories": "... with more than 15 values that come again and again",
    "numbers": "tables have five or more columns of numbers",
    "dates": "tables have dates",
    "missing": "cells are missing",
    "groups": "rows belong together, such as those of one customer",
}
MOST_COLUMNS = 300
FEW, RARE, TAIL = 15, 1 / 3, 5.0


def facts_of_task(task: Task, frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """The facts that hold, sorted."""
    found = set(_of_metric(task.metric))
    if task.recipe.unit or (task.labels is not None and task.labels.group):
        found.add("groups")
    if task.recipe.time is not None:
        found.add("dates")
    targets = task.submission.targets
    for frame in frames.values():
        own = [column for column in targets if column in frame.columns]
        for column in own:
            found.update(_of_target(frame[column], "number" in found))
        found.update(_of_columns(frame.drop(columns=own), len(frame)))
    return sorted(found)


def _of_metric(metric: Metric) -> Iterator[str]:
    yield "number" if metric.needs == "numbers" else "classes"
    if metric.is_rank_based:
        yield "ranks"
    if metric.predictions == "probabilities":
        yield "probabilities"
    if metric.needs == "labels" and metric.name != "accuracy":
        yield "thresholds"


def _of_target(values: pd.Series[Any], is_number: bool) -> Iterator[str]:
    known = values.dropna()
    if not len(known):
        return
    if not is_number:
        shares = known.value_counts(normalize=True)
        if len(shares) > 1:
            yield "two_classes" if len(shares) == 2 else "many_classes"
            if float(shares.iloc[-1]) < RARE / len(shares):
                yield "rare_classes"
    elif known.dtype.kind in "iuf" and float(known.min()) >= 0:
        middle, high = float(known.median()), float(known.quantile(0.99))
        if high > TAIL * max(middle, 1e-12):
            yield "long_tail"


def _of_columns(frame: pd.DataFrame, rows: int) -> Iterator[str]:
    numbers = 0
    for column in list(frame.columns)[:MOST_COLUMNS]:
        values = frame[column]
        if values.isna().any():
            yield "missing"
        if values.dtype.kind in "iuf":
            numbers += 1
            continue
        text = values.dropna().astype(str)
        distinct = text.nunique()
        if _are_dates(text):
            yield "dates"
        elif 1 < distinct <= max(2, rows / 5):
            yield "categories"
            if distinct > FEW:
                yield "many_categories"
    if numbers >= 5:
        yield "numbers"


def _are_dates(text: pd.Series[str]) -> bool:
    some = text.head(50)
    is_like_date = some.str.contains(r"\d{4}-\d\d?-\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4}", regex=True)
    return len(some) > 0 and bool(is_like_date.mean() > 0.9)
