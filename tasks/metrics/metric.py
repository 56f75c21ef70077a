"""What a metric is: its traits and its function, and the table of those that a task may name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.metrics.row_statistics import MakeStatistics
from tasks.metrics.target_columns import ValueKind

if TYPE_CHECKING:
    import pandas as pd

Needs = Literal["labels", "scores", "numbers"]
Scorer = Callable[["pd.DataFrame", "pd.DataFrame", Sequence[str]], float]

RECORDED = ("name", "lower_is_better", "needs", "doc", "file", "function")


@dataclass(frozen=True)
class Metric:
    """A metric and its traits. No other code compares names of metrics.

    `needs` says what a prediction is: a class label, a score that ranks (or a probability), or a number.
    `file` and `function` are set for a metric of the task's own, `scorer` for the others.
    `row_statistics`: how draws of the bootstrap are scored; None: by scoring resampled rows, in fewer draws.
    `answers` and `predictions`: the values that are accepted.
    `is_rank_based`: only the order of predictions counts. Ensembles then average ranks.
    `needs_both_classes`: there is no score on rows of one class. Each fold must have both, folds with few rows of one
    are pooled, and a score with few such rows has a least noise. Answers must be `binary`.
    `needs_varied_answers`: there is no score where all answers are equal.
    `parameter`: the argument that follows `@` in the name, such as `k` in `map@5`; empty if there is none.
    """

    name: str
    lower_is_better: bool
    needs: Needs
    doc: str = ""
    file: Path | None = None
    function: str | None = None
    scorer: Scorer | None = field(default=None, repr=False)
    row_statistics: MakeStatistics | None = field(default=None, repr=False)
    answers: ValueKind = "any"
    predictions: ValueKind = "any"
    is_rank_based: bool = False
    needs_both_classes: bool = False
    needs_varied_answers: bool = False
    parameter: str = ""

    @property
    def direction(self) -> str:
        """`lower` or `higher`: which scores are better."""
        return "lower" if self.lower_is_better else "higher"

    @property
    def noise_method(self) -> str:
        """How the bootstrap scores its draws, in words."""
        return "row statistics" if self.row_statistics else "scoring resampled rows"

    def record(self) -> dict[str, Any]:
        """What a blend keeps of the metric, as JSON values; `metric_from_record` reads it."""
        return {name: getattr(self, name) for name in RECORDED} | {"file": str(self.file) if self.file else None}


METRICS: dict[str, Metric] = {}
"""Every metric that a task may call by name; `registry` fills it."""


def built_in(lower_is_better: bool, needs: Needs, name: str = "", **traits: Any) -> Callable[[Scorer], Scorer]:
    """Register a function under its name (or `name`), with the first line of its docstring."""

    def register(scorer: Scorer) -> Scorer:
        called, doc = name or scorer.__name__, (scorer.__doc__ or "").strip().split("\n")[0]
        METRICS[called] = Metric(called, lower_is_better, needs, doc, scorer=scorer, **traits)
        return scorer

    return register


def mean_over(targets: Sequence[str], score_column: Callable[[int], float]) -> float:
    """The mean of a score over the target columns."""
    return sum(score_column(index) for index in range(len(targets))) / len(targets)
