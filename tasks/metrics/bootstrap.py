"""The bootstrap: how sure a score is, and how sure one candidate is better than another on the same rows.

Units are drawn (rows, or groups of rows that belong together), for each part by itself, and every candidate is scored
on the same draws, so that what all of them find hard cancels out. Parts are the blends that one score is averaged over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasks.judging.score import NoScore, guarded_score
from tasks.metrics.row_statistics import row_sums

if TYPE_CHECKING:
    import pandas as pd

    from tasks.metrics.registry import Metric

DRAWS = 1000
BLOCKS = 2000
"""More units than these are drawn in so many random blocks: the spread of a mean is the same, the work is not."""
SLOW_SECONDS = 30.0
"""What the draws of one part may take where a metric is slow: fewer of them are surer than no verdict at all."""
WORK = 1_000_000
"""Rows scored in all for a metric that can only be scored anew for every draw."""
REAL = 0.975
"""The share of draws in a candidate's favour from which on its gain is called real."""
AGAIN = 0.75
"""The share an *unclear* gain needs, beside being one on two sets of rows, to count as repeated."""
THIN = 10
"""Rows of each class below which a part is not ranked by itself."""
MANY = 1_000_000_000
FEWEST, DOUBT = 5, 0.05
"""With fewer rows of a class than these, so much of a share of draws stays in doubt."""
NONE_SEEN = 1.5
"""Where no unit went wrong, up to three of them may have (the rule of three, at 95 %): half of it is one standard
error."""


