"""Events of the search: the move of each attempt, and comparisons within branches. For people only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runs.events.base import Audience, Event


class MoveChosen(Event):
    """What the lane's next attempt, number `next`, will do and why; recorded before it starts.

    `policy` decided (`model`: the model's own wish) from the state after event `seen` (None: the one before), which has
    this `digest`, after `active_seconds` of the run, with `seed` and so many `lanes`. `wish` is the evaluation that
    the model asked to continue from, `refusal` why that was not done.
    """

    kind: Literal["move_chosen"] = "move_chosen"
    audience: Audience = "people"
    next: int
    move: str
    parents: list[str] = Field(default_factory=list)
    focus: str = ""
    reasons: list[str] = Field(default_factory=list)
    policy: str = ""
    seed: int = 0
    seen: int | None = None
    digest: str = ""
    active_seconds: float = 0.0
    lanes: int = 1
    wish: str = ""
    refusal: str = ""


class BranchCompared(Event):
    """Two evaluations of one branch, compared for people, the search and the ledger: on the held-out rows the model is
    told about.

    `share` is the share of bootstrap draws in which `evaluation` beats `against`; `is_gain` whether that is a gain by
    the rule of the verdict. `verdict` (real, unclear, worse), `gain` and `gain_noise` are as in `EvaluationFinished`;
    older journals lack them.
    """

    kind: Literal["branch_compared"] = "branch_compared"
    audience: Audience = "people"
    evaluation: str
    against: str
    share: float
    is_gain: bool
    verdict: str = ""
    gain: float | None = None
    gain_noise: float | None = None
