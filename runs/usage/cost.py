"""What a run used: dollars, tokens and seconds, in total and by attempt, as a fold over its events.

Each active second is counted once, by the event that ended it: time before a reply is model time; a failed request and
the pause after it are waiting time; time before a result is job and tool time; the rest is the harness's own time. For
the run any event ends it, for an attempt one of its lane: attempts that are played at once add up to more than the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runs.events.registry import (
    EndpointProbed,
    EvaluationFinished,
    Event,
    JobFinished,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    Resumed,
    ToolFinished,
    Waited,
)


@dataclass
class Spend:
    """Counts, tokens, dollars (`cost`) and seconds.

    `active_seconds` is the sum of `model_seconds` (replies), `waiting_seconds` (failed requests and retries),
    `working_seconds` (wall time of jobs and tools) and `own_seconds` (the rest). `job_seconds` is the sum over jobs,
    which may overlap.
    """

    requests: int = 0
    replies: int = 0
    failures: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    is_estimated: bool = False
    cost: float = 0.0
    jobs: int = 0
    job_seconds: float = 0.0
    model_seconds: float = 0.0
    waiting_seconds: float = 0.0
    working_seconds: float = 0.0
    own_seconds: float = 0.0

    @property
    def active_seconds(self) -> float:
        """Seconds in which a harness process ran; time between a crash and the resume is not counted."""
        return self.model_seconds + self.waiting_seconds + self.working_seconds + self.own_seconds

    @property
    def cached_share(self) -> float:
        """The share of the prompt tokens that the endpoint counted as cached, 0 to 1."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


@dataclass
class UsageTotals:
    """What a run used, updated event by event; `attempts` by number (0: outside any attempt)."""

    total: Spend = field(default_factory=Spend)
    attempts: dict[int, Spend] = field(default_factory=dict)
    _mono: float = 0.0
    _lane_mono: dict[int, float] = field(default_factory=dict)
    _is_endpoint_down: dict[int, bool] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Add one event."""
        if isinstance(event, Resumed):
            self._mono = 0.0
            self._lane_mono.clear()
            self._is_endpoint_down.clear()
        attempt = self.attempts.setdefault(event.attempt, Spend())
        for spend, since in ((self.total, self._mono), (attempt, self._lane_mono.get(event.lane, self._mono))):
            self._add_seconds(spend, event, max(0.0, event.mono - since))
            _add_counts(spend, event)
        self._mono = self._lane_mono[event.lane] = event.mono
        if isinstance(event, ModelFailed | ModelAsked):
            self._is_endpoint_down[event.lane] = isinstance(event, ModelFailed)

    def _add_seconds(self, spend: Spend, event: Event, seconds: float) -> None:
        if isinstance(event, ModelReplied):
            spend.model_seconds += seconds
        elif isinstance(event, ModelFailed) or self._is_endpoint_down.get(event.lane):
            spend.waiting_seconds += seconds
        elif isinstance(event, JobFinished | ToolFinished | Waited | EvaluationFinished):
            spend.working_seconds += seconds
        else:
            spend.own_seconds += seconds


def _add_counts(spend: Spend, event: Event) -> None:
    if isinstance(event, ModelAsked):
        spend.requests += 1
    elif isinstance(event, EndpointProbed):
        spend.requests += event.calls
        spend.cost += event.cost
    elif isinstance(event, ModelFailed):
        spend.failures += 1
        spend.cost += event.cost
        spend.is_estimated = spend.is_estimated or event.cost > 0
    elif isinstance(event, JobFinished):
        spend.jobs += 1
        spend.job_seconds += event.seconds
    elif isinstance(event, ModelReplied):
        spend.replies += 1
        spend.retries += event.retries
        spend.prompt_tokens += event.usage.prompt
        spend.cached_tokens += event.usage.cached
        spend.completion_tokens += event.usage.completion
        spend.is_estimated = spend.is_estimated or event.usage.estimated
        spend.cost += event.cost


def sum_usage(events: Iterable[Event]) -> UsageTotals:
    """What a run used, from its events, oldest first."""
    totals = UsageTotals()
    for event in events:
        totals.add(event)
    return totals
