"""Assign labelled rows to folds: seeded, and the same on every machine and with every library version."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

MIN_LABELLED = 40
MIN_FOLD_ROWS, MAX_FOLDS, MIN_FOLDS = 50, 5, 3
CV_ROWS = 20_000
"""Up to this many labelled rows are divided into folds for cross-validation; above, one split is nearly as good."""
SINGLE_SPLIT_FOLDS, MAX_FOLD_ROWS = 10, 100_000
MAX_CLASSES = 20
ARRAY_ROWS = 200_000
"""From this many rows on, NumPy arrays are used; the result is the same."""
FOLD_0_LEAD = 2
"""How many rows fold 0 may have more than another fold when rare classes start with fold 0."""
MAX_IMBALANCE = 0.5
"""How much larger one of the two late folds may be than the other, as a share of the late rows."""
ADVICE = "to run without held-out rows (scores are then self-reported), remove `labels` from task.yaml"

Folds = list[int | None]
"""The fold of each row; None for a row that is always a training row."""


class TooFewRows(Exception):
    """These rows cannot be divided in a useful way; the message gives the reason."""


def shuffled_indices(count: int, seed: str) -> list[int]:
    """The numbers 0 to count-1 in a seeded random order."""
    # Sort by random(): Python guarantees its sequence for a seed, but not those of shuffle() and sample().
    generator = random.Random(seed)
    if count >= ARRAY_ROWS:
        shuffled: list[int] = _shuffled_array(generator, count).tolist()
        return shuffled
    keys = [generator.random() for _ in range(count)]
    return sorted(range(count), key=keys.__getitem__)


def _shuffled_array(generator: random.Random, count: int) -> Any:
    """The same order as an array: NumPy has the same generator and can take over its state."""
    import numpy as np

    state = generator.getstate()[1]
    twister = np.random.RandomState()
    twister.set_state(("MT19937", np.array(state[:-1], dtype=np.uint32), state[-1], 0, 0.0))
    return np.argsort(twister.random_sample(count), kind="stable")


def choose_fold_count(labelled: int) -> int:
    """Into how many folds labelled rows are divided.

    Up to `CV_ROWS` rows: 3 to 5 folds of at least 50 rows. Above: tenths of at most 100,000 rows. Raises `TooFewRows`.
    """
    if labelled < MIN_LABELLED:
        raise TooFewRows(f"there are {labelled} labelled rows, and at least {MIN_LABELLED} are needed; {ADVICE}")
    if labelled <= CV_ROWS:
        return max(MIN_FOLDS, min(MAX_FOLDS, labelled // MIN_FOLD_ROWS))
    return max(SINGLE_SPLIT_FOLDS, math.ceil(labelled / MAX_FOLD_ROWS))


def assign_folds(labels: Sequence[str | None], count: int, seed: str, stratify: bool) -> Folds:
    """Assign rows to folds of equal size. A row whose label is None, or unique among strata, gets no fold.

    Up to 20 different labels, or more if `stratify`, are strata: each has the same share in every fold.
    """
    if len(labels) >= ARRAY_ROWS:
        return _assign_folds_array(labels, count, seed, stratify)
    labelled = [row for row, label in enumerate(labels) if label is not None]
    rank = {row: position for position, row in enumerate(shuffled_indices(len(labels), seed))}
    label_counts = Counter(labels[row] for row in labelled)
    if len(label_counts) > MAX_CLASSES and not (stratify and len(label_counts) <= len(labelled) / 2):
        pool, counts = sorted(labelled, key=rank.__getitem__), [len(labelled)]
    else:
        # Assigning rows sorted by label one by one spreads each label over the folds; no fold gets all rows of one.
        pool = sorted(labelled, key=lambda row: (labels[row] or "", rank[row]))
        pool = [row for row in pool if label_counts[labels[row]] > 1]
        ordered = sorted(label_counts, key=lambda label: label or "")
        counts = [label_counts[label] for label in ordered if label_counts[label] > 1]
    folds: Folds = [None] * len(labels)
    for row, fold in zip(pool, _fold_sequence(counts, count), strict=True):
        folds[row] = fold
    return folds


def _fold_sequence(counts: Sequence[int], fold_count: int) -> Iterator[int]:
    """The fold of each row of a pool whose strata have these counts: round robin, with fold sizes as equal as possible.

    A run is scored on fold 0. So a stratum with fewer rows than folds starts with fold 0, which is then the last to
    lack a rare class.
    """
    rare = sorted((count, stratum) for stratum, count in enumerate(counts) if count < fold_count)
    sizes, assigned = [0] * fold_count, dict[int, list[int]]()
    for count, stratum in rare:
        others = sorted(range(fold_count), key=lambda fold: (sizes[fold], fold))
        first = 0 if sizes[0] <= sizes[others[0]] + FOLD_0_LEAD else others[0]
        assigned[stratum] = [first, *(fold for fold in others if fold != first)][:count]
        for fold in assigned[stratum]:
            sizes[fold] += 1
    folds = itertools.chain(
        (fold for level in range(min(sizes), max(sizes)) for fold in range(fold_count) if sizes[fold] <= level),
        itertools.cycle(range(fold_count)),
    )
    # The largest stratum evens out the sizes that the rare ones left unequal; it is in every fold anyway.
    common = [stratum for stratum in range(len(counts)) if stratum not in assigned]
    if rare and common:
        largest = max(common, key=counts.__getitem__)
        assigned[largest] = list(itertools.islice(folds, counts[largest]))
    for stratum, count in enumerate(counts):
        yield from assigned[stratum] if stratum in assigned else itertools.islice(folds, count)


def _assign_folds_array(labels: Sequence[str | None], count: int, seed: str, stratify: bool) -> Folds:
    """`assign_folds` for many rows: lists of fifty million rows would not fit into memory."""
    import numpy as np

    label_counts = Counter(labels)
    label_counts.pop(None, None)
    codes = {label: code for code, label in enumerate(sorted(label for label in label_counts if label is not None))}
    code = np.fromiter((-1 if label is None else codes[label] for label in labels), np.int64, len(labels))
    pool = _shuffled_array(random.Random(seed), len(labels))
    pool = pool[code[pool] >= 0]
    sequence = np.arange(len(pool)) % count
    if len(label_counts) <= MAX_CLASSES or (stratify and len(label_counts) <= len(pool) / 2):
        counts = np.bincount(code[pool], minlength=len(codes))
        pool = pool[np.argsort(code[pool], kind="stable")]
        pool = pool[counts[code[pool]] > 1]
        strata = counts[counts > 1]
        none_rare = not len(strata) or strata.min() >= count
        sequence = (
            sequence[: len(pool)]
            if none_rare
            else np.fromiter(_fold_sequence(strata.tolist(), count), np.int64, len(pool))
        )
    folds = np.full(len(labels), -1, np.int64)
    folds[pool] = sequence
    return [None if fold < 0 else fold for fold in folds.tolist()]


def assign_group_folds(groups: Sequence[str], labels: Sequence[str | None], count: int, seed: str) -> Folds:
    """Assign whole groups to folds of about equal size; a group with an unlabelled row gets no fold.

    With fewer groups than folds there are fewer folds. Raises `TooFewRows`.
    """
    members: dict[str, list[int]] = defaultdict(list)
    unlabelled = {groups[row] for row, label in enumerate(labels) if label is None}
    for row, group in enumerate(groups):
        if group not in unlabelled:
            members[group].append(row)
    names = sorted(members)
    count = min(count, len(names))
    sizes = [0] * count
    folds: Folds = [None] * len(labels)
    for index in sorted(shuffled_indices(len(names), seed), key=lambda index: -len(members[names[index]])):
        fold = sizes.index(min(sizes))
        sizes[fold] += len(members[names[index]])
        for row in members[names[index]]:
            folds[row] = fold
    total = sum(sizes)
    if count < 2 or max(sizes) > 0.75 * total:
        raise TooFewRows(f"the groups are too few or too large to hold out whole groups; {ADVICE}")
    # A run is scored on fold 0: make it the fold nearest to its fair share.
    nearest = min(range(count), key=lambda fold: (abs(sizes[fold] - total / count), fold))
    swap = {0: nearest, nearest: 0}
    return [None if fold is None else swap.get(fold, fold) for fold in folds]


def assign_late_folds(
    times: Sequence[float | None], labels: Sequence[str | None], count: int, seed: str, earlier: bool = False
) -> Folds:
    """Assign the latest rows to folds 0 and 1, as a test set lies in the future; all other rows get no fold.

    The latest rows are two of `count` shares; rows of one time are in the same fold. `earlier` uses half of that
    window and as much before it, for another split that is nearly as late. A row without a time gets no fold, because
    it may be early or late. Raises `TooFewRows`.
    """
    labelled = {
        row: time
        for row, (time, label) in enumerate(zip(times, labels, strict=True))
        if time is not None and label is not None
    }
    if len(labelled) < MIN_LABELLED:
        raise TooFewRows(f"{len(labelled)} labelled rows have a time, and at least {MIN_LABELLED} are needed; {ADVICE}")
    late = _late_rows(labelled, count, earlier)
    distinct = sorted({labelled[row] for row in late})
    fold_of = {distinct[index]: position % 2 for position, index in enumerate(shuffled_indices(len(distinct), seed))}
    folds: Folds = [None] * len(labels)
    for row in late:
        folds[row] = fold_of[labelled[row]]
    if abs(sum(1 if folds[row] else -1 for row in late)) > MAX_IMBALANCE * len(late):
        # Too few distinct times: a tiny fold decides nothing, so rows of one time are divided too.
        for position, index in enumerate(shuffled_indices(len(late), seed)):
            folds[late[index]] = position % 2
    return folds


def _late_rows(times: dict[int, float], count: int, earlier: bool) -> list[int]:
    """The latest rows, two of `count` shares, from early to late. Raises `TooFewRows`."""
    ranked = sorted(times, key=lambda row: (times[row], row))
    window = max(1, round(2 * len(ranked) / count))
    start = times[ranked[-window]]
    if earlier and (before := ranked[: -(window // 2) or None]):
        ranked = before
        start = times[ranked[-min(window, len(ranked))]]
    late = [row for row in ranked if times[row] >= start]
    if len(late) > 0.75 * len(ranked):
        raise TooFewRows(f"most rows have the same time, so none are later than the others; {ADVICE}")
    return late
