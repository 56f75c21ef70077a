"""Tables of text become the data frames a metric takes: the same way for held-out rows and for private answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.io.columns import Columns
from tasks.io.csv_text import as_number, number

if TYPE_CHECKING:
    import pandas as pd


def frames(
    answers: Columns, predictions: Columns, targets: Sequence[str], numbers: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The target columns of answers and predictions, which are in the same row order; see the functions below."""
    frame = answer_frame(answers, targets, numbers)
    return frame, prediction_frame(predictions, frame)


def answer_frame(answers: Columns, targets: Sequence[str], numbers: bool) -> pd.DataFrame:
    """The answers: floats where `numbers` is set or every cell of the column is a number, otherwise text."""
    import pandas as pd

    is_float = {name: numbers or _are_numbers(answers, name) for name in targets}
    return pd.DataFrame({name: _series(answers, name, floats) for name, floats in is_float.items()})


def prediction_frame(predictions: Columns, answers: pd.DataFrame) -> pd.DataFrame:
    """The predictions with the column types of the answers; NaN for a cell that should be a number and is none."""
    import pandas as pd

    return pd.DataFrame({name: _series(predictions, name, answers[name].dtype != object) for name in answers.columns})


def _are_numbers(table: Columns, name: str) -> bool:
    plain = table.numbers(name)
    if plain is not None and all(map(math.isfinite, plain)):
        return True
    return all(as_number(cell) is not None for cell in table.column(name))


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
