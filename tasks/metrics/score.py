"""Score predictions by a metric, with errors that reveal nothing about the answers.

NoScore     these predictions cannot be scored; the message is a fixed sentence
"""

from __future__ import annotations

import contextlib
import math
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.metrics.registry import Metric, Scorer
from tasks.metrics.target_columns import SENTENCES, check_predictions, target_numbers

if TYPE_CHECKING:
    import pandas as pd

WRONG_ROWS = "The predictions do not have one row for each row that is asked for."
NO_SCORE = "The metric gave no finite number for these predictions."
METRIC_BROKE = "The task's own metric failed on these predictions; the user was told why."
FAILED = "The metric could not be computed for these predictions."


class NoScore(Exception):
    """These predictions cannot be scored. The message is a fixed sentence.

    `problem` is what a task's own metric raised. It is for people only: it may quote the answers.
    """

    def __init__(self, message: str, problem: str = "") -> None:
        super().__init__(message)
        self.problem = problem


def score(metric: Metric, answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """Score `predictions` against `answers` (same rows, same order) on the columns `targets`, unrounded.

    Raises ValueError, with a sentence the model may see, if the predictions cannot be scored.
    """
    if len(answers) != len(predictions):
        raise ValueError(WRONG_ROWS)
    try:
        check_predictions(metric.predictions, predictions, targets)
        with _in_own_folder(metric.file) if metric.file else contextlib.nullcontext():
            value = float(_scorer_of(metric)(answers, predictions, list(targets)))
    except Exception as error:
        # Only our own sentences pass: what a library or a task's own function says may quote the answers.
        if isinstance(error, ValueError) and str(error) in SENTENCES:
            raise
        raise ValueError(NO_SCORE if metric.file is None else METRIC_BROKE) from error
    if not math.isfinite(value):
        raise ValueError(NO_SCORE)
    return value


def guarded_score(metric: Metric, answers: pd.DataFrame, predictions: pd.DataFrame, targets: Sequence[str]) -> float:
    """The score, finite. Raises `NoScore`, whatever the metric raised."""
    try:
        return float(score(metric, answers, predictions, targets))
    except ValueError as error:
        raise NoScore(str(error), _describe(metric, error.__cause__)) from None
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a task's own metric may raise anything, SystemExit too
        raise NoScore(FAILED, _describe(metric, error)) from None


def require_numbers(predictions: pd.DataFrame, targets: Sequence[str]) -> None:
    """Raises `NoScore` if a prediction is missing or is not a finite number."""
    try:
        target_numbers(predictions, targets)
    except ValueError as error:
        raise NoScore(str(error)) from None


def _scorer_of(metric: Metric) -> Scorer:
    if metric.scorer is not None:
        return metric.scorer
    assert metric.file is not None  # a metric is either built in or in a file
    function = runpy.run_path(str(metric.file)).get(metric.function or "")
    if not callable(function):
        raise ValueError(NO_SCORE)
    scorer: Scorer = function
    return scorer


@contextlib.contextmanager
def _in_own_folder(file: Path) -> Iterator[None]:
    """Work in the folder of a task's own metric, which may import modules and open files beside it."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path.remove(folder)


def _describe(metric: Metric, error: BaseException | None) -> str:
    if metric.file is None or error is None:
        return ""
    return f"{metric.file.name}:{metric.function} raised {type(error).__name__}: {error}"
