"""Find a metric by name: the registered ones, their aliases, and `NAME@VALUE` for those with a parameter.

One more metric is one function with the decorator `built_in` in the module of its kind: `of_labels`, `of_scores`,
`of_numbers` or `of_lists`. It takes the answers, the predictions (rows in the same order) and the names of the target
columns, and returns one float. pandas, numpy and scikit-learn are imported only when something is scored.
"""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from tasks.metrics import of_labels, of_lists, of_numbers, of_scores
from tasks.metrics.aliases import ALIASES
from tasks.metrics.metric import METRICS, Metric, Needs, Scorer

__all__ = ["ALIASES", "METRICS", "Metric", "Needs", "Scorer", "find_metric", "metric_from_record", "similar_metric"]

MODULES = (of_labels, of_scores, of_numbers, of_lists)
"""Importing them has filled METRICS."""


def find_metric(name: str) -> Metric | None:
    """The metric of this name or alias, in any spelling (`AUC`, `log-loss`, `MAP@5`); None if there is none."""
    if name in METRICS:
        return METRICS[name]
    base, at, value = name.partition("@")
    spelled = re.sub(r"[^a-z0-9]+", "_", base.lower().replace("²", "2")).strip("_")
    metric = METRICS.get(spelled) or METRICS.get(ALIASES.get(spelled, ""))
    if metric is None or not at:
        return metric
    return _with_parameter(metric, value.strip("{} "))


def _with_parameter(metric: Metric, text: str) -> Metric | None:
    """The metric with a value of its parameter, a whole number `k` or a share `quantile`; None if it takes none."""
    try:
        value: Any = int(text) if metric.parameter == "k" else float(text)
    except ValueError:
        return None
    if metric.scorer is None or not metric.parameter or value <= 0 or (metric.parameter == "quantile" and value >= 1):
        return None
    given = {metric.parameter: value}
    return replace(
        metric,
        name=f"{metric.name}@{text}",
        doc=f"{metric.doc.removesuffix('.')}, with {metric.parameter} = {text}.",
        scorer=partial(metric.scorer, **given),
        row_statistics=partial(metric.row_statistics, **given) if metric.row_statistics else None,
    )


def similar_metric(name: str) -> str:
    """The registered name nearest to a name that does not exist; empty if none is near."""
    return next(iter(get_close_matches(name.lower(), [*METRICS, *ALIASES], n=1)), "")


def metric_from_record(record: dict[str, Any]) -> Metric:
    """The metric of a blend. Raises KeyError for a name that is not registered."""
    if record["file"] is not None:
        return Metric(**{**record, "file": Path(record["file"])})
    metric = find_metric(record["name"])
    if metric is None:
        raise KeyError(record["name"])
    return metric
