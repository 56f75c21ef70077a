"""A simulated world of tasks in which a ledger can be measured: actions help in some tasks, and lessons shift choices.

50 actions; a family is a modality and a metric. How much an action is worth in a task is normal, with shares of the
variance common to all tasks, to the modality, the metric, the family, and the task. The best 15 % of the actions help,
the worst 25 % hurt, and some crash. The agent has an opinion of its own, implements 65 % of its tries right, keeps
what scores higher, and follows a lesson by a factor of e². Many sequences of runs are played side by side in arrays;
all conditions share worlds and luck.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BASE, NO_TRANSFER = (0.10, 0.30, 0.10, 0.20), (0.0, 0.0, 0.0, 0.0)
"""Shares of the variance common to all tasks, to a modality, to a metric, and to a family."""
HELPS, HURTS = 1.036, -0.674
"""Quantiles above which 15 % help and below which 25 % hurt."""
ACTIONS, MODALITIES, METRICS, ATTEMPTS = 50, 3, 2, 40
FAMILIES = MODALITIES * METRICS
NOISE = 0.45 * 0.08
"""Standard error of a paired gain, in units of the task's headroom."""
RIGHT, TRUST, OBEDIENCE, PRIOR = 0.65, 0.4, 2.0, 1.5


class Lessons(Protocol):
    """What gives lessons to the agent, and learns from its runs."""

    def choose(self, sequence: int, run: int, family: int) -> tuple[Array, Array]:
        """Which actions are shown as `do` and as `avoid`."""

    def learn(self, sequence: int, run: int, family: int, outcomes: Outcomes) -> None:
        """Take in what a run showed."""


@dataclass(frozen=True)
class Outcomes:
    """Per action: tried at all, with a real gain, worse than the best, failed."""

    tried: Array
    real: Array
    worse: Array
    failed: Array


@dataclass
class World:
    """The tasks of `sequences` sequences of `runs` runs."""

    seed: int
    sequences: int = 60
    runs: int = 20
    transfer: tuple[float, float, float, float] = BASE
    one_family: bool = False
    families: Array = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng((self.seed, 77))
        many, runs = self.sequences, self.runs
        self.modality_of = np.arange(FAMILIES) // METRICS
        metric_of = np.arange(FAMILIES) % METRICS
        everywhere, modality, metric, family = self.transfer
        own = np.sqrt(1 - sum(self.transfer))
        normal = random.standard_normal
        self.worth = (
            np.sqrt(everywhere) * normal((many, 1, ACTIONS))
            + np.sqrt(modality) * normal((many, MODALITIES, ACTIONS))[:, self.modality_of]
            + np.sqrt(metric) * normal((many, METRICS, ACTIONS))[:, metric_of]
            + np.sqrt(family) * normal((many, FAMILIES, ACTIONS))
        )
        self.crash = np.where(random.random((many, MODALITIES, ACTIONS)) < 0.12, 0.7, 0.08)
        opinion = normal((many, MODALITIES, ACTIONS))
        share = 1 / np.arange(1, FAMILIES + 1)
        share /= share.sum()
        self.families = np.stack(
            [random.permutation(FAMILIES)[random.choice(FAMILIES, runs, p=share)] for _ in range(many)]
        )
        if self.one_family:
            self.families[:] = 0
        rows = np.arange(many)[:, None]
        worth = self.worth[rows, self.families] + own * normal((many, runs, ACTIONS))
        self.gain = _gains(worth)
        wrong = np.sqrt(1 - TRUST**2) * opinion
        self.logit = PRIOR * (TRUST * worth + wrong[rows, self.modality_of[self.families]])
        # What a perfect lesson of the family could know: the expected gain over fresh tasks, less what crashes.
        fresh = sum(_gains(self.worth + own * normal((many, FAMILIES, ACTIONS))) for _ in range(32)) / 32
        self.known: Array = fresh * (1 - self.crash[:, self.modality_of])


