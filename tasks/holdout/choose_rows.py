"""Choose which labelled rows a split holds out, as the task's recipe says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.holdout import class_coverage
from tasks.holdout.load_inputs import Train
from tasks.holdout.split import Plan, Split, fold_roles, plan_folds
from tasks.holdout.splitters import Folds, assign_folds, assign_group_folds, assign_late_folds
from tasks.io.timestamps import parse_timestamps

if TYPE_CHECKING:
    from tasks.task import Labels, Task

CORE_SHARE = 0.999
"""The share of rows, nearest to the median, whose spread is taken as the normal one."""


@dataclass(frozen=True)
class HeldOut:
    """The rows that leave the training files, by row number, each with its role; and the plan they follow."""

    roles: dict[int, str]
    plan: Plan
    labelled: int
    notes: tuple[str, ...] = ()


def choose_held_out(task: Task, labels: Labels, train: Train, seed: int, split: Split) -> HeldOut:
    """The rows that a split holds out. Raises `splitters.TooFewRows`, TableError."""
    recipe = task.recipe
    first_seed = f"{seed}:held out"
    fold_seed = f"{seed}:fresh {split.draw}" if split.draw else first_seed
    strata, notes = train.labels, tuple[str, ...]()
    if recipe.keeps_tails:
        strata, notes = _without_tails(train, _largest_fold(recipe.search, recipe.folds, len(train.labels)))
    counted = _units(train) if recipe.unit and not labels.group else strata
    labelled = sum(label is not None for label in counted)
    plan = plan_folds(recipe, labelled)
    if recipe.time:
        times = parse_timestamps(train.times, recipe.time)
        folds = assign_late_folds(times, strata, plan.fold_count, fold_seed, earlier=split.draw > 0)
        if unknown := times.count(None):
            note = f"{unknown} rows have no {recipe.time}: they stay training rows, because they may be early or late"
            notes = (*notes, note)
    else:
        folds, used = _assign(task, labels, train, _Pool(strata, counted, plan), (first_seed, fold_seed))
        if used.fold_count < plan.fold_count and not labels.group:
            notes = (*notes, f"{used.cv_folds} folds and not {plan.cv_folds}, so that each has rows of every label")
        plan = used
    role_of = fold_roles(plan, split)
    held_out = {row: role_of[fold] for row, fold in enumerate(folds) if fold in role_of}
    return HeldOut(held_out, plan, labelled, notes)


@dataclass(frozen=True)
class _Pool:
    """Rows to divide: the stratum of each row, that of each unit (of each row, if rows are units), and the plan."""

    strata: list[str | None]
    units: list[str | None]
    plan: Plan


def _assign(task: Task, labels: Labels, train: Train, pool: _Pool, seeds: tuple[str, str]) -> tuple[Folds, Plan]:
    """The fold of every row, and the plan that was possible.

    `seeds` are those of the run's first draw, which decides the number of folds for all draws, and of this draw.
    """
    first_seed, fold_seed = seeds
    strata, plan = pool.strata, pool.plan

    def assign(fold_count: int, seed: str) -> Folds:
        if labels.group:
            return assign_group_folds(train.groups, strata, fold_count, seed)
        folds = assign_folds(pool.units, fold_count, seed, labels.stratify)
        return _folds_of_rows(train, folds) if task.recipe.unit else folds

    class_coverage.refuse_one_label(task.metric, labels.targets, strata)
    needs_all = plan.cv_folds > 0 and task.metric.needs_both_classes
    if needs_all:
        fold_count = class_coverage.max_fold_count(strata, plan.fold_count, lambda count: assign(count, first_seed))
        plan = replace(plan, fold_count=fold_count, cv_folds=fold_count)
    folds = assign(plan.fold_count, fold_seed)
    for attempt in range(class_coverage.REDRAWS if needs_all else 0):
        if class_coverage.smallest_class_count(strata, folds):
            break
        folds = assign(plan.fold_count, f"{fold_seed}:{attempt}")
    if labels.group:
        made = 1 + max(fold for fold in folds if fold is not None)
        plan = replace(plan, fold_count=made, cv_folds=min(plan.cv_folds, made))
    return folds, plan


def _units(train: Train) -> list[str | None]:
    """The stratum of each unit, in the order of their first rows; None if one of its rows has no label."""
    strata: dict[str, str | None] = {}
    for unit, label in zip(train.units, train.labels, strict=True):
        strata[unit] = None if label is None or strata.get(unit, "") is None else ""
    return list(strata.values())


def _folds_of_rows(train: Train, unit_folds: Folds) -> Folds:
    """The fold of every row, from those of the units."""
    fold_of = dict(zip(dict.fromkeys(train.units), unit_folds, strict=True))
    return [fold_of[unit] for unit in train.units]


def _largest_fold(search: float | None, folds: int | None, count: int) -> int:
    if search:
        return round(search if search > 1 else search * count)
    return count // (folds or 10)


def _without_tails(train: Train, held_out: int) -> tuple[list[str | None], tuple[str, ...]]:
    """The labels, with None for rows so far from the median that one, held out, would outweigh all others in a mean
    square: those rows stay training rows."""
    import numpy as np

    sizes = np.array(train.sizes)
    known = sizes[~np.isnan(sizes)]
    if not len(known):
        return train.labels, ()
    squares = (known - np.median(known)) ** 2
    last = max(0, int(CORE_SHARE * len(squares)) - 1)
    bound = max(1, held_out) * np.partition(squares, last)[: last + 1].mean()
    far = np.flatnonzero((sizes - np.median(known)) ** 2 > bound)
    if not len(far):
        return train.labels, ()
    kept = list(train.labels)
    for row in far.tolist():
        kept[row] = None
    extremes = f"{sizes[far].min():g} to {sizes[far].max():g}"
    return kept, (f"{len(far)} rows with extreme labels ({extremes}) stay training rows: one would outweigh the rest",)
