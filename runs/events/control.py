"""Events of live control: what a person asked of a run through its inbox, and the outcome. For people only.

`request` is the id of the request in the inbox; each one is taken once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from runs.events.base import Audience, Event
from runs.run_settings import RunSettings


def _valid_settings(settings: dict[str, Any]) -> dict[str, Any]:
    RunSettings.model_validate(settings)
    return settings


class Steered(Event):
    """A person steered the run: `hint` is shown in every lane with its next tool result, and the next attempt starts
    from `evaluation`. Either may be empty.
    """

    kind: Literal["steered"] = "steered"
    audience: Audience = "people"
    request: str
    hint: str = ""
    evaluation: str = ""


class PlayPaused(Event):
    """A person paused the run while it is played: its clock stands still and nothing is asked until it continues."""

    kind: Literal["play_paused"] = "play_paused"
    audience: Audience = "people"
    request: str


class PlayContinued(Event):
    """The pause is over after `seconds`. `deadline` is the new one (UTC, ISO), if hours are limited."""

    kind: Literal["play_continued"] = "play_continued"
    audience: Audience = "people"
    request: str
    seconds: float = 0.0
    deadline: str | None = None


class StopAsked(Event):
    """A person ends the run: no further attempt, then the final selection. `now`: it stops at once, resumable."""

    kind: Literal["stop_asked"] = "stop_asked"
    audience: Audience = "people"
    request: str
    now: bool = False


class BudgetExtended(Event):
    """A person extended the budget: all limits as they are from now on. An ended run is open again.

    `deadline` is the new one (UTC, ISO) of a run that is being played, if hours are limited.
    """

    kind: Literal["budget_extended"] = "budget_extended"
    audience: Audience = "people"
    request: str
    hours: float | None = None
    cost: float | None = None
    attempts: int | None = None
    turns: int | None = None
    deadline: str | None = None


class RunForked(Event):
    """All before it was copied from event 0 to `event` of the run `origin`; what follows is this run's own.

    The limits are those from now on: what was spent up to here, and the fork's own budget. `start_from` is the
    evaluation that the first attempt starts from (empty: as the search decides), `settings` what differs from then on.
    """

    kind: Literal["run_forked"] = "run_forked"
    audience: Audience = "people"
    origin: str
    event: int
    hours: float | None = None
    cost: float | None = None
    attempts: int | None = None
    turns: int | None = None
    start_from: str = ""
    settings: Annotated[dict[str, Any], AfterValidator(_valid_settings)] = Field(default_factory=dict)


class RequestRefused(Event):
    """A request of the inbox was not carried out, and why."""

    kind: Literal["request_refused"] = "request_refused"
    audience: Audience = "people"
    request: str
    why: str
