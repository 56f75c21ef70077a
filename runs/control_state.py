"""What people asked of a run while it was played. Part of `State`."""

from __future__ import annotations

from dataclasses import dataclass, field

from runs.events.control import BudgetExtended, PlayContinued, PlayPaused, RequestRefused, RunForked, Steered, StopAsked
from runs.events.registry import Event, MoveChosen, Resumed, RunCreated
from runs.run_settings import RunSettings

BY_PERSON = "person"
"""The policy of a move that a person chose."""


@dataclass
class ControlState:
    """Read it; only `State.apply` changes it."""

    is_paused: bool = False
    is_stopping: bool = False
    """Whether a person has ended the run: no further attempt starts."""
    start_from: str = ""
    """The evaluation that the next attempt starts from, because a person chose it."""
    steered: list[Steered] = field(default_factory=list)
    extended: list[BudgetExtended] = field(default_factory=list)
    forked: RunForked | None = None
    """Where the run was forked from another one, if it was."""
    pauses: list[PlayContinued] = field(default_factory=list)
    """The pauses that are over."""
    answers: dict[str, Event] = field(default_factory=dict)
    """What became of each request, by its id."""

    @property
    def hints(self) -> list[str]:
        """All hints, oldest first."""
        return [one.hint for one in self.steered if one.hint]

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        if type(event) not in _KINDS:
            return
        if isinstance(event, Resumed):
            self.is_paused = False
        elif isinstance(event, MoveChosen):
            if event.policy == BY_PERSON:
                self.start_from = ""
        elif isinstance(event, Steered):
            self.steered.append(event)
            self.start_from = event.evaluation or self.start_from
        elif isinstance(event, PlayPaused):
            self.is_paused = True
        elif isinstance(event, PlayContinued):
            self.is_paused = False
            self.pauses.append(event)
        elif isinstance(event, StopAsked):
            self.is_stopping = self.is_stopping or not event.now
        elif isinstance(event, BudgetExtended):
            self.is_stopping = False
            self.extended.append(event)
        elif isinstance(event, RunForked):
            self.is_paused = self.is_stopping = False
            self.start_from, self.forked = event.start_from, event
        if isinstance(event, Steered | PlayPaused | PlayContinued | StopAsked | BudgetExtended | RequestRefused):
            self.answers[event.request] = event


_KINDS = frozenset(
    {
        *(Resumed, MoveChosen, Steered, PlayPaused, PlayContinued, StopAsked, BudgetExtended, RunForked),
        RequestRefused,
    }
)


def extended(created: RunCreated, change: BudgetExtended | RunForked) -> RunCreated:
    """Event 0 as if the run had begun with these limits, and a fork with its own settings."""
    limits = {name: getattr(change, name) for name in ("hours", "cost", "attempts", "turns")}
    settings = created.settings.model_copy(update=limits)
    if isinstance(change, RunForked) and change.settings:
        settings = RunSettings.model_validate({**settings.model_dump(), **change.settings})
    return created.model_copy(update={"settings": settings})
