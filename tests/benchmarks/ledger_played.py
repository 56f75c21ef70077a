"""The real ledger in the simulated world: one SQLite database per sequence, driven through its own interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from context.ledger.exchange import Exchanged, import_lessons
from context.ledger.ledger import Ledger
from context.ledger.types import AVOID, DO, Evidence, Named, RunRecord, lesson_key
from tests.benchmarks.ledger_world import ACTIONS, FAMILIES, METRICS, Array, Outcomes, World

TRUE, DUD, HARMFUL, AVOIDS_GOOD = 1, 2, 3, 4
"""Kinds of planted lessons; the last three are false."""
NAMES = [f"action.{number}" for number in range(ACTIONS)]


def modality_name(family: int) -> str:
    return "abcdef"[family // METRICS]


def family_name(family: int) -> str:
    return f"{modality_name(family)}/{family % METRICS}"


class Real:
    """The lessons of the real ledger."""

    def __init__(self, world: World, folder: Path | None = None, remembers: bool = True) -> None:
        """`folder` keeps the databases as files; without it they are in memory."""
        self.world, self.remembers = world, remembers
        self.ledgers = [
            Ledger(folder / f"{number}.sqlite") if folder else Ledger.in_memory() for number in range(world.sequences)
        ]
        shape = (world.sequences, FAMILIES, ACTIONS)
        self.planted = np.zeros(shape, int)
        self.exposures, self.gone_after = np.zeros(shape, int), np.full(shape, -1)
        self._shown: dict[int, tuple[tuple[str, ...], tuple[str, ...], Array, Array]] = {}

    def plant(self, lessons: int, false_share: float) -> None:
        """Give every family a starting pack; of its false lessons a half are duds, a quarter harmful, and a quarter
        say to avoid a good action."""
        random = np.random.default_rng((self.world.seed, 5))
        for sequence, ledger in enumerate(self.ledgers):
            lines = []
            for family in range(FAMILIES):
                order = np.argsort(-self.world.known[sequence, family])
                good, bad, middle = order[:12], order[-12:], order[18:-14]
                for _ in range(lessons):
                    kind = TRUE
                    if random.random() < false_share:
                        kind = int(random.choice([DUD, DUD, HARMFUL, AVOIDS_GOOD]))
                    pool = {TRUE: good, DUD: middle, HARMFUL: bad, AVOIDS_GOOD: good[:6]}[kind]
                    action = int(random.choice(pool))
                    if not self.planted[sequence, family, action]:
                        self.planted[sequence, family, action] = kind
                        lines.append(_line(family, action, kind))
            imported = import_lessons(ledger, enumerate(lines, 1), "pack", kind="pack")
            assert not imported.refused, imported.refused

    def choose(self, sequence: int, run: int, family: int) -> tuple[Array, Array]:
        ledger = self.ledgers[sequence]
        name = f"{self.world.seed}-{sequence}-{run}"
        found = ledger.select(name, modality_name(family), family_name(family))
        do, avoid = np.zeros(ACTIONS, bool), np.zeros(ACTIONS, bool)
        for choice in found.shown:
            (do if choice.lesson.polarity == DO else avoid)[NAMES.index(choice.lesson.action)] = True
        keys = tuple(choice.lesson.key for choice in found.shown)
        held = tuple(choice.lesson.key for choice in found.withheld)
        self._shown[sequence] = keys, held, do, avoid
        return do, avoid

    def learn(self, sequence: int, run: int, family: int, outcomes: Outcomes) -> None:
        shown, withheld, do, avoid = self._shown[sequence]
        evidence = []
        for action in np.flatnonzero(outcomes.tried):
            fails = outcomes.worse[action] or outcomes.failed[action]
            outcome = "gain" if outcomes.real[action] else "against" if fails else "dry"
            evidence.append(Evidence(NAMES[action], outcome))
        record = RunRecord(
            id=f"{self.world.seed}-{sequence}-{run}",
            task=f"task{run}",
            modality=modality_name(family),
            family=family_name(family),
            evidence=tuple(evidence),
            actions=tuple(Named(NAMES[action], NAMES[action]) for action in np.flatnonzero(outcomes.tried)),
            shown=shown if self.remembers else (),
            withheld=withheld if self.remembers else (),
        )
        self.ledgers[sequence].record(record)
        if self.planted.any():
            self._follow_plants(sequence, family, do | avoid)

    def _follow_plants(self, sequence: int, family: int, shown: Array) -> None:
        self.exposures[sequence, family] += shown
        for action in np.flatnonzero(self.planted[sequence, family] > TRUE):
            if self.gone_after[sequence, family, action] < 0 and self.is_gone(sequence, family, int(action)):
                self.gone_after[sequence, family, action] = self.exposures[sequence, family, action]

    def is_gone(self, sequence: int, family: int, action: int) -> bool:
        """Whether a planted lesson is in quarantine in its family now, or retired."""
        records = self.ledgers[sequence].records(modality_name(family), family_name(family))
        polarity = AVOID if self.planted[sequence, family, action] == AVOIDS_GOOD else DO
        key = lesson_key(NAMES[action], polarity, modality_name(family))
        return next((one.record.is_quarantined for one in records if one.lesson.key == key), True)

    def close(self) -> None:
        for ledger in self.ledgers:
            ledger.close()


def _line(family: int, action: int, kind: int) -> Exchanged:
    return Exchanged(
        action=NAMES[action],
        polarity="avoid" if kind == AVOIDS_GOOD else "do",
        modality=modality_name(family),
        family=family_name(family),
        words=NAMES[action],
    )


def exposures_until_gone(gone_after: Array, exposures: Array) -> tuple[int, float]:
    """The median number of exposures until quarantine and the share within six (Kaplan-Meier: a lesson that is still
    shown at the end counts as long as it was seen)."""
    times = np.where(gone_after >= 0, gone_after, exposures)
    is_gone = gone_after >= 0
    alive, curve = 1.0, {}
    for count in range(int(times.max()) + 1 if len(times) else 0):
        at_risk = (times >= count).sum()
        alive *= 1 - (is_gone & (times == count)).sum() / max(at_risk, 1)
        curve[count] = alive
    median = next((count for count, share in curve.items() if share <= 0.5), 99)
    return median, 1 - curve.get(6, alive)
