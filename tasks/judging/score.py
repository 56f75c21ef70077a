"""From cells to a score: the one way to a metric, for held-out rows and for private answers alike.

NoScore     these predictions cannot be scored; the message is a fixed sentence that tells nothing of the answers
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.io.columns import Columns
from tasks.io.csv_text import as_number
from tasks.judging.validate_submission import number
from tasks.metrics.registry import Metric, score, target_numbers

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
    answers: Columns, given: Columns, targets: Sequence[str], numbers: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The target columns of answers and predictions, which are in the same row order: see the two below."""
    wanted = answer_frame(answers, targets, numbers)
    return wanted, given_frame(given, wanted)


def answer_frame(answers: Columns, targets: Sequence[str], numbers: bool) -> pd.DataFrame:
    """The answers: floats where the metric needs numbers or all of a column are numbers, otherwise text."""
    import pandas as pd

    are_numbers = {name: numbers or _are_numbers(answers, name) for name in targets}
    return pd.DataFrame({name: _series(answers, name, floats) for name, floats in are_numbers.items()})


def given_frame(given: Columns, wanted: pd.DataFrame) -> pd.DataFrame:
    """The predictions in the form of the answers `wanted`; one that is no number is NaN where they are numbers."""
    import pandas as pd

    return pd.DataFrame({name: _series(given, name, wanted[name].dtype != object) for name in wanted.columns})


def _are_numbers(answers: Columns, name: str) -> bool:
    plain = answers.numbers(name)
    if plain is not None and all(map(math.isfinite, plain)):
        return True
    return all(as_number(cell) is not None for cell in answers.column(name))


def _series(table: Columns, name: str, floats: bool) -> pd.Series[Any]:
    import pandas as pd

    if not floats:
        return pd.Series(table.column(name), dtype=object)
    plain = table.numbers(name)
    return pd.Series(_floats(table.column(name)) if plain is None else plain, dtype=float)


def _floats(cells: Sequence[str]) -> list[float]:
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


def require_numbers(given: pd.DataFrame, targets: Sequence[str]) -> None:
    """Raises `NoScore` where a prediction is missing or is no finite number."""
    try:
        target_numbers(given, targets)
    except ValueError as error:
        raise NoScore(str(error)) from None


def _problem(metric: Metric, error: BaseException | None) -> str:
    if metric.file is None or error is None:
        return ""
    return f"{metric.file.name}:{metric.function} raised {type(error).__name__}: {error}"
