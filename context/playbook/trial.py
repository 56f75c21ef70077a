"""A trial of one proposed change of the playbook: what was fixed before it began, and what its runs say so far.

Two stages. *Mechanism*: short runs, compared by the one measure that the proposal names. *Confirm*: full runs, compared
by their floored scores. There is no race of several proposals on scores of short runs in between: it pays only if
effects on short runs agree with those on full ones, which has not been measured. Runs come in pairs of the same task
and seed, tasks in turn. Everything here is a fold over the recorded results, so a trial can be stopped and resumed at
any run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from context.playbook.betting import Bets, floored, follow

Arm = Literal["old", "new"]
Stage = Literal["mechanism", "confirm"]
Outcome = Literal["open", "kept", "reverted", "harmless", "not decided"]
MEASURES = {
    "failed_attempts": "share of attempts without a scored evaluation",
    "unreadable_calls": "share of replies without a usable call",
    "repeated_diffs": "share of evaluations that repeat an earlier one",
    "minutes_to_first_score": "active minutes until the first score",
    "tokens_per_attempt": "tokens of an attempt",
}
"""What a proposal may name as its mechanism; of all of them less is better."""
SHARES = ("failed_attempts", "unreadable_calls", "repeated_diffs")
MECHANISM_PAIRS, CONFIRM_PAIRS = 40, 100
EFFECT, LOSS = 0.5, 0.8
"""Standard deviations: the gain a trial is designed to find, and the loss that a harmless change must exclude."""
MECHANISM_EFFECT = 0.1
PAIRS_FOR_PROOF = 50
"""Pairs of full runs for half a standard deviation; fewer are no proof."""


class TaskRange(BaseModel):
    """A task of a trial, and the scores that count as 0 and as 1."""

    model_config = ConfigDict(frozen=True)

    task: str
    low: float
    high: float

    def scaled(self, score: float | None) -> float:
        """A score between 0 and 1; a run without a score has 0."""
        if score is None:
            return 0.0
        return min(1.0, max(0.0, (score - self.low) / (self.high - self.low)))


class Trial(BaseModel):
    """What is fixed before the first run."""

    model_config = ConfigDict(frozen=True)

    name: str
    number: int = Field(ge=1)
    old: str
    new: str
    changed: list[str]
    why: str = ""
    origin: Literal["person", "model", "lesson"] = "person"
    source: str = ""
    measure: str
    tasks: list[TaskRange] = Field(min_length=1)
    spread: float = Field(gt=0)
    floor: float = Field(ge=0, le=1)
    short_attempts: int = Field(default=5, ge=1)
    first_seed: int = 1000
    settings: list[str] = Field(default_factory=list)
    mechanism_pairs: int = Field(default=MECHANISM_PAIRS, ge=1)
    confirm_pairs: int = Field(default=CONFIRM_PAIRS, ge=1)
    created_at: str = ""


class Result(BaseModel):
    """One run of a trial. `score` is scaled to [0, 1]; `value` is the mechanism's measure."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    pair: int
    arm: Arm
    run: str
    score: float = 0.0
    value: float = 0.0


@dataclass(frozen=True)
class Wanted:
    """The next run of a trial."""

    stage: Stage
    pair: int
    arm: Arm
    task: str
    seed: int


@dataclass(frozen=True)
class Standing:
    """Where a trial stands. `harmless` asks whether full runs exclude a loss."""

    mechanism: Bets
    confirm: Bets
    harmless: Bets
    outcome: Outcome

    @property
    def stage(self) -> Stage:
        """The stage whose runs are played now."""
        return "mechanism" if self.mechanism.verdict == "open" else "confirm"


def standing(trial: Trial, results: Sequence[Result]) -> Standing:
    """Fold the results of a trial."""
    mechanism = follow(
        Bets(planned=MECHANISM_EFFECT, most=trial.mechanism_pairs), _differences(trial, results, "mechanism")
    )
    scores = _differences(trial, results, "confirm")
    confirm = follow(Bets(planned=EFFECT * trial.spread, most=trial.confirm_pairs), scores)
    # Asked of the same pairs, whatever the first question was decided to be.
    loss = LOSS * trial.spread
    harmless = follow(Bets(planned=loss, offset=loss, most=trial.confirm_pairs), scores)
    return Standing(mechanism, confirm, harmless, _outcome(mechanism, confirm, harmless))


def _outcome(mechanism: Bets, confirm: Bets, harmless: Bets) -> Outcome:
    if mechanism.verdict == "open":
        return "open"
    if mechanism.verdict != "kept":
        return "reverted" if mechanism.verdict == "reverted" else "not decided"
    if confirm.verdict == "kept":
        return "kept"
    if confirm.verdict == "open" or harmless.verdict == "open":
        return "open"
    return "harmless" if harmless.verdict == "kept" else confirm.verdict


def next_run(trial: Trial, results: Sequence[Result]) -> Wanted | None:
    """The run that comes next; None once the trial is decided. The arms of a pair take turns in going first."""
    stands = standing(trial, results)
    if stands.outcome != "open":
        return None
    stage = stands.stage
    done = {(result.pair, result.arm) for result in results if result.stage == stage}
    pair = 0
    while True:
        order: tuple[Arm, Arm] = ("old", "new") if pair % 2 == 0 else ("new", "old")
        for arm in order:
            if (pair, arm) not in done:
                task = trial.tasks[pair % len(trial.tasks)].task
                return Wanted(stage, pair, arm, task, trial.first_seed + pair // len(trial.tasks))
        pair += 1


def _differences(trial: Trial, results: Sequence[Result], stage: Stage) -> list[float]:
    """The differences of complete pairs in their order, above 0 if the new version is better."""
    found = {(result.pair, result.arm): result for result in results if result.stage == stage}
    differences = []
    pair = 0
    while (pair, "old") in found and (pair, "new") in found:
        old, new = found[pair, "old"], found[pair, "new"]
        if stage == "confirm":
            differences.append(floored(new.score, old.score, trial.floor))
        elif trial.measure in SHARES:
            differences.append(old.value - new.value)
        else:
            differences.append(log(max(old.value, 1e-9) / max(new.value, 1e-9)))
        pair += 1
    return differences
