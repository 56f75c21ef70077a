"""Estimates whether the ledger helps: runs with and without it, and lessons shown and withheld.

One lesson alone would need thousands of runs of its scope, so no estimate is given for a single lesson. Paired runs of
the same tasks need 17 pairs in one family (80 % power after five runs of the family, measured in simulation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from context.ledger.ledger import Ledger

PAIRS_NEEDED = 17
LEVEL = 0.05
_PAIRS = """
select one.family, one.task, one.seed, one.model, one.lower_is_better, one.area as with_ledger, other.area as without
from run as one join run as other
  on other.task = one.task and other.seed = one.seed and other.model = one.model and other.used_ledger = 0
where one.used_ledger = 1 and one.area is not null and other.area is not null
  and one.rowid = (select max(rowid) from run as newest where newest.task = one.task and newest.seed = one.seed
    and newest.model = one.model and newest.used_ledger = 1 and newest.area is not null)
  and other.rowid = (select max(rowid) from run as newest where newest.task = one.task and newest.seed = one.seed
    and newest.model = one.model and newest.used_ledger = 0 and newest.area is not null)
order by one.family, one.task, one.seed, one.model
"""
_ARMS = """
select exposure.kind, count(*) as lessons,
  sum(exists (select 1 from evidence where evidence.run = exposure.run and evidence.action = lesson.action
    and evidence.outcome = 'gain')) as gains
from exposure join lesson on lesson.key = exposure.lesson
where lesson.polarity = 1 group by exposure.kind
"""


@dataclass(frozen=True)
class Paired:
    """Runs of one family with the ledger against runs of the same task, seed and model without it.

    `gain` is the mean difference of the score averaged over attempts, in units of the spread between runs of the
    task; above 0 the ledger helps. `p` is one-sided, None if there are fewer pairs than needed.
    """

    family: str
    pairs: int
    gain: float
    error: float
    p: float | None


@dataclass(frozen=True)
class Withheld:
    """In how many runs the action of a lesson brought a real gain, where it was shown and where it was withheld."""

    shown: int
    shown_gains: int
    withheld: int
    withheld_gains: int

    @property
    def difference(self) -> tuple[float, float]:
        """The difference of the two shares and its standard error, over all lessons."""
        one = _smoothed(self.shown_gains, self.shown)
        other = _smoothed(self.withheld_gains, self.withheld)
        return one[0] - other[0], sqrt(one[1] + other[1])


def paired(ledger: Ledger) -> list[Paired]:
    """The comparison of paired runs, per family."""
    differences: dict[str, list[float]] = {}
    for row in ledger.rows(_PAIRS):
        areas = [
            one["area"] for one in ledger.rows("select area from run where task = ? and area is not null", row["task"])
        ]
        spread = stdev(areas) if len(areas) > 1 else 0.0
        gain = (row["without"] - row["with_ledger"]) * (1 if row["lower_is_better"] else -1)
        differences.setdefault(row["family"], []).append(gain / spread if spread else 0.0)
    return [_test(family, found) for family, found in differences.items()]


def withheld(ledger: Ledger) -> Withheld:
    """The comparison of shown with withheld lessons, pooled over all of them."""
    arms = {row["kind"]: row for row in ledger.rows(_ARMS)}
    counts = [
        (arms[kind]["lessons"], arms[kind]["gains"]) if kind in arms else (0, 0) for kind in ("shown", "withheld")
    ]
    return Withheld(*counts[0], *counts[1])


def _test(family: str, differences: Sequence[float]) -> Paired:
    count = len(differences)
    error = stdev(differences) / sqrt(count) if count > 1 else 0.0
    p = None
    if count >= PAIRS_NEEDED:
        from scipy.stats import t

        p = float(t.sf(fmean(differences) / error, count - 1)) if error else float(fmean(differences) <= 0)
    return Paired(family, count, fmean(differences), error, p)


def _smoothed(gains: int, count: int) -> tuple[float, float]:
    """A share and the variance of its estimate."""
    share = (gains + 1) / (count + 2)
    return share, share * (1 - share) / (count + 2)
