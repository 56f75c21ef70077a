"""What is worth a notification, as a fold over events: each notice is given once, however often a run is resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.ui.format import standing
from runs.events.registry import (
    EndpointChanged,
    EvaluationFinished,
    Event,
    FoldFinished,
    ModelFailed,
    ModelReplied,
    Paused,
    RunEnded,
)
from runs.state import State
from runs.views.format import duration_text, medal_text, money_text

Kind = Literal[
    "finished", "paused", "best", "medal", "stuck", "budget", "endpoint_down", "endpoint_up", "disk_low", "other"
]

BUDGET_SHARE = 0.8
DOWN_SECONDS = 300.0
STUCK_REPLIES = 10
STUCK_SHARE = 0.25
"""Without a new best for this share of the run's hours, and for at least `STUCK_SECONDS`, a run counts as stuck."""
STUCK_SECONDS = 7_200.0
_MEDALS = ("", "no medal", "bronze", "silver", "gold")


@dataclass(frozen=True)
class Notice:
    """One notification: what kind it is, and a sentence."""

    kind: Kind
    text: str


class NoticeFold:
    """Which notices an event brings. It starts where the run stands, so that a resume repeats none."""

    def __init__(self, state: State, active_seconds: float = 0.0) -> None:
        self._best = state.best.id if state.best else ""
        self._medal = _medal_rank(state)
        self._best_at = active_seconds
        self._failing_since: float | None = None
        self._is_down = False
        self._is_lost = state.unusable_replies >= STUCK_REPLIES
        self._spent = set(_nearly_spent(state))

    def apply(self, state: State, event: Event) -> list[Notice]:
        """The notices of an event that `state` has already applied."""
        found = [*self._ends(state, event), *self._scores(state, event), *self._endpoint(state, event)]
        return [*found, *self._stuck(state), *self._budget(state)]

    def _ends(self, state: State, event: Event) -> list[Notice]:
        if isinstance(event, RunEnded):
            return [Notice("finished", f"ended ({event.why}) after {len(state.attempts)} attempts: {standing(state)}")]
        return [Notice("paused", f"paused: {event.why}")] if isinstance(event, Paused) else []

    def _scores(self, state: State, event: Event) -> list[Notice]:
        if not isinstance(event, EvaluationFinished | FoldFinished) or state.best is None:
            return []
        found = []
        if state.best.id != self._best:
            self._best, self._best_at = state.best.id, state.active_seconds
            found.append(Notice("best", f"new best: {standing(state)}"))
        rank = _medal_rank(state)
        if rank > max(self._medal, _MEDALS.index("no medal")):
            found.append(Notice("medal", f"the {_MEDALS[rank]} line is crossed: {standing(state)}"))
        self._medal = max(self._medal, rank)
        return found

    def _endpoint(self, state: State, event: Event) -> list[Notice]:
        now = state.active_seconds
        if isinstance(event, ModelReplied | EndpointChanged):
            was_down, self._failing_since, self._is_down = self._is_down, None, False
            return [Notice("endpoint_up", "the endpoint answers again")] if was_down else []
        if not isinstance(event, ModelFailed):
            return []
        self._failing_since = now if self._failing_since is None else self._failing_since
        lasted = now - self._failing_since
        if self._is_down or lasted < DOWN_SECONDS:
            return []
        self._is_down = True
        return [Notice("endpoint_down", f"no answer for {duration_text(lasted)}: {event.error}")]

    def _stuck(self, state: State) -> list[Notice]:
        lost = state.unusable_replies >= STUCK_REPLIES
        news = lost and not self._is_lost
        self._is_lost = lost
        if news:
            return [Notice("stuck", f"{state.unusable_replies} replies in a row without a usable call")]
        hours = state.created.settings.hours if state.created else None
        longest = max(STUCK_SECONDS, (hours or 24.0) * 3600 * STUCK_SHARE)
        quiet = state.active_seconds - self._best_at
        if quiet < longest or state.ended:
            return []
        self._best_at = state.active_seconds
        return [Notice("stuck", f"no new best for {duration_text(quiet)}: {standing(state)}")]

    def _budget(self, state: State) -> list[Notice]:
        spent = _nearly_spent(state)
        found = [Notice("budget", text) for name, text in spent.items() if name not in self._spent]
        self._spent |= set(spent)
        return found


def _medal_rank(state: State) -> int:
    score = state.best.score if state.best else None
    return _MEDALS.index(medal_text(score, state.thresholds, state.lower_is_better))


def _nearly_spent(state: State) -> dict[str, str]:
    """The budgets of which 80 % are spent, each with a sentence."""
    if state.created is None:
        return {}
    limits = state.created.settings
    hours, cost = (limits.hours or 0.0) * 3600, limits.cost or 0.0
    budgets = {
        "hours": (state.active_seconds, hours, f"{duration_text(state.active_seconds)} of {duration_text(hours)}"),
        "cost": (state.cost, cost, f"{money_text(state.cost)} of {money_text(cost)}"),
        "attempts": (len(state.attempts), limits.attempts, f"attempt {len(state.attempts)} of {limits.attempts}"),
        "turns": (state.turns, limits.turns, f"turn {state.turns} of {limits.turns}"),
    }
    return {
        name: f"80 % of the budget is spent: {text}"
        for name, (used, limit, text) in budgets.items()
        if limit and used >= BUDGET_SHARE * limit
    }