def _gains(worth: Array) -> Array:
    helps = np.maximum(worth - HELPS, 0)
    total = np.maximum(helps.sum(-1, keepdims=True), 1e-9)
    result: Array = (helps - 0.3 * np.maximum(HURTS - worth, 0)) / total
    return result


@dataclass(frozen=True)
class Played:
    """Per sequence and run: the headroom left on average over attempts (`area`) and at the end (`final`)."""

    area: Array
    final: Array


def play(
    world: World, lessons: Lessons | None, *, from_elsewhere: bool = False, luck: int = 0, right: float = RIGHT
) -> Played:
    """Play all sequences. `from_elsewhere`: each run is shown the lessons of another modality.

    `luck` is the seed of the agent's luck, `right` the share of tries that it implements right.
    """
    many, runs = world.sequences, world.runs
    area, final = np.zeros((many, runs)), np.zeros((many, runs))
    elsewhere = np.random.default_rng((world.seed, 5))
    for run in range(runs):
        family = world.families[:, run]
        source = family
        if from_elsewhere:
            offset = elsewhere.integers(1, MODALITIES, many)
            modality = (world.modality_of[family] + offset) % MODALITIES
            source = modality * METRICS + elsewhere.integers(0, METRICS, many)
        shift = np.zeros((many, ACTIONS))
        if lessons is not None:
            for sequence in range(many):
                do, avoid = lessons.choose(sequence, run, int(source[sequence]))
                diluted = min(1.0, 12 / max(1, do.sum() + avoid.sum()))
                shift[sequence] = OBEDIENCE * diluted * (do.astype(float) - avoid)
        area[:, run], final[:, run], outcomes = _play_run(world, run, shift, luck, right)
        if lessons is not None:
            for sequence in range(many):
                one = Outcomes(*(part[sequence] for part in outcomes))
                lessons.learn(sequence, run, int(family[sequence]), one)
    return Played(area, final)


def _play_run(
    world: World, run: int, shift: Array, luck_seed: int, right: float
) -> tuple[Array, Array, tuple[Array, ...]]:
    """One run of every sequence: 40 attempts, each with one action."""
    many, rows = world.sequences, np.arange(world.sequences)
    random = np.random.default_rng((world.seed, 1000 + run, luck_seed))
    family, gain = world.families[:, run], world.gain[:, run]
    crash = world.crash[rows, world.modality_of[family]]
    logit = world.logit[:, run] + shift
    score, left = np.zeros(many), np.zeros(many)
    done = np.zeros((many, ACTIONS), bool)
    tried, real, worse, failed = (np.zeros((many, ACTIONS), bool) for _ in range(4))
    for _ in range(ATTEMPTS):
        action = (logit - np.log(-np.log(random.random((many, ACTIONS)) + 1e-12) + 1e-12)).argmax(1)
        crashes = random.random(many) < crash[rows, action]
        is_right = random.random(many) < right
        luck = random.standard_normal(many), random.standard_normal(many)
        true = np.where(is_right & ~done[rows, action], gain[rows, action], -0.005)
        seen = true + NOISE * (luck[0] + luck[1]) / np.sqrt(2)
        kept = ~crashes & (seen > 0)
        score = np.where(kept, score + true, score)
        done[rows, action] |= kept & is_right
        logit[rows, action] -= np.where(kept, 3.0, 1.6)
        tried[rows, action] = True
        real[rows, action] |= ~crashes & (seen > 1.96 * NOISE)
        worse[rows, action] |= ~crashes & (seen < -1.96 * NOISE)
        failed[rows, action] |= crashes
        left += 1 - score
    return left / ATTEMPTS, 1 - score, (tried, real, worse, failed)


class Oracle:
    """Shows the nine actions that are best for the family in expectation: no ledger can show better ones."""

    def __init__(self, world: World) -> None:
        self.known = world.known

    def choose(self, sequence: int, run: int, family: int) -> tuple[Array, Array]:
        known = self.known[sequence, family]
        return known >= np.sort(known)[-9], np.zeros(ACTIONS, bool)

    def learn(self, sequence: int, run: int, family: int, outcomes: Outcomes) -> None:
        """It knows already."""
