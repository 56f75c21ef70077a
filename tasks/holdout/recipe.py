"""The recipe of a blend: how labelled rows become rows to predict, as the `blend:` part of a task.yaml says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil
from typing import Literal

from tasks.holdout.splitters import FOLD_ROWS, SINGLE_PARTS, choose_fold_count

LARGEST = 0.2
"""The largest share that a number of rows may come to: one meant for large data leaves something of small data."""


@dataclass(frozen=True)
class Answer:
    """How a label becomes cells of a submission.

    `same`: columns of the same name. `onehot`: the sample's columns are the classes. `map`: cells by `values`. `set`: a
    list of members of `count`, a row each (`{k}` in the id). `pixels`: the grey values of the image that `image` names,
    a row each (`{row}` and `{col}` in the id, from 1 on).
    """

    kind: Literal["same", "onehot", "map", "set", "pixels"] = "same"
    values: tuple[tuple[str, str], ...] = ()
    count: int = 0
    image: str = ""


@dataclass(frozen=True)
class Renumber:
    """New values of a field of every row to predict, `form` with `{i}` counted from `start`, for old ones would tell.

    `order` is a template by which rows are counted (and shown); empty: at random.
    """

    field: str
    form: str
    start: int = 0
    order: str = ""


@dataclass(frozen=True)
class Mark:
    """A table in which the rows to predict are marked: found by the column `key`, they get the cells of `cells`."""

    key: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Recipe:
    """What the `blend:` part says. `is_written` is false where the task has none and everything is guessed.

    `test` is where the rows to predict stand, as written. `answer` None is a guess. `files` are pairs of names: where a
    row's file lies among the training files, and where among those to predict. `side` are tables that lose the rows of
    what is held out (by a column), `also_mark` those that mark it, `mark` the word for an unknown label in the labels
    file itself. `fill` are columns of the sample filled from a row's own fields. `unit` is the column of what moves
    whole. `time` is the column whose latest rows are held out; `keeps_tails`: rows so far out that one would outweigh
    all others stay training rows. `folds`, or `search` and `select` (shares, or rows where above 1) replace the guess
    by row count. `static` and `omit` are patterns of files that are shown as they are, and never.
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
        """Whether a line says that this file of public carries no label."""
        return any(fnmatchcase(name, pattern) for pattern in self.static)

    def is_omitted(self, name: str) -> bool:
        """Whether a line says that this file of public is never shown."""
        return any(fnmatchcase(name, pattern) for pattern in self.omit)


@dataclass(frozen=True)
class Split:
    """Which blend of a task and a seed: part `part` of the `draw`-th deal is held out. `part` -1 holds nothing out.

    Draw 0 is the run's own, later ones are fresh.
    """

    draw: int = 0
    fold: int = 0

    @property
    def name(self) -> str:
        """The deal in a few letters, unique among the deals of one seed: empty for the blend the agent lives in."""
        if self.fold < 0:
            return "refit"
        return (f"fresh{self.draw}-" if self.draw else "") + (f"fold{self.fold}" if self.draw or self.fold else "")


@dataclass(frozen=True)
class Plan:
    """How many parts the labelled rows are dealt into, and which a blend holds out.

    `folds` is 0 where there is one blend only. `search` and `select` count the parts that blend holds out as such.
    """

    parts: int
    folds: int
    search: int
    select: int


def plan_folds(recipe: Recipe, labelled: int) -> Plan:
    """The plan that row count and recipe make together. Raises `splitting.TooFewRows`."""
    parts = choose_fold_count(labelled)
    if recipe.folds:
        return Plan(recipe.folds, recipe.folds, 1, 0)
    if recipe.search:
        asked = (recipe.search, recipe.select or 0.0)
        shares = [min(LARGEST, share / labelled) if share > 1 else share for share in asked]
        parts = _fitting(shares)
        return Plan(parts, 0, max(1, round(shares[0] * parts)), round(shares[1] * parts))
    if recipe.time:
        return Plan(SINGLE_PARTS, 0, 2, 0) if labelled <= FOLD_ROWS else Plan(SINGLE_PARTS, 0, 1, 1)
    return Plan(parts, parts, 1, 0) if labelled <= FOLD_ROWS else Plan(parts, 0, 1, 1)


def _fitting(shares: Sequence[float]) -> int:
    """The fewest parts of which the shares are whole numbers, nearly: the fewer, the better strata are spread."""
    fewest = ceil(1 / min(share for share in shares if share))
    for parts in range(fewest, 100):
        if all(abs(share * parts - round(share * parts)) < 0.02 * share * parts for share in shares if share):
            return parts
    return max(100, fewest)


def roles(plan: Plan, split: Split) -> dict[int, str]:
    """What each held-out part is for: `held_out` (its score is told) or `select` (opened once, at the end)."""
    if split.fold < 0:
        return {}
    if plan.folds:
        return {split.fold: "held_out"}
    fresh = split.draw > 0  # nothing is chosen on a fresh blend by the agent, so all of it may be looked at
    start = split.fold * (plan.search + plan.select)
    held = {(start + at) % plan.parts: "held_out" for at in range(plan.search)}
    return held | {
        (start + at) % plan.parts: "held_out" if fresh else "select"
        for at in range(plan.search, plan.search + plan.select)
    }
