"""Compare the levels of a factor: runs that are equal but for it, paired by task and seed.

Tasks are the units: pairs of one task share its difficulty, so the interval is that of the mean over tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """A graded run: where it stands in the design, its medal (1 or 0), and its score (None: no valid submission)."""

    task: str
    seed: int
    levels: Mapping[str, str]
    medal: float
    score: float | None
    lower_is_better: bool


@dataclass(frozen=True)
class Comparison:
    """A level of a factor against its first level. `difference` is of the percentage of medals, with its 95 % interval
    over tasks (None with one task). `wins`, `ties` and `losses` count pairs by score; `p` is that of a sign test.
    """

    factor: str
    level: str
    reference: str
    pairs: int
    tasks: int
    difference: float
    interval: tuple[float, float] | None
    wins: int
    ties: int
    losses: int
    p: float


def compare(results: Sequence[Result], levels: Mapping[str, Sequence[str]]) -> list[Comparison]:
    """Every level of every factor against the first level of that factor; `levels` are those of the sweep, in order."""
    found = []
    for factor, (first, *others) in levels.items():
        for level in others:
            pairs = list(_pairs(results, factor, level, first))
            if pairs:
                found.append(_comparison(factor, level, first, pairs))
    return found


def _pairs(results: Sequence[Result], factor: str, level: str, reference: str) -> Iterable[tuple[Result, Result]]:
    """Runs of `level` with the run of `reference` that differs in nothing else."""
    by_place = {_place(one, factor): one for one in results if one.levels[factor] == reference}
    for one in results:
        if one.levels[factor] == level and (other := by_place.get(_place(one, factor))):
            yield one, other


def _place(one: Result, factor: str) -> tuple[object, ...]:
    return one.task, one.seed, *(level for name, level in sorted(one.levels.items()) if name != factor)


def _comparison(factor: str, level: str, reference: str, pairs: Sequence[tuple[Result, Result]]) -> Comparison:
    by_task: dict[str, list[float]] = {}
    for one, other in pairs:
        by_task.setdefault(one.task, []).append(100 * (one.medal - other.medal))
    means = [sum(values) / len(values) for values in by_task.values()]
    signs = [_sign(one, other) for one, other in pairs]
    wins, losses = signs.count(1), signs.count(-1)
    return Comparison(
        factor=factor,
        level=level,
        reference=reference,
        pairs=len(pairs),
        tasks=len(means),
        difference=sum(means) / len(means),
        interval=interval_of_mean(means),
        wins=wins,
        ties=signs.count(0),
        losses=losses,
        p=sign_test(wins, losses),
    )


def _sign(one: Result, other: Result) -> int:
    """Whether the first run's score is better (1), worse (-1), or the same; any score is better than none."""
    if one.score is None or other.score is None:
        return (one.score is not None) - (other.score is not None)
    better = one.score < other.score if one.lower_is_better else one.score > other.score
    return 0 if one.score == other.score else 1 if better else -1


def interval_of_mean(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    reach = float(t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return mean - reach, mean + reach


def sign_test(wins: int, losses: int) -> float:
    """The two-sided p of so uneven a split of pairs by chance, ties left out."""
    total, most = wins + losses, max(wins, losses)
    tail: float = sum(math.comb(total, k) for k in range(most, total + 1)) / 2**total
    return min(1.0, 2 * tail)
