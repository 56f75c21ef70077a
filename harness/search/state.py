"""What a search policy sees: attempts with their results, the branches they form, and what is left of the budget."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from json import dumps

from harness.search.moves import Kind

OPEN_LIMIT = 8
"""A branch is closed after this many attempts without a gain. After 3 or 4, small gains that need several steps are
lost; never closing one costs up to a tenth of the regret in long runs (`harness/search/README.md`)."""


@dataclass(frozen=True)
class Result:
    """A scored evaluation that is trusted. `value` is its score, a larger one being better.

    `is_gain`: better than the branch's best before it by the verdict. `draft_share`: the share of bootstrap draws in
    which it beats the first result of its branch (0.5 for that one itself). `is_promoted`: it became the run's best.
    `seconds` is how long the evaluation takes.
    """

    evaluation: str
    commit: str
    attempt: int
    branch: int
    value: float
    is_gain: bool = False
    draft_share: float = 0.5
    is_promoted: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Trial:
    """One attempt as the search sees it.

    `branch` is the number of the draft it descends from. `started` and `ended` are active seconds of the run (None:
    open). `failed_commit` is what a repair would start from, where the attempt has no result but an evaluation that
    failed.
    """

    number: int
    kind: Kind
    parents: tuple[str, ...]
    branch: int
    started: float
    ended: float | None = None
    results: tuple[Result, ...] = ()
    failed_commit: str = ""
    lane: int = 0


@dataclass(frozen=True)
class Branch:
    """A draft and all that descends from it.

    `root` is its first result, `top` the one with the best score. `since_gain` and `since_best` count attempts that
    ended since its last gain by the verdict, and since its last best score.
    """

    id: int
    root: Result
    top: Result
    attempts: int = 1
    since_gain: int = 0
    since_best: int = 0


@dataclass(frozen=True)
class SearchState:
    """All a policy may use. `gone` is the share of the run that is used up (0 to 1) by its tightest budget.

    `seconds_left` is the time attempts may still use (infinite without a limit), `expected` the number of attempts that
    the run will have made at its end at the present pace (0: not known yet). `wish` is the evaluation that the model
    asked to continue from in the lane's last attempt, `wish_problem` why it has no result. `is_scored` is False where
    the task has no labels to hold out; values then count up, so that the latest valid result is the best one.
    """

    trials: tuple[Trial, ...] = ()
    gone: float = 0.0
    seconds_left: float = float("inf")
    expected: float = 0.0
    wish: str = ""
    wish_problem: str = ""
    lane: int = 0
    lanes: int = 1
    is_scored: bool = True

    @property
    def open(self) -> list[Trial]:
        """Attempts that are being made now."""
        return [trial for trial in self.trials if trial.ended is None]

    @cached_property
    def ended(self) -> list[Trial]:
        """Attempts that have ended, in that order."""
        ended = [trial for trial in self.trials if trial.ended is not None]
        return sorted(ended, key=lambda trial: trial.ended or 0.0)

    @cached_property
    def results(self) -> list[Result]:
        """All results, in the order in which their attempts ended; those of open attempts come last."""
        return [result for trial in [*self.ended, *self.open] for result in trial.results]

    @cached_property
    def best(self) -> Result | None:
        """The result with the best score, whether that was shown or not."""
        return max(self.results, key=lambda result: result.value, default=None)

    @cached_property
    def promoted(self) -> Result | None:
        """The run's best by the verdict: the one promoted last."""
        return next((result for result in reversed(self.results) if result.is_promoted), None)

    @cached_property
    def branches(self) -> dict[int, Branch]:
        """Every branch that has a result, by its id."""
        found: dict[int, Branch] = {}
        for trial in [*self.ended, *self.open]:
            branch = _after(found.get(trial.branch), trial)
            if branch is not None:
                found[trial.branch] = branch
        return found

    def timeline(self) -> Iterator[tuple[Trial, bool]]:
        """Starts and ends of attempts in order of time: the attempt, and whether it is its end."""
        moments = [(trial.started, True, trial) for trial in self.trials]
        moments += [(trial.ended, False, trial) for trial in self.trials if trial.ended is not None]
        for _, is_start, trial in sorted(moments, key=lambda moment: (moment[0], moment[1], moment[2].number)):
            yield trial, not is_start

    def digest(self) -> str:
        """Digest of all of it: equal states give equal moves."""
        return hashlib.sha256(dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def _after(branch: Branch | None, trial: Trial) -> Branch | None:
    """A branch after one more of its attempts, which may still be open."""
    if not trial.results and trial.ended is None:
        return branch
    best = max(trial.results, key=lambda result: result.value, default=None)
    if branch is None:
        return Branch(trial.branch, trial.results[0], best) if best is not None else None
    is_new_best = best is not None and best.value > branch.top.value
    has_gain = any(result.is_gain for result in trial.results)
    return Branch(
        branch.id,
        branch.root,
        best if best is not None and is_new_best else branch.top,
        branch.attempts + 1,
        0 if has_gain else branch.since_gain + (trial.ended is not None),
        0 if is_new_best else branch.since_best + (trial.ended is not None),
    )
