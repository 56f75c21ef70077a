"""Tables of text become the data frames a metric takes: the same way for held-out rows and for private answers.

If all answers of a text column are booleans (True, true, TRUE), predictions may be any of these words, or 1 and 0, as
the official graders read them. The frames have one word for true and one for false.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.io.columns import Columns
from tasks.io.csv_text import as_boolean, as_number, is_boolean_word, number

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
    frame = pd.DataFrame({name: _series(answers, name, floats) for name, floats in is_float.items()})
    return frame.assign(**{name: _unify_booleans(frame[name], frame[name]) for name in targets if not is_float[name]})


def prediction_frame(predictions: Columns, answers: pd.DataFrame) -> pd.DataFrame:
    """The predictions with the column types of the answers; NaN for a cell that should be a number but is not."""
    import pandas as pd

    is_float = {name: answers[name].dtype != object for name in answers.columns}
    frame = pd.DataFrame({name: _series(predictions, name, floats) for name, floats in is_float.items()})
    texts = [name for name, floats in is_float.items() if not floats]
    return frame.assign(**{name: _unify_booleans(frame[name], answers[name]) for name in texts})


def _unify_booleans(cells: pd.Series[Any], answers: pd.Series[Any]) -> pd.Series[Any]:
    """Cells in the words of the first answer, if all answers are booleans; cells that are none stay as they are."""
    if not len(answers) or not all(map(is_boolean_word, answers.unique())):
        return cells
    first = str(answers.iloc[0])
    change = str.upper if first.isupper() else str.lower if first.islower() else str
    words = {True: change("True"), False: change("False")}
    booleans = {cell: as_boolean(cell) for cell in cells.unique()}
    return cells.map({cell: cell if value is None else words[value] for cell, value in booleans.items()}).astype(object)


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
