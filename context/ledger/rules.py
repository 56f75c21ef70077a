"""The rules of the ledger: when a lesson exists, how it is ranked, when it is in quarantine, and what a run is shown.

They were chosen in a simulation (`tests/benchmarks/ledger.py` drives the real ledger with it). A lesson is shown after
one real gain, only inside its modality. Rules that did worse: waiting for promotion (9 % of what an oracle gains
instead of 54 %), showing lessons of other modalities, showing all of them.

    exists       do: one run of the modality with a real gain; avoid: two that failed, and more than gained
    rate         share of runs with a real gain: the family's, drawn to the modality's, drawn to all
    points       of a family: 4 for each gain after the first, -1 for each other run; do is in quarantine at -5
    quarantine   avoid is in quarantine once gains are more than half as many as failures. Computed anew each time
    imports      and shipped packs count as one run with a gain (a failure for avoid), whatever they claim

`candidates.sql` computes them for all lessons at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from context.ledger.types import Choice, Record, Selection, Slot

SHRINKAGE = 2.0
"""Runs that the next wider group counts for."""
GAIN_POINTS = 4
QUARANTINE_POINTS = -5
AVOID_AGAINST = 2
"""Runs in which an action must have failed before a lesson says to avoid it."""
WITHHELD_SHARE = 0.1
MOST_TASK, MOST_DO, MOST_AVOID, MOST_PROCESS, MOST_LESSONS, MOST_TOKENS = 2, 9, 2, 3, 12, 1_500
MOST_MORE = 40
"""Lessons beyond those shown, which `recall` finds."""
UNUSED_RUNS = 20
"""Runs that were shown a lesson and did not use it, after which it is retired."""
PROMOTED_GAINS = 3

PARAMETERS = {
    "shrinkage": SHRINKAGE,
    "gain_points": GAIN_POINTS,
    "quarantine_points": QUARANTINE_POINTS,
    "avoid_against": AVOID_AGAINST,
}


def is_promoted(record: Record) -> bool:
    """A label for readers; it opens nothing: three real gains, and more likely than not to bring one."""
    return record.gains >= PROMOTED_GAINS and interval(record.gains, record.tried)[0] > 0.5


@lru_cache(maxsize=4096)
def interval(gains: int, tried: int) -> tuple[float, float]:
    """The 90 % Beta interval of a share: an association, not the effect of showing the lesson."""
    from scipy.special import betaincinv

    failures = max(tried - gains, 0)
    return float(betaincinv(1 + gains, 1 + failures, 0.05)), float(betaincinv(1 + gains, 1 + failures, 0.95))


def chance(*parts: str) -> float:
    """A number in [0, 1) that depends on nothing but the texts, so that equal questions have equal answers."""
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def record_in_task(polarity: int, gains: int, against: int, tried: int) -> Record:
    """The record of an action in the runs of one task, by the same rules."""
    dry = tried - gains - against
    points = GAIN_POINTS * max(gains - 1, 0) - against - dry
    is_quarantined = polarity > 0 and points <= QUARANTINE_POINTS
    fails = against >= AVOID_AGAINST and against > gains
    return Record(
        gains=gains,
        against=against,
        tried=tried,
        own_gains=gains,
        own_against=against,
        own_dry=dry,
        rate=gains / tried if tried else 0.0,
        points=points,
        is_quarantined=is_quarantined,
        is_eligible=gains >= 1 and not is_quarantined if polarity > 0 else fails,
    )


def choose(
    ranked: dict[Slot, list[Choice]],
    run: str,
    base_rate: float,
    runs: int,
    fits: Callable[[Sequence[Choice]], bool] = lambda choices: True,
    withheld_share: float = WITHHELD_SHARE,
) -> Selection:
    """The lessons of a run, from candidates that are ranked within the slot they compete for.

    Two of this very task, the best by record (nine with those), two to avoid, one by chance among the rest, and lessons
    about the process where room is left. Each that would be shown is withheld with a chance of a tenth. `fits` says
    whether a list is short enough.
    """
    picked = _Picked(run, fits, withheld_share)
    for slot, most in _MOST.items():
        picked.take(slot, ranked.get(slot, []), most - (len(picked.shown) if slot == "do" else 0))
    known = {choice.lesson.key for choice in (*picked.shown, *picked.withheld)}
    more = [choice for choice in ranked.get("do", []) if choice.lesson.key not in known][:MOST_MORE]
    return Selection(picked.shown, picked.withheld, more, base_rate, runs)


_MOST: dict[Slot, int] = {"task": MOST_TASK, "do": MOST_DO, "avoid": MOST_AVOID, "explore": 1, "process": MOST_PROCESS}


class _Picked:
    """What is shown and withheld so far."""

    def __init__(self, run: str, fits: Callable[[Sequence[Choice]], bool], withheld_share: float) -> None:
        self.run, self.fits, self.withheld_share = run, fits, withheld_share
        self.shown: list[Choice] = []
        self.withheld: list[Choice] = []
        self._actions: set[str] = set()

    def take(self, slot: Slot, choices: Sequence[Choice], most: int) -> None:
        count = 0
        for choice in choices:
            # Two lessons about one action would contradict or repeat each other.
            if count == most or len(self.shown) == MOST_LESSONS or choice.lesson.action in self._actions:
                continue
            self._actions.add(choice.lesson.action)
            if slot != "explore" and chance(self.run, "withhold", choice.lesson.key) < self.withheld_share:
                self.withheld.append(choice)
            elif self.fits([*self.shown, choice]):
                self.shown.append(replace(choice, slot=slot))
                count += 1
