"""Which labelled rows a blend holds out: a seeded deal into parts that is the same on every machine."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

FEWEST_LABELLED = 40
FEWEST, FOLDS, FEWEST_FOLDS = 50, 5, 3
FOLD_ROWS = 20_000
"""Up to so many labelled rows may be dealt into folds; above, one fixed part is nearly as good (measured)."""
SINGLE_PARTS, MOST = 10, 100_000
CLASSES = 20
MANY = 200_000
"""From so many rows on, arrays do what lists would do too slowly; the outcome is the same."""
AHEAD = 2
"""By so many rows part 0 may be ahead of another when rare classes begin with it."""
LOPSIDED = 0.5
"""By what share of the latest rows one of their two parts may be larger than the other."""
ADVICE = "leave `labels` out of task.yaml, and scores are self-reported"

Parts = list[int | None]
"""The part of each row; None for a row that stays among the training rows whatever is held out."""


class TooFewRows(Exception):
    """Nothing sensible can be held out of these rows; the message says why."""


def order(count: int, seed: str) -> list[int]:
    """The numbers 0 to count-1 in a seeded random order."""
    # Sorting by random(): Python promises that its sequence never changes; of shuffle() and sample() it does not.
    draw = random.Random(seed)
    if count >= MANY:
        found: list[int] = _many(draw, count).tolist()
        return found
    keys = [draw.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def _many(draw: random.Random, count: int) -> Any:
    """The same order of many numbers, as an array: NumPy has the same generator, in the same state."""
    import numpy as np

    state = draw.getstate()[1]
    twister = np.random.RandomState()
    twister.set_state(("MT19937", np.array(state[:-1], dtype=np.uint32), state[-1], 0, 0.0))
    return np.argsort(twister.random_sample(count), kind="stable")


def choose_fold_count(labelled: int) -> int:
    """Into how many parts labelled rows are dealt: folds of at least 50 rows (at most 5 of them, at least 3) where
    rows are few, tenths of at most 100,000 rows where they are many. Raises `TooFewRows`."""
    if labelled < FEWEST_LABELLED:
        raise TooFewRows(f"there are {labelled} labelled rows, and at least {FEWEST_LABELLED} are needed; {ADVICE}")
    if labelled <= FOLD_ROWS:
        return max(FEWEST_FOLDS, min(FOLDS, labelled // FEWEST))
    return max(SINGLE_PARTS, math.ceil(labelled / MOST))


def assign_folds(labels: Sequence[str | None], parts: int, seed: str, stratify: bool) -> Parts:
    """Deal rows into equal parts; a row whose label is None, or the only one of its label where labels are strata,
    is in none.

    Few labels, or more where `stratify` asks for it, are strata: each keeps its share in every part.
    """
    if len(labels) >= MANY:
        return _deal_many(labels, parts, seed, stratify)
    labelled = [place for place, label in enumerate(labels) if label is not None]
    rank = {place: position for position, place in enumerate(order(len(labels), seed))}
    known = Counter(labels[place] for place in labelled)
    if len(known) > CLASSES and not (stratify and len(known) <= len(labelled) / 2):
        pool, counts = sorted(labelled, key=rank.__getitem__), [len(labelled)]
    else:
        # Dealing rows sorted by label one by one spreads each label over the parts, and no part gets all of one.
        pool = sorted(labelled, key=lambda place: (labels[place] or "", rank[place]))
        pool = [place for place in pool if known[labels[place]] > 1]
        counts = [known[label] for label in sorted(known, key=lambda label: label or "") if known[label] > 1]
    dealt: Parts = [None] * len(labels)
    for place, part in zip(pool, _turns(counts, parts), strict=True):
        dealt[place] = part
    return dealt


def _turns(counts: Sequence[int], parts: int) -> Iterator[int]:
    """The part of each row of a pool of strata with so many rows each: by turns, as even as can be.

    A stratum of fewer rows than parts begins with part 0, in which a run lives: it is the last to lack a rare class.
    """
    rare = sorted((count, at) for at, count in enumerate(counts) if count < parts)
    sizes, taken = [0] * parts, dict[int, list[int]]()
    for count, at in rare:
        others = sorted(range(parts), key=lambda part: (sizes[part], part))
        first = 0 if sizes[0] <= sizes[others[0]] + AHEAD else others[0]
        taken[at] = [first, *(part for part in others if part != first)][:count]
        for part in taken[at]:
            sizes[part] += 1
    turns = itertools.chain(
        (part for level in range(min(sizes), max(sizes)) for part in range(parts) if sizes[part] <= level),
        itertools.cycle(range(parts)),
    )
    # The largest stratum evens out what the rare ones left uneven, and is in every part all the same.
    common = [at for at in range(len(counts)) if at not in taken]
    if rare and common:
        largest = max(common, key=counts.__getitem__)
        taken[largest] = list(itertools.islice(turns, counts[largest]))
    for at, count in enumerate(counts):
        yield from taken[at] if at in taken else itertools.islice(turns, count)


def _deal_many(labels: Sequence[str | None], parts: int, seed: str, stratify: bool) -> Parts:
    """The same of many rows, by arrays: fifty million rows would not fit into memory otherwise."""
    import numpy as np

    known = Counter(labels)
    known.pop(None, None)
    codes = {label: code for code, label in enumerate(sorted(label for label in known if label is not None))}
    code = np.fromiter((-1 if label is None else codes[label] for label in labels), np.int64, len(labels))
    pool = _many(random.Random(seed), len(labels))
    pool = pool[code[pool] >= 0]
    turns = np.arange(len(pool)) % parts
    if len(known) <= CLASSES or (stratify and len(known) <= len(pool) / 2):
        counts = np.bincount(code[pool], minlength=len(codes))
        pool = pool[np.argsort(code[pool], kind="stable")]
        pool = pool[counts[code[pool]] > 1]
        left = counts[counts > 1]
        is_even = not len(left) or left.min() >= parts
        turns = turns[: len(pool)] if is_even else np.fromiter(_turns(left.tolist(), parts), np.int64, len(pool))
    dealt = np.full(len(labels), -1, np.int64)
    dealt[pool] = turns
    return [None if part < 0 else part for part in dealt.tolist()]


def assign_group_folds(groups: Sequence[str], labels: Sequence[str | None], parts: int, seed: str) -> Parts:
    """Deal whole groups into parts of about the same number of rows; a group with a row that has no label stays.

    Fewer groups than parts make fewer parts. Raises `TooFewRows`.
    """
    members: dict[str, list[int]] = defaultdict(list)
    unlabelled = {groups[place] for place, label in enumerate(labels) if label is None}
    for place, group in enumerate(groups):
        if group not in unlabelled:
            members[group].append(place)
    names = sorted(members)
    parts = min(parts, len(names))
    sizes = [0] * parts
    dealt: Parts = [None] * len(labels)
    for number in sorted(order(len(names), seed), key=lambda at: -len(members[names[at]])):
        part = sizes.index(min(sizes))
        sizes[part] += len(members[names[number]])
        for place in members[names[number]]:
            dealt[place] = part
    total = sum(sizes)
    if parts < 2 or max(sizes) > 0.75 * total:
        raise TooFewRows(f"the groups are too few or too large to hold a part of the rows out whole; {ADVICE}")
    # Part 0 is what a run lives with: of the parts, the one nearest to its fair share.
    nearest = min(range(parts), key=lambda part: (abs(sizes[part] - total / parts), part))
    swap = {0: nearest, nearest: 0}
    return [None if part is None else swap.get(part, part) for part in dealt]


def assign_late_folds(
    moments: Sequence[float | None], labels: Sequence[str | None], parts: int, seed: str, earlier: bool = False
) -> Parts:
    """Hold the latest rows out, as a test set that lies in the future does: parts 0 and 1 are dealt from the last
    two shares of `parts` at random (rows of one moment together), every other row is in no part.

    `earlier`: half of that window and as much before it, another split that is nearly as late. A row without a moment
    stays: nobody knows whether it is late. Raises `TooFewRows`.
    """
    known = {
        place: at
        for place, (at, label) in enumerate(zip(moments, labels, strict=True))
        if at is not None and label is not None
    }
    ranked = sorted(known, key=lambda place: (known[place], place))
    wanted = max(1, round(2 * len(ranked) / parts))
    if len(ranked) < FEWEST_LABELLED:
        raise TooFewRows(
            f"{len(ranked)} labelled rows have a moment, and at least {FEWEST_LABELLED} are needed; {ADVICE}"
        )
    first = known[ranked[-wanted]]
    if earlier and (before := ranked[: -(wanted // 2) or None]):
        ranked = before
        first = known[ranked[-min(wanted, len(ranked))]]
    late = [place for place in ranked if known[place] >= first]
    if len(late) > 0.75 * len(ranked):
        raise TooFewRows(f"most rows are of one moment, so none are later than the others; {ADVICE}")
    distinct = sorted({known[place] for place in late})
    side = {distinct[at]: number % 2 for number, at in enumerate(order(len(distinct), seed))}
    dealt: Parts = [None] * len(labels)
    for place in late:
        dealt[place] = side[known[place]]
    if abs(sum(1 if dealt[place] else -1 for place in late)) > LOPSIDED * len(late):
        # Too few moments to be parted: a part of nearly no rows decides nothing, so rows of one moment are dealt apart.
        for number, at in enumerate(order(len(late), seed)):
            dealt[late[at]] = number % 2
    return dealt
