"""A trial of two versions by betting on differences in [-1, 1], valid however often it is looked at or resumed.

One gambler bets that the new version is better: at wealth 20 a change without effect would get there with a
probability of at most 5 % (measured: 1.5 %). A mirrored one bets that it is worse than planned: at wealth 5 the trial
gives up. Stakes follow from the differences before, so no spread has to be known. Measured in
`tests/benchmarks/evolve.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["open", "kept", "reverted", "not decided"]
KEEP_WEALTH, GIVE_UP_WEALTH = 20.0, 5.0
MOST_PAIRS = 100
MOST_STAKE, MOST_MIRRORED_STAKE = 0.9, 0.45
START_MEAN, START_VARIANCE, START_WEIGHT = 0.05, 0.08, 5
"""What is assumed of the differences before there are any, worth five pairs."""
LEAST_MEAN = 0.02


@dataclass(frozen=True)
class Bets:
    """Where a trial stands after `pairs` differences. `planned` is the gain it was designed to find.

    `offset` moves the question: with 0.8 SD it is whether the new version loses less than that.
    """

    planned: float
    offset: float = 0.0
    most: int = MOST_PAIRS
    pairs: int = 0
    wealth: float = 1.0
    mirrored: float = 1.0
    mean: float = START_MEAN
    variance: float = START_VARIANCE

    def add(self, difference: float) -> Bets:
        """The trial after one more pair: the new version's score minus the old one's. A decided one stays as it is."""
        if self.verdict != "open":
            return self
        x = min(1.0, max(-1.0, difference + self.offset))
        stake = max(self.mean, LEAST_MEAN) / (self.variance + self.mean**2)
        against = (self.planned - min(self.mean, self.planned / 2)) / self.variance
        mean = (self.mean * (self.pairs + START_WEIGHT) + x) / (self.pairs + START_WEIGHT + 1)
        spread = self.variance * (self.pairs + START_WEIGHT) + (x - mean) ** 2
        return replace(
            self,
            pairs=self.pairs + 1,
            wealth=self.wealth * (1 + min(MOST_STAKE, max(0.0, stake)) * x),
            mirrored=self.mirrored * (1 - min(MOST_MIRRORED_STAKE, max(0.0, against)) * (x - self.planned)),
            mean=mean,
            variance=spread / (self.pairs + START_WEIGHT + 1),
        )

    @property
    def verdict(self) -> Verdict:
        """`kept`: better. `reverted`: not as good as planned. `not decided`: the pairs are used up."""
        if self.wealth >= KEEP_WEALTH:
            return "kept"
        if self.mirrored >= GIVE_UP_WEALTH:
            return "reverted"
        return "not decided" if self.pairs >= self.most else "open"


def follow(bets: Bets, differences: Iterable[float]) -> Bets:
    """The trial after all these differences."""
    for difference in differences:
        bets = bets.add(difference)
    return bets


def floored(new: float, old: float, floor: float) -> float:
    """The difference of two scores in [0, 1], each raised to a floor that was fixed before.

    Without it a few failed runs hide every effect.
    """
    return max(new, floor) - max(old, floor)
