"""Which labelled rows a run holds out: a seeded draw that is the same on every machine."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

SHARE = 0.2
FEWEST, MOST = 50, 100_000
FEWEST_LABELLED = 40
CLASSES = 20
ADVICE = "leave `labels` out of task.yaml, and scores are self-reported"


class TooFewRows(Exception):
    """Nothing sensible can be held out of these rows; the message says why."""


def order(count: int, seed: str) -> list[int]:
    """The numbers 0 to count-1 in a seeded random order."""
    # Sorting by random(): Python promises that its sequence never changes; of shuffle() and sample() it does not.
    draw = random.Random(seed)
    keys = [draw.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def how_many(labelled: int) -> int:
    """How many of the labelled rows to hold out: a fifth, but at least 50 (or a third of them), at most 100,000."""
    return min(MOST, max(round(SHARE * labelled), min(FEWEST, labelled // 3)))


def draw_rows(labels: Sequence[str | None], seed: str, stratify: bool) -> set[int]:
    """Positions of the rows to hold out; a row whose label is None is never taken.

    Few labels, or more where `stratify` asks for it, are strata: each keeps its share, and one row of each stays.
    Raises `TooFewRows`.
    """
    labelled = [place for place, label in enumerate(labels) if label is not None]
    wanted = _enough(len(labelled))
    rank = {place: position for position, place in enumerate(order(len(labels), seed))}
    known = {labels[place] for place in labelled}
    if len(known) > CLASSES and not (stratify and len(known) <= len(labelled) / 2):
        return set(sorted(labelled, key=rank.__getitem__)[:wanted])
    # Every k-th of the rows sorted by label is a systematic sample: each label keeps its share.
    pool = sorted(labelled, key=lambda place: (labels[place] or "", rank[place]))
    pool = [place for before, place in pairwise(pool) if labels[before] == labels[place]]
    start, step = random.Random(seed + ":start").random(), len(pool) / wanted
    return {pool[min(len(pool) - 1, int((number + start) * step))] for number in range(wanted)}


def draw_groups(groups: Sequence[str], labels: Sequence[str | None], seed: str) -> set[int]:
    """Positions of the rows to hold out so that each group stays whole. Raises `TooFewRows`."""
    members: dict[str, list[int]] = defaultdict(list)
    unlabelled = {groups[place] for place, label in enumerate(labels) if label is None}
    for place, group in enumerate(groups):
        if group not in unlabelled:
            members[group].append(place)
    names = sorted(members)
    wanted = _enough(sum(map(len, members.values())))
    taken: set[int] = set()
    for number in order(len(names), seed):
        rows = members[names[number]]
        if len(taken) < wanted and len(taken) + len(rows) <= 1.5 * wanted:
            taken.update(rows)
    if len(taken) < wanted / 2:
        raise TooFewRows(f"the groups are too few or too large to hold a fifth of the rows out whole; {ADVICE}")
    return taken


def _enough(labelled: int) -> int:
    if labelled < FEWEST_LABELLED:
        raise TooFewRows(f"there are {labelled} labelled rows, and at least {FEWEST_LABELLED} are needed; {ADVICE}")
    return how_many(labelled)
