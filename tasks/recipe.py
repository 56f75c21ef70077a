"""The recipe of a blend: how labelled rows become rows to predict, as the `blend:` part of a task.yaml says it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil
from pathlib import Path

from tasks.splitting import FOLD_ROWS, SINGLE_PARTS, how_many_parts


@dataclass(frozen=True)
class Recipe:
    """What the `blend:` part says. `is_written` is false where the task has none and everything is guessed.

    `test` is the table of the rows to predict. `onehot`: the label's classes are the sample's columns. `time` is the
    column whose latest rows are held out. `folds`, or `search` and `select` (shares, or rows where above 1) replace
    the guess by row count. `static` and `omit` are patterns of files that are shown as they are, and never.
    """

    is_written: bool = False
    test: Path | None = None
    onehot: bool | None = None
    time: str | None = None
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
class Deal:
    """Which blend of a task and a seed: part `part` of the `draw`-th deal is held out. `part` -1 holds nothing out.

    Draw 0 is the run's own, later ones are fresh.
    """

    draw: int = 0
    part: int = 0

    @property
    def name(self) -> str:
        """The deal in a few letters, unique among the deals of one seed: empty for the blend the agent lives in."""
        if self.part < 0:
            return "refit"
        return (f"fresh{self.draw}-" if self.draw else "") + (f"fold{self.part}" if self.draw or self.part else "")


@dataclass(frozen=True)
class Plan:
    """How many parts the labelled rows are dealt into, and which a blend holds out.

    `folds` is 0 where there is one blend only. `search` and `select` count the parts that blend holds out as such.
    """

    parts: int
    folds: int
    search: int
    select: int


def plan_parts(recipe: Recipe, labelled: int) -> Plan:
    """The plan that row count and recipe make together. Raises `splitting.TooFewRows`."""
    parts = how_many_parts(labelled)
    if recipe.folds:
        return Plan(recipe.folds, recipe.folds, 1, 0)
    if recipe.search:
        shares = [share / labelled if share > 1 else share for share in (recipe.search, recipe.select or 0.0)]
        parts = max(100, ceil(1 / min(share for share in shares if share)))
        return Plan(parts, 0, max(1, round(shares[0] * parts)), round(shares[1] * parts))
    if recipe.time:
        return Plan(SINGLE_PARTS, 0, 2, 0) if labelled <= FOLD_ROWS else Plan(SINGLE_PARTS, 0, 1, 1)
    return Plan(parts, parts, 1, 0) if labelled <= FOLD_ROWS else Plan(parts, 0, 1, 1)


def roles(plan: Plan, deal: Deal) -> dict[int, str]:
    """What each held-out part is for: `held_out` (its score is told) or `select` (opened once, at the end)."""
    if deal.part < 0:
        return {}
    if plan.folds:
        return {deal.part: "held_out"}
    fresh = deal.draw > 0  # nothing is chosen on a fresh blend by the agent, so all of it may be looked at
    start = deal.part * (plan.search + plan.select)
    held = {(start + at) % plan.parts: "held_out" for at in range(plan.search)}
    return held | {
        (start + at) % plan.parts: "held_out" if fresh else "select"
        for at in range(plan.search, plan.search + plan.select)
    }
