"""Which rows a split holds out: folds, search and select rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from tasks.config.recipe import Recipe
from tasks.holdout.splitters import CV_ROWS, SINGLE_SPLIT_FOLDS, choose_fold_count

MAX_SHARE = 0.2
"""The largest share of the labelled rows that a number of rows may be: a number for large data must fit small data."""


@dataclass(frozen=True)
class Split:
    """Which train/test pair of a task and a seed: fold `fold` of draw `draw` is held out. Fold -1 holds nothing out.

    A draw is one random assignment of rows to folds. Draw 0 is the run's own; later draws are fresh.
    """

    draw: int = 0
    fold: int = 0

    @property
    def name(self) -> str:
        """A short name, unique among the splits of one seed; empty for the split that the agent sees."""
        if self.fold < 0:
            return "refit"
        return (f"fresh{self.draw}-" if self.draw else "") + (f"fold{self.fold}" if self.draw or self.fold else "")


@dataclass(frozen=True)
class Plan:
    """Into how many folds labelled rows are divided, and how many of them a split holds out.

    `cv_folds` is the number of splits that together hold out every row once; 0 if there is a single split. `search`
    and `select` count the folds that a single split holds out for each purpose.
    """

    fold_count: int
    cv_folds: int
    search: int
    select: int


def plan_folds(recipe: Recipe, labelled: int) -> Plan:
    """The plan for this recipe and number of labelled rows. Raises `splitters.TooFewRows`."""
    fold_count = choose_fold_count(labelled)
    if recipe.folds:
        return Plan(recipe.folds, recipe.folds, 1, 0)
    if recipe.search:
        sizes = (recipe.search, recipe.select or 0.0)
        shares = [min(MAX_SHARE, size / labelled) if size > 1 else size for size in sizes]
        fold_count = _fold_count_for(shares)
        return Plan(fold_count, 0, max(1, round(shares[0] * fold_count)), round(shares[1] * fold_count))
    if recipe.time:
        return Plan(SINGLE_SPLIT_FOLDS, 0, 2, 0) if labelled <= CV_ROWS else Plan(SINGLE_SPLIT_FOLDS, 0, 1, 1)
    return Plan(fold_count, fold_count, 1, 0) if labelled <= CV_ROWS else Plan(fold_count, 0, 1, 1)


def _fold_count_for(shares: Sequence[float]) -> int:
    """The smallest number of folds of which every share is nearly a whole number: few folds stratify better."""
    fewest = ceil(1 / min(share for share in shares if share))
    for count in range(fewest, 100):
        if all(abs(share * count - round(share * count)) < 0.02 * share * count for share in shares if share):
            return count
    return max(100, fewest)


def fold_roles(plan: Plan, split: Split) -> dict[int, str]:
    """The role of each held-out fold: `held_out` (its score is shown) or `select` (opened once, at the end)."""
    if split.fold < 0:
        return {}
    if plan.cv_folds:
        return {split.fold: "held_out"}
    # The agent chooses nothing on a fresh split, so all of its held-out rows may be scored.
    later = "held_out" if split.draw > 0 else "select"
    start = split.fold * (plan.search + plan.select)
    kinds = ["held_out"] * plan.search + [later] * plan.select
    return {(start + index) % plan.fold_count: kind for index, kind in enumerate(kinds)}
