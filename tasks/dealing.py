"""Which labelled rows a blend holds out, by the plan of a task's recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.moments import read_moments
from tasks.reading import Train
from tasks.recipe import Deal, Plan, plan_parts, roles
from tasks.splitting import Parts, deal_groups, deal_rows, deal_times

if TYPE_CHECKING:
    from tasks.spec import Labels, Task

CORE = 0.999
"""The share of rows, nearest to the median, whose spread is taken for the ordinary one."""


@dataclass(frozen=True)
class Held:
    """Rows that leave the train files: their numbers there, each with its role; and how they were dealt."""

    roles: dict[int, str]
    plan: Plan
    labelled: int
    notes: tuple[str, ...] = ()


def hold_out(task: Task, labels: Labels, train: Train, seed: int, deal: Deal) -> Held:
    """The rows that a deal holds out. Raises `splitting.TooFewRows`, TableError."""
    recipe = task.recipe
    draw = f"{seed}:fresh {deal.draw}" if deal.draw else f"{seed}:held out"
    strata, notes = train.labels, tuple[str, ...]()
    if recipe.keeps_tails:
        strata, notes = _without_tails(train, _largest_part(recipe.search, recipe.folds, len(train.labels)))
    counted = _units(train) if recipe.unit and not labels.group else strata
    labelled = sum(label is not None for label in counted)
    plan = plan_parts(recipe, labelled)
    if recipe.time:
        moments = read_moments(train.moments, recipe.time)
        dealt = deal_times(moments, strata, plan.parts, draw)
        if unknown := moments.count(None):
            notes = (
                *notes,
                f"{unknown} rows have no {recipe.time}: they stay training rows, for they may be early or late",
            )
    elif labels.group:
        dealt = deal_groups(train.groups, strata, plan.parts, draw)
        most = 1 + max(part for part in dealt if part is not None)
        plan = replace(plan, parts=most, folds=min(plan.folds, most))
    else:
        dealt = deal_rows(counted, plan.parts, draw, labels.stratify)
        if recipe.unit:
            dealt = _spread(train, dealt)
    wanted = roles(plan, deal)
    taken = {at: wanted[part] for at, part in enumerate(dealt) if part in wanted}
    return Held(taken, plan, labelled, notes)


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
