"""Which labelled rows a blend holds out, by the plan of a task's recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.holdout import class_coverage
from tasks.holdout.load_inputs import Train
from tasks.holdout.recipe import Plan, Split, plan_folds, roles
from tasks.holdout.splitters import Parts, assign_folds, assign_group_folds, assign_late_folds
from tasks.io.timestamps import parse_timestamps

if TYPE_CHECKING:
    from tasks.task import Labels, Task

CORE = 0.999
"""The share of rows, nearest to the median, whose spread is taken for the ordinary one."""


@dataclass(frozen=True)
class Held:
    """Rows that leave the train files: their numbers there, each with its role; and how they were dealt."""

    roles: dict[int, str]
    plan: Plan
    labelled: int
    notes: tuple[str, ...] = ()


def choose_held_out(task: Task, labels: Labels, train: Train, seed: int, split: Split) -> Held:
    """The rows that a deal holds out. Raises `splitting.TooFewRows`, TableError."""
    recipe = task.recipe
    first = f"{seed}:held out"
    draw = f"{seed}:fresh {split.draw}" if split.draw else first
    strata, notes = train.labels, tuple[str, ...]()
    if recipe.keeps_tails:
        strata, notes = _without_tails(train, _largest_part(recipe.search, recipe.folds, len(train.labels)))
    counted = _units(train) if recipe.unit and not labels.group else strata
    labelled = sum(label is not None for label in counted)
    plan = plan_folds(recipe, labelled)
    if recipe.time:
        moments = parse_timestamps(train.moments, recipe.time)
        dealt = assign_late_folds(moments, strata, plan.parts, draw, earlier=split.draw > 0)
        if unknown := moments.count(None):
            says = f"{unknown} rows have no {recipe.time}: they stay training rows, for they may be early or late"
            notes = (*notes, says)
    else:
        dealt, fewer = _deal(task, labels, train, _Pool(strata, counted, plan), (first, draw))
        if fewer.parts < plan.parts and not labels.group:
            notes = (*notes, f"{fewer.folds} folds and not {plan.folds}, so that each has rows of every label")
        plan = fewer
    wanted = roles(plan, split)
    taken = {at: wanted[part] for at, part in enumerate(dealt) if part in wanted}
    return Held(taken, plan, labelled, notes)


@dataclass(frozen=True)
class _Pool:
    """Rows to deal: the stratum of each row, that of each unit (of each row, if rows are units), and the plan."""

    strata: list[str | None]
    units: list[str | None]
    plan: Plan


def _deal(task: Task, labels: Labels, train: Train, pool: _Pool, draws: tuple[str, str]) -> tuple[Parts, Plan]:
    """The part of every row, and the plan that came of it. `draws` are that of the first deal, by which the number of
    parts is found (every deal of a run has the same), and that of this one."""
    first, draw = draws
    strata, plan = pool.strata, pool.plan

    def dealing(parts: int, seed: str) -> Parts:
        if labels.group:
            return assign_group_folds(train.groups, strata, parts, seed)
        found = assign_folds(pool.units, parts, seed, labels.stratify)
        return _spread(train, found) if task.recipe.unit else found

    class_coverage.refuse_one_label(task.metric, labels.targets, strata)
    needs_all = plan.folds > 0 and task.metric.needs_both_classes
    if needs_all:
        parts = class_coverage.max_fold_count(strata, plan.parts, lambda count: dealing(count, first))
        plan = replace(plan, parts=parts, folds=parts)
    dealt = dealing(plan.parts, draw)
    for again in range(class_coverage.REDRAWS if needs_all else 0):
        if class_coverage.smallest_class_count(strata, dealt):
            break
        dealt = dealing(plan.parts, f"{draw}:{again}")
    if labels.group:
        most = 1 + max(part for part in dealt if part is not None)
        plan = replace(plan, parts=most, folds=min(plan.folds, most))
    return dealt, plan


def _units(train: Train) -> list[str | None]:
    """The label of each unit, in the order in which they come first; None where one of its rows has none."""
    found: dict[str, str | None] = {}
    for unit, label in zip(train.units, train.labels, strict=True):
        found[unit] = None if label is None or found.get(unit, "") is None else ""
    return list(found.values())


def _spread(train: Train, dealt: Parts) -> Parts:
    """The part of every row, from those of the units."""
    part_of = dict(zip(dict.fromkeys(train.units), dealt, strict=True))
    return [part_of[unit] for unit in train.units]


def _largest_part(search: float | None, folds: int | None, count: int) -> int:
    if search:
        return round(search if search > 1 else search * count)
    return count // (folds or 10)


def _without_tails(train: Train, held: int) -> tuple[list[str | None], tuple[str, ...]]:
    """The labels without those of rows so far from the median that one, held out, would weigh more in a mean square
    than all the others: those rows stay among the training rows."""
    import numpy as np

    sizes = np.array(train.sizes)
    known = sizes[~np.isnan(sizes)]
    if not len(known):
        return train.labels, ()
    squares = (known - np.median(known)) ** 2
    last = max(0, int(CORE * len(squares)) - 1)
    bound = max(1, held) * np.partition(squares, last)[: last + 1].mean()
    far = np.flatnonzero((sizes - np.median(known)) ** 2 > bound)
    if not len(far):
        return train.labels, ()
    kept = list(train.labels)
    for at in far.tolist():
        kept[at] = None
    ends = f"{sizes[far].min():g} to {sizes[far].max():g}"
    return kept, (f"{len(far)} rows with far labels ({ends}) stay training rows: one would outweigh all others",)
