"""Resample the units of a fold and score every candidate on each draw.

With row statistics, 1,000 draws cost one matrix product. Other metrics are scored again on the rows of each draw, in 20
to 200 draws.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tasks.metrics.folds import Fold
from tasks.metrics.row_statistics import RowStatistics
from tasks.metrics.score import NoScore, guarded_score

DRAWS = 1000
BLOCKS = 2000
"""Above this many units, random blocks of units are drawn: the standard error of a mean is the same, at less work."""
SLOW_SECONDS = 30.0
"""Time for the draws of one fold where a metric is slow: fewer draws are better than no verdict."""
SCORED_ROWS = 1_000_000
"""Rows scored in all draws together, for a metric without row statistics."""
LEAST_DRAWS, MOST_DRAWS = 20, 200


def resample(fold: Fold, generator: Any) -> Any:
    """Scores of every candidate on every draw of one fold (candidates x draws); NaN where there is none."""
    import numpy as np

    blocks, count = _assign_blocks(fold.units, generator)
    make = fold.metric.row_statistics
    if make is None:
        return _score_resampled_rows(fold, blocks, count, generator)
    candidates = [make(fold.answers, predictions, list(fold.targets)) for predictions in fold.predictions]
    drawn = np.empty((DRAWS, count))  # how often each block is drawn; numpy's multinomial takes seven times longer
    for draw, units in zip(drawn, generator.integers(0, count, (DRAWS, count), dtype=np.int32), strict=True):
        draw[:] = np.bincount(units, minlength=count)
    rows = drawn @ np.bincount(blocks, minlength=count).astype(float)
    return np.array([_score_sums(statistics, blocks, drawn, rows) for statistics in candidates])


def _score_sums(statistics: RowStatistics, blocks: Any, drawn: Any, rows: Any) -> Any:
    import numpy as np

    by_block = np.column_stack([np.bincount(blocks, column, drawn.shape[1]) for column in statistics.rows.T])
    return statistics.finish(drawn @ by_block, rows)


def _assign_blocks(units: Sequence[str], generator: Any) -> tuple[Any, int]:
    """The block of each row, and the number of blocks. Rows of one unit share a block; an empty unit is one row."""
    import numpy as np

    if any(units):
        known: dict[Any, int] = {}
        numbers = np.array([known.setdefault(unit or row, len(known)) for row, unit in enumerate(units)])
        count = len(known)
    else:
        numbers, count = np.arange(len(units)), len(units)
    if count <= BLOCKS:
        return numbers, count
    return (generator.permutation(count) % BLOCKS)[numbers], BLOCKS


def _score_resampled_rows(fold: Fold, blocks: Any, count: int, generator: Any) -> Any:
    import numpy as np

    order = np.argsort(blocks, kind="stable")
    rows_of_block = np.split(order, np.cumsum(np.bincount(blocks, minlength=count))[:-1])
    draws, started = max(LEAST_DRAWS, min(MOST_DRAWS, SCORED_ROWS // len(fold.answers))), time.monotonic()
    scores = np.full((len(fold.predictions), DRAWS), np.nan)
    for draw in range(draws):
        seconds = time.monotonic() - started
        if (draw > LEAST_DRAWS and seconds > SLOW_SECONDS) or seconds > 3 * SLOW_SECONDS:
            break
        rows = np.concatenate([rows_of_block[block] for block in generator.integers(0, count, count)])
        answers = fold.answers.iloc[rows].reset_index(drop=True)
        for index, predictions in enumerate(fold.predictions):
            try:
                table = predictions.iloc[rows].reset_index(drop=True)
                scores[index, draw] = guarded_score(fold.metric, answers, table, fold.targets)
            except NoScore:  # a draw may have one class only
                continue
    return scores
