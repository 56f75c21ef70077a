"""The bootstrap: the noise of a score, and how surely one candidate is better than another on the same rows.

Units are resampled (rows, or groups of rows that belong together), each fold by itself. Every candidate is scored on
the same draws, so that rows that are hard for all of them cancel out. A score is averaged over folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.metrics.folds import POOLED_BELOW, UNLIMITED, Fold, count_units, rarest_class_rows
from tasks.metrics.resampling import resample
from tasks.metrics.score import NoScore, guarded_score

REAL_SHARE = 0.975
"""The share of draws in a candidate's favour from which on its gain is called real."""
REPEAT_SHARE = 0.75
"""The share an *unclear* gain needs, beside being a gain on two sets of rows, to count as repeated."""
DOUBTFUL_BELOW, DOUBT = 5, 0.05
"""With fewer rows of a class than the first, a share of draws stays at least the second away from 0 and 1."""
FEW_UNITS = 30
"""With fewer units the spread of draws is itself uncertain; then a score is no surer than with rows as units."""
UNSEEN_ERRORS = 1.5
"""Where no unit went wrong, up to three may (the rule of three, at 95 %); half of that is one standard error."""


@dataclass(frozen=True)
class PairedGain:
    """One candidate against another on the same draws.

    `gain` is how much better it scored (above 0: better, whatever the metric's direction), `noise` one standard error
    of the gain, `share` the share of draws in which it is better.
    """

    gain: float
    noise: float
    share: float

    @property
    def verdict(self) -> str:
        """`real`, `worse`, or `unclear`."""
        return "real" if self.share >= REAL_SHARE else "worse" if self.share <= 1 - REAL_SHARE else "unclear"


def score_candidates(folds: Sequence[Fold]) -> list[float]:
    """The score of each candidate: the mean over folds, weighted by rows. Raises `NoScore`."""
    total = sum(len(fold.answers) for fold in folds)
    scores = [0.0] * len(folds[0].predictions)
    for fold in folds:
        for index, predictions in enumerate(fold.predictions):
            value = guarded_score(fold.metric, fold.answers, predictions, fold.targets)
            scores[index] += value * len(fold.answers) / total
    return scores


def draw_scores(folds: Sequence[Fold], seed: int = 0) -> Any:
    """Scores of every candidate on every draw (candidates x draws); NaN if a draw could not be scored."""
    return average_draws(folds, draw_scores_by_fold(folds, seed))


def draw_scores_by_fold(folds: Sequence[Fold], seed: int = 0) -> list[Any]:
    """`draw_scores` of each fold by itself. Draws are expensive; `average_draws` combines those of any folds."""
    import numpy as np

    generator = np.random.default_rng(seed)
    return [resample(fold, generator) for fold in folds]


def average_draws(folds: Sequence[Fold], draws: Sequence[Any]) -> Any:
    """The draws of several folds as draws of one score: averaged by rows, as in `score_candidates`."""
    total = sum(len(fold.answers) for fold in folds)
    return sum(scores * (len(fold.answers) / total) for fold, scores in zip(folds, draws, strict=True))


def estimate_noise(folds: Sequence[Fold], draws: Any) -> list[float | None]:
    """One standard error of each candidate's score; None if too few draws could be scored.

    A score that is the same in every draw has noise too: unseen rows may still go wrong. Draws of k units are narrower
    than the truth by √((k - 1) / k), which is corrected.
    """
    widening = _widening(folds)
    by_rows = _spreads(_draw_rows(folds)) if _has_few_units(folds) else [None] * len(draws)
    noises: list[float | None] = []
    for index, (noise, noise_by_rows) in enumerate(zip(_spreads(draws), by_rows, strict=True)):
        if noise is not None:
            noise = noise * widening if noise > 1e-12 else noise_of_unseen_rows(folds, index)
        least = max(noise_by_rows or 0.0, _least_noise(folds, index))
        noises.append(None if noise is None else max(noise, least))
    return noises


def _spreads(draws: Any) -> list[float | None]:
    """The standard deviation of each candidate's draws; None if too few draws could be scored."""
    import numpy as np

    known = [scores[np.isfinite(scores)] for scores in draws]
    return [float(np.std(scores, ddof=1)) if len(scores) > 1 else None for scores in known]


def _widening(folds: Sequence[Fold]) -> float:
    """√(k / (k - 1)) for k units, a mean over folds."""
    counts = [max(2, count_units(fold)) for fold in folds]
    return math.sqrt(sum(count / (count - 1) for count in counts) / len(counts))


def _has_few_units(folds: Sequence[Fold]) -> bool:
    """Whether some fold has few units of several rows, and a metric whose draws are cheap enough to make again."""
    is_cheap = folds[0].metric.row_statistics is not None
    return is_cheap and any(any(fold.units) and count_units(fold) < FEW_UNITS for fold in folds)


def _draw_rows(folds: Sequence[Fold]) -> Any:
    """`draw_scores` with every row as a unit."""
    return draw_scores([replace(fold, units=("",) * len(fold.units)) for fold in folds])


def _least_noise(folds: Sequence[Fold], index: int) -> float:
    """With few rows of a class, a score is no surer than a proportion of as many coin flips (Laplace's estimate); the
    spread of draws of one or two rows says nothing."""
    count = rarest_class_rows(folds)
    if not 0 < count < POOLED_BELOW:
        return 0.0
    share = (score_candidates(folds)[index] * count + 1) / (count + 2)
    return math.sqrt(share * (1 - share) / count) / len(folds[0].targets)


def compare_candidates(
    scores: Sequence[float],
    draws: Any,
    lower_is_better: bool,
    first: int = 0,
    second: int = 1,
    rarest: int = UNLIMITED,
) -> PairedGain:
    """Candidate `first` against candidate `second`, from the scores and draws of both.

    `rarest` is the number of rows of the rarer class. With few of them the share of draws stays in doubt, because four
    rows may well rank better by chance.
    """
    import numpy as np

    sign = -1 if lower_is_better else 1
    gains = sign * (draws[first] - draws[second])
    gains = gains[np.isfinite(gains)]
    gain = sign * (scores[first] - scores[second])
    if len(gains) < 2:
        return PairedGain(gain, math.inf, 0.5)
    share = float((gains > 0).mean() + (gains == 0).mean() / 2)
    if rarest < DOUBTFUL_BELOW:
        share = min(max(share, DOUBT), 1 - DOUBT)
    return PairedGain(gain, float(gains.std(ddof=1)), share)


def noise_of_unseen_rows(folds: Sequence[Fold], index: int) -> float | None:
    """The noise of a score that no draw changes: what one wrong unit would cost, by the rule of three."""
    fold = max(folds, key=lambda one: len(one.answers))
    other = _row_with_another_answer(fold)
    if other is None:
        return None
    units = count_units(fold)
    spoiled = fold.predictions[index].copy()
    spoiled.iloc[0] = fold.answers.iloc[other].to_numpy()
    try:
        before = guarded_score(fold.metric, fold.answers, fold.predictions[index], fold.targets)
        cost = abs(before - guarded_score(fold.metric, fold.answers, spoiled, fold.targets))
    except NoScore:
        return None
    total = sum(map(count_units, folds))
    return UNSEEN_ERRORS * cost * units / total


def _row_with_another_answer(fold: Fold) -> int | None:
    """The first row whose answer differs from that of row 0."""
    first = fold.answers.iloc[0]
    for row in range(1, len(fold.answers)):
        if not fold.answers.iloc[row].equals(first):
            return row
    return None
