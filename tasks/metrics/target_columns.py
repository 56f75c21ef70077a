"""Read target columns as numbers or labels, and check that predictions are values a metric accepts.

Every error is a ValueError with one of the fixed sentences below. They reveal nothing about the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

ValueKind = Literal["any", "numbers", "non_negative", "not_zero", "whole", "probabilities", "binary", "lists", "masks"]
"""What cells hold. `any`: no check. `binary`: 0 and 1. `lists`: labels separated by spaces. `masks`: run lengths."""

NOT_A_NUMBER = "A prediction is missing or is not a finite number."
NOT_A_PROBABILITY = "A prediction is not a probability between 0 and 1."
NEGATIVE = "A prediction is negative; this metric takes numbers from 0 up."
NOT_A_WHOLE_NUMBER = "A prediction is not a whole number."
NOT_ZERO_OR_ONE = "A prediction is not 0 or 1; this metric takes labels and no probabilities."
NOT_A_MASK = "A prediction is not a mask: write pairs of start (from 1) and length, in order, without overlaps."
SENTENCES = frozenset({NOT_A_NUMBER, NOT_A_PROBABILITY, NEGATIVE, NOT_A_WHOLE_NUMBER, NOT_ZERO_OR_ONE, NOT_A_MASK})

LARGEST_GRADE = 1e9
"""Whole numbers are clipped to this before their squares are taken."""
EPSILON = 1e-15
"""Probabilities are clipped to [EPSILON, 1 - EPSILON], so that their logarithms are finite."""


def check_predictions(kind: ValueKind, predictions: pd.DataFrame, targets: Sequence[str]) -> None:
    """Raises ValueError if a prediction is not a value of this kind."""
    if kind in ("any", "lists"):
        return
    if kind == "masks":
        for name in targets:
            for cell in predictions[name].dropna().unique():
                read_mask(str(cell))
        return
    values = target_numbers(predictions, targets)
    if kind == "probabilities" and ((values < 0).any() or (values > 1).any()):
        raise ValueError(NOT_A_PROBABILITY)
    if kind == "non_negative" and (values < 0).any():
        raise ValueError(NEGATIVE)
    if kind == "binary" and not ((values == 0) | (values == 1)).all():
        raise ValueError(NOT_ZERO_OR_ONE)
    if kind == "whole":
        values = values.clip(-LARGEST_GRADE, LARGEST_GRADE)
        if (values != values.round()).any():
            raise ValueError(NOT_A_WHOLE_NUMBER)


def target_numbers(frame: pd.DataFrame, targets: Sequence[str]) -> Any:
    """The target columns as a float array (rows x targets). Raises ValueError unless every cell is a finite number."""
    import numpy as np
    import pandas as pd

    columns = [pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float) for name in targets]
    values = np.column_stack(columns)
    if not np.isfinite(values).all():
        raise ValueError(NOT_A_NUMBER)
    return values


def read_mask(cell: str) -> list[tuple[int, int]]:
    """The runs of a mask as (start, end) of pixels, from `start length start length`. Raises ValueError."""
    try:
        numbers = [int(word) for word in cell.split()]
    except ValueError:
        raise ValueError(NOT_A_MASK) from None
    runs = [(start, start + length) for start, length in zip(numbers[::2], numbers[1::2], strict=False)]
    ends = [1, *(end for _, end in runs)]
    if len(numbers) % 2 or any(
        start < before or end <= start for (start, end), before in zip(runs, ends, strict=False)
    ):
        raise ValueError(NOT_A_MASK)
    return runs


def clipped_probabilities(frame: pd.DataFrame, targets: Sequence[str]) -> Any:
    """The target columns as probabilities whose logarithms are finite (rows x targets)."""
    import numpy as np

    return np.clip(target_numbers(frame, targets), EPSILON, 1 - EPSILON)


def normalized_probabilities(frame: pd.DataFrame, targets: Sequence[str]) -> Any:
    """The target columns as probabilities of one class each, scaled to sum to 1 in every row (rows x targets)."""
    import numpy as np

    values = clipped_probabilities(frame, targets)
    return np.clip(values / values.sum(axis=1, keepdims=True), EPSILON, 1 - EPSILON)


def whole_numbers(frame: pd.DataFrame, targets: Sequence[str]) -> Any:
    """The target columns as grades (rows x targets)."""
    return target_numbers(frame, targets).clip(-LARGEST_GRADE, LARGEST_GRADE)


def comparable_labels(answers: pd.Series[Any], predictions: pd.Series[Any]) -> tuple[Any, Any]:
    """Both columns as comparable labels: numbers where all answers are numbers, otherwise trimmed text.

    A prediction that is not a known label counts as wrong; it is not an error.
    """
    import pandas as pd

    expected = pd.to_numeric(answers, errors="coerce")
    if expected.notna().all():
        predicted = pd.to_numeric(predictions, errors="coerce")
        no_label = expected.min() - 1
        return expected.to_numpy(float), predicted.fillna(no_label).to_numpy(float)
    return _as_text(answers), _as_text(predictions)


def _as_text(column: pd.Series[Any]) -> Any:
    return column.astype(object).where(column.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
