"""What the ledger holds, as values: lessons, evidence, runs, and what was shown to a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Outcome = Literal["gain", "against", "dry"]
"""What an action brought in a run: a real gain at least once; else worse, failed or timed out; else neither."""
Origin = Literal["code", "model", "import", "pack", "person"]
Actor = Literal["code", "model", "person"]
ANY = "any"
"""The modality of lessons about the process, such as time-outs, which are shown everywhere."""
DO, AVOID = 1, -1
FACTS = frozenset(
    (
        *("classes", "two_classes", "many_classes", "rare_classes", "number", "long_tail"),
        *("thresholds", "ranks", "probabilities"),
        *("categories", "many_categories", "numbers", "dates", "missing", "groups"),
    )
)
"""What a lesson may ask of a task, its target, metric and tables: the names of `tasks/data_facts.py`."""


@dataclass(frozen=True)
class Evidence:
    """What one action brought in one run. `reason` says how: real, worse, failed, timeout, memory, invalid, unclear.

    `gain` and `noise` are those of the best attempt with the action, on held-out validation rows; a grade never gets
    here. `first_event` and `last_event` are the journal's numbers between which it happened.
    """

    action: str
    outcome: Outcome
    reason: str = ""
    attempt: int | None = None
    evaluation: str = ""
    commit_before: str = ""
    commit_after: str = ""
    first_event: int | None = None
    last_event: int | None = None
    gain: float | None = None
    noise: float | None = None
    is_process: bool = False
    """It is about the process, not about the task's modality."""


class Named(NamedTuple):
    """An action of a ledger's vocabulary. `needs`: facts without which it makes no sense, joined by spaces."""

    key: str
    words: str
    needs: str = ""


@dataclass(frozen=True)
class Proposal:
    """A lesson in the model's words, about an action of this run. `attempt` is where it was written.

    `source`: the two commits that it compares. Such a lesson may come before the first real gain of its action, and is
    shown after it.
    """

    action: str
    words: str
    attempt: int = 0
    polarity: int = DO
    source: str = ""


@dataclass(frozen=True)
class RunRecord:
    """What the ledger learns from one run. `area` is the best validation score so far, averaged over attempts."""

    id: str
    task: str
    modality: str
    family: str
    fingerprint: str = ""
    metric: str = ""
    seed: int = 0
    model: str = ""
    harness: str = ""
    snapshot: str = ""
    used_ledger: bool = False
    lower_is_better: bool = False
    attempts: int = 0
    area: float | None = None
    final: float | None = None
    at: str = ""
    evidence: tuple[Evidence, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    actions: tuple[Named, ...] = ()
    """Every action that it names."""
    shown: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A claim: in this modality, do (or avoid) an action. `state`: active, listed (not yet confirmed), retired.

    `needs`: facts of a task, joined by spaces, without which no run is shown it. `task`: the fingerprint of the only
    task whose runs are shown it; empty: all of the modality.
    """

    id: int
    key: str
    action: str
    polarity: int
    modality: str
    situation: str
    words: str
    reason: str
    origin: Origin
    source: str
    state: str
    created_at: str
    needs: str = ""
    task: str = ""

    @property
    def sentence(self) -> str:
        """The claim as one sentence."""
        return f"{'' if self.polarity > 0 else 'Avoid: '}{self.words}"


@dataclass(frozen=True)
class Record:
    """The results of a lesson's action: runs that tried it, and runs in which it brought a real gain or failed.

    `own_` counts only runs of the family that were played here. `rate` and `points`: see `rules.py`. `prior_` counts
    what imports and shipped packs vouch for.
    """

    all_gains: int = 0
    all_tried: int = 0
    gains: int = 0
    against: int = 0
    tried: int = 0
    family_gains: int = 0
    family_tried: int = 0
    own_gains: int = 0
    own_against: int = 0
    own_dry: int = 0
    prior_gains: int = 0
    prior_against: int = 0
    rate: float = 0.0
    points: int = 0
    is_quarantined: bool = False
    is_eligible: bool = False

    @property
    def played(self) -> tuple[int, int, int]:
        """Runs of the modality that tried the action, with a real gain, and failed: those that were really played."""
        gains, against = self.gains - self.prior_gains, self.against - self.prior_against
        return self.tried - self.prior_gains - self.prior_against, gains, against


Slot = Literal["task", "do", "avoid", "explore", "process"]


@dataclass(frozen=True)
class Choice:
    """A lesson with its record in a run's modality and family, and the slot it was chosen for."""

    lesson: Lesson
    record: Record
    slot: Slot = "do"


@dataclass(frozen=True)
class Selection:
    """The lessons of one run: what is shown, what is withheld by chance, and what only `recall` finds."""

    shown: Sequence[Choice] = ()
    withheld: Sequence[Choice] = ()
    more: Sequence[Choice] = ()
    base_rate: float = 0.0
    runs: int = 0
    """Runs that the ledger has learned from."""


@dataclass(frozen=True)
class Learned:
    """What recording a run changed. `refused` says why words of the model became no lesson."""

    is_new: bool = True
    added: Sequence[str] = ()
    retired: Sequence[str] = ()
    refused: Sequence[str] = field(default_factory=list)


def lesson_key(action: str, polarity: int, modality: str, task: str = "") -> str:
    """The id of a lesson, equal in every ledger."""
    about = f"{action}|{polarity}|{modality}" + (f"|{task}" if task else "")
    return hashlib.sha256(about.encode()).hexdigest()[:10]
