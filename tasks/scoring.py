"""From cells to a score: the one way to a metric, for held-out rows and for private answers alike.

NoScore     these predictions cannot be scored; the message is a fixed sentence that tells nothing of the answers
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.cells import Row, as_number
from tasks.checking import number, plain_numbers
from tasks.metrics import Metric, score

if TYPE_CHECKING:
    import pandas as pd

FAILED = "The metric could not be computed for these predictions."


class NoScore(Exception):
    """These predictions cannot be scored; the message is a fixed sentence. `problem` is what a task's own metric
    raised: for people, since it may quote the answers."""

    def __init__(self, message: str, problem: str = "") -> None:
        super().__init__(message)
        self.problem = problem


def frames(
    answers: Sequence[Row], given: Sequence[Row], targets: Sequence[str], numbers: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The target columns of answers and predictions (rows with their header first, in the same row order).

    A column holds floats where the metric needs numbers or all its answers are numbers, otherwise text; a
    prediction that is no number is NaN there.
    """
    import pandas as pd

    wanted: dict[str, pd.Series[Any]] = {}
    predicted: dict[str, pd.Series[Any]] = {}
    for target in targets:
        cells, guesses = _column(answers, target), _column(given, target)
        if numbers or all(as_number(cell) is not None for cell in cells):
            wanted[target], predicted[target] = pd.Series(_floats(cells)), pd.Series(_floats(guesses))
        else:
            wanted[target], predicted[target] = pd.Series(cells, dtype=object), pd.Series(guesses, dtype=object)
    return pd.DataFrame(wanted), pd.DataFrame(predicted)


def _column(rows: Sequence[Row], name: str) -> list[str]:
    at = rows[0].index(name)
    return [row[at] for row in rows[1:]]


def _floats(cells: Sequence[str]) -> list[float]:
    values = plain_numbers(cells)
    if values is not None:
        return values
    values = []
    for cell in cells:
        try:
            values.append(number(cell))
        except ValueError:
            values.append(math.nan)
    return values


def guarded_score(metric: Metric, answers: pd.DataFrame, given: pd.DataFrame, targets: Sequence[str]) -> float:
    """The metric's value, which may be NaN. Raises `NoScore`, whatever the metric raised."""
    try:
        return float(score(metric, answers, given, targets))
    except ValueError as error:
        raise NoScore(str(error), _problem(metric, error.__cause__)) from None
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a task's own metric may raise anything, SystemExit too
        raise NoScore(FAILED, _problem(metric, error)) from None


def _problem(metric: Metric, error: BaseException | None) -> str:
    if metric.file is None or error is None:
        return ""
    return f"{metric.file.name}:{metric.function} raised {type(error).__name__}: {error}"
