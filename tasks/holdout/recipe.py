"""How a task's labelled rows become rows to predict: the `blend:` section of a task.yaml as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil
from typing import Literal

from tasks.holdout.splitters import CV_ROWS, SINGLE_SPLIT_FOLDS, choose_fold_count

MAX_SHARE = 0.2
"""The largest share of the labelled rows that a number of rows may be: a number for large data must fit small data."""


@dataclass(frozen=True)
class Answer:
    """How a label becomes cells of a submission.

    `same`: columns of the same name. `onehot`: the sample's columns are the classes. `map`: cells given by `values`.
    `set`: a list of members of `count`, one row each (`{k}` in the id). `pixels`: the grey values of the image named by
    `image`, one row each (`{row}` and `{col}` in the id, from 1).
    """

    kind: Literal["same", "onehot", "map", "set", "pixels"] = "same"
    values: tuple[tuple[str, str], ...] = ()
    count: int = 0
    image: str = ""


@dataclass(frozen=True)
class Renumber:
    """New values for a field of every row to predict, if the old ones would reveal which rows are held out.

    `form` contains `{i}`, counted from `start`. `order` is a template by which rows are sorted before they are counted
    (and shown); empty means random order.
    """

    field: str
    form: str
    start: int = 0
    order: str = ""


@dataclass(frozen=True)
class Mark:
    """A table in which rows to predict are marked: rows are found by the column `key` and get the cells `cells`."""

    key: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Recipe:
    """The `blend:` section. `is_written` is false if the task has none and everything is inferred.

    `test`: the tables of rows to predict, as written. `answer`: None if it is inferred. `files`: pairs of path
    patterns, a row's file among the training files and among those to predict. `side`: tables that lose the rows of
    held-out rows (file, column). `also_mark`: tables in which held-out rows are marked. `mark`: the word for an unknown
    label in the labels file itself. `fill`: columns of the sample filled from a row's own fields. `unit`: the column
    that identifies rows which move together. `time`: the column whose latest rows are held out. `keeps_tails`: rows so
    extreme that one would outweigh all others stay training rows. `folds`, or `search` and `select` (shares; above 1,
    row counts), replace the plan inferred from the row count. `static` and `omit`: patterns of files that are shown
    unchanged, and never shown.
    """

    is_written: bool = False
    test: tuple[str, ...] = ()
    answer: Answer | None = None
    files: tuple[tuple[str, str], ...] = ()
    side: tuple[tuple[str, str], ...] = ()
    also_mark: tuple[tuple[str, Mark], ...] = ()
    mark: str = ""
    fill: tuple[tuple[str, str], ...] = ()
    renumber: Renumber | None = None
    unit: str | None = None
    time: str | None = None
    keeps_tails: bool = False
    folds: int | None = None
    search: float | None = None
    select: float | None = None
    static: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()

    def is_static(self, name: str) -> bool:
        """Whether `static:` declares that this public file contains no label."""
        return any(fnmatchcase(name, pattern) for pattern in self.static)

    def is_omitted(self, name: str) -> bool:
        """Whether `omit:` declares that this public file is never shown."""
        return any(fnmatchcase(name, pattern) for pattern in self.omit)


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


def roles(plan: Plan, split: Split) -> dict[int, str]:
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