@dataclass(frozen=True)
class Part:
    """The held-out rows of one blend: answers, and the predictions of each candidate, in the same row order."""

    metric: Metric
    targets: tuple[str, ...]
    answers: pd.DataFrame
    given: tuple[pd.DataFrame, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What candidate 0 is worth against candidate 1.

    `gain` is how much better it scored (above 0: better, whatever the metric's direction), `noise` one standard error
    of the gain, `share` the share of draws in which it is better.
    """

    gain: float
    noise: float
    share: float

    @property
    def verdict(self) -> str:
        """`real`, `worse`, or `unclear`."""
        return "real" if self.share >= REAL else "worse" if self.share <= 1 - REAL else "unclear"


def scores_of(parts: Sequence[Part]) -> list[float]:
    """The score of each candidate: that of each part, averaged by rows. Raises `NoScore`."""
    total = sum(len(part.answers) for part in parts)
    scores = [0.0] * len(parts[0].given)
    for part in parts:
        for at, given in enumerate(part.given):
            value = guarded_score(part.metric, part.answers, given, part.targets)
            scores[at] += value * len(part.answers) / total
    return scores


def drawn_scores(parts: Sequence[Part], seed: int = 0) -> Any:
    """Scores of every candidate on every draw (candidates x draws); NaN where a draw could not be scored."""
    return joined(parts, drawn_by_part(parts, seed))


def drawn_by_part(parts: Sequence[Part], seed: int = 0) -> list[Any]:
    """`drawn_scores` of each part by itself: draws are what costs, and any of the parts can be `joined`."""
    import numpy as np

    generator = np.random.default_rng(seed)
    return [_draw(part, generator) for part in parts]


def joined(parts: Sequence[Part], drawn: Sequence[Any]) -> Any:
    """The draws of several parts as those of one score: averaged by rows, as `scores_of` does."""
    total = sum(len(part.answers) for part in parts)
    return sum(each * (len(part.answers) / total) for part, each in zip(parts, drawn, strict=True))


def rarest(parts: Sequence[Part]) -> int:
    """How many rows the rarer of two classes has over these parts, where a metric ranks them; else many."""
    metric = parts[0].metric
    if metric.name != "roc_auc" or metric.file is not None:
        return MANY
    rows = sum(len(part.answers) for part in parts)
    positive = [sum(int((part.answers[name] == 1).sum()) for part in parts) for name in parts[0].targets]
    return min(min(count, rows - count) for count in positive)


def pooled(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts; made one, by ranks within each, where one holds too few rows of a class to rank the others by.

    Such a part's area under the ROC curve hangs on a row or two, or does not exist: it is no mean of rows.
    """
    import pandas as pd

    if len(parts) < 2 or min(rarest([part]) for part in parts) >= THIN:
        return parts
    given = [[(one.given[at].rank() - 0.5) / len(one.answers) for one in parts] for at in range(len(parts[0].given))]
    tables = [pd.concat(each, ignore_index=True) for each in ([one.answers for one in parts], *given)]
    units = tuple(unit for one in parts for unit in one.units)
    return [Part(parts[0].metric, parts[0].targets, tables[0], tuple(tables[1:]), units)]


def noise_of(parts: Sequence[Part], drawn: Any) -> list[float | None]:
    """One standard error of each candidate's score; None where too few draws could be scored.

    A score that no draw changes has noise too: rows that were not seen may still go wrong.
    """
    import numpy as np

    found: list[float | None] = []
    for at, scores in enumerate(drawn):
        scores = scores[np.isfinite(scores)]
        spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
        spread = spread if spread is None or spread > 1e-12 else unseen(parts, at)
        found.append(None if spread is None else max(spread, _least_noise(parts, at)))
    return found


def _least_noise(parts: Sequence[Part], at: int) -> float:
    """An area over a few rows of a class is no surer than a share of as many throws of a coin (Laplace's estimate):
    what draws of one or two rows spread by says nothing."""
    count = rarest(parts)
    if not 0 < count < THIN:
        return 0.0
    share = (scores_of(parts)[at] * count + 1) / (count + 2)
    return math.sqrt(share * (1 - share) / count) / len(parts[0].targets)


def compare(
    scores: Sequence[float], drawn: Any, lower_is_better: bool, one: int = 0, other: int = 1, rarest: int = MANY
) -> Comparison:
    """Candidate `one` against candidate `other`, from the scores and draws of both.

    Where the rarer class has few rows (`rarest`), no share of draws is beyond doubt: that four rows rank better by
    chance is no wonder.
    """
    import numpy as np

    sign = -1 if lower_is_better else 1
    gains = sign * (drawn[one] - drawn[other])
    gains = gains[np.isfinite(gains)]
    gain = sign * (scores[one] - scores[other])
    if len(gains) < 2:
        return Comparison(gain, math.inf, 0.5)
    share = float((gains > 0).mean() + (gains == 0).mean() / 2)
    if rarest < FEWEST:
        share = min(max(share, DOUBT), 1 - DOUBT)
    return Comparison(gain, float(gains.std(ddof=1)), share)


def half_of(part: Part, side: int) -> Part:
    """Every other unit of a part, from unit `side` (0 or 1) on."""
    if not any(part.units):
        tables = [table.iloc[side::2].reset_index(drop=True) for table in (part.answers, *part.given)]
        return replace(part, answers=tables[0], given=tuple(tables[1:]), units=part.units[side::2])
    known: dict[Any, int] = {}
    numbers = [known.setdefault(unit or row, len(known)) for row, unit in enumerate(part.units)]
    rows = [row for row, unit in enumerate(numbers) if unit % 2 == side]
    cut = [table.iloc[rows].reset_index(drop=True) for table in (part.answers, *part.given)]
    return replace(part, answers=cut[0], given=tuple(cut[1:]), units=tuple(part.units[row] for row in rows))


def _draw(part: Part, generator: Any) -> Any:
    import numpy as np

    blocks, count = _blocks(part.units, generator)
    sums = [row_sums(part.metric, part.answers, given, part.targets) for given in part.given]
    if any(one is None for one in sums):
        return _drawn_anew(part, blocks, count, generator)
    drawn = np.empty((DRAWS, count))  # how often each block is drawn; numpy's own multinomial takes seven times longer
    for draw in drawn:
        draw[:] = np.bincount(generator.integers(0, count, count, dtype=np.int32), minlength=count)
    rows = drawn @ np.bincount(blocks, minlength=count).astype(float)
    scores = []
    for one in sums:
        assert one is not None
        held = np.column_stack([np.bincount(blocks, column, count) for column in one.rows.T])
        scores.append(one.finish(drawn @ held, rows))
    return np.array(scores)


def _blocks(units: Sequence[str], generator: Any) -> tuple[Any, int]:
    """The block of each row, and how many blocks there are. Rows of one unit share a block; an empty unit is a row."""
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


def _drawn_anew(part: Part, blocks: Any, count: int, generator: Any) -> Any:
    import numpy as np

    order = np.argsort(blocks, kind="stable")
    pools = np.split(order, np.cumsum(np.bincount(blocks, minlength=count))[:-1])
    draws, begun = max(20, min(200, WORK // len(part.answers))), time.monotonic()
    scores = np.full((len(part.given), DRAWS), np.nan)
    for draw in range(draws):
        if (draw > 20 and time.monotonic() - begun > SLOW_SECONDS) or time.monotonic() - begun > 3 * SLOW_SECONDS:
            break
        rows = np.concatenate([pools[place] for place in generator.integers(0, count, count)])
        answers = part.answers.iloc[rows].reset_index(drop=True)
        for at, given in enumerate(part.given):
            try:
                table = given.iloc[rows].reset_index(drop=True)
                scores[at, draw] = guarded_score(part.metric, answers, table, part.targets)
            except NoScore:  # a draw may hold one class only
                continue
    return scores


def unseen(parts: Sequence[Part], at: int) -> float | None:
    """The noise of a score that no draw changes: what a unit that goes wrong would cost, by the rule of three."""
    part = max(parts, key=lambda one: len(one.answers))
    other = _another_answer(part)
    if other is None:
        return None
    units = len({unit or row for row, unit in enumerate(part.units)})
    spoilt = part.given[at].copy()
    spoilt.iloc[0] = part.answers.iloc[other].to_numpy()
    try:
        before = guarded_score(part.metric, part.answers, part.given[at], part.targets)
        cost = abs(before - guarded_score(part.metric, part.answers, spoilt, part.targets))
    except NoScore:
        return None
    total = sum(len({unit or row for row, unit in enumerate(one.units)}) for one in parts)
    return NONE_SEEN * cost * units / total


def _another_answer(part: Part) -> int | None:
    """A row whose answer differs from that of row 0."""
    first = part.answers.iloc[0]
    for at in range(1, len(part.answers)):
        if not part.answers.iloc[at].equals(first):
            return at
    return None
