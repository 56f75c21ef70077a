"""Where the dollars went: every cent belongs to one part, as a fold over the events of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from runs.events.registry import EndpointChanged, EndpointProbed, Event, ModelFailed, ModelReplied, RunCreated

MoneyPart = Literal["input", "cached", "output", "unpriced", "failed", "probe"]
MONEY_PARTS: tuple[MoneyPart, ...] = get_args(MoneyPart)
MONEY_NAMES: dict[MoneyPart, str] = {
    "input": "new input",
    "cached": "cached input",
    "output": "output and thinking",
    "unpriced": "replies without known prices",
    "failed": "failed requests",
    "probe": "probe of the endpoint",
}


PRICED = frozenset({RunCreated, EndpointChanged, ModelReplied, ModelFailed, EndpointProbed})
"""Kinds of events that change the sums; others may be left out."""


@dataclass
class Money:
    """Dollars by part, and by attempt (0: outside any), updated event by event. Both sum to `total`."""

    total: float = 0.0
    parts: dict[MoneyPart, float] = field(default_factory=lambda: dict.fromkeys(MONEY_PARTS, 0.0))
    attempts: dict[int, float] = field(default_factory=dict)
    _prices: dict[str, Any] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Attribute what one more event cost."""
        if isinstance(event, RunCreated | EndpointChanged):
            self._prices = event.prices
        elif isinstance(event, ModelReplied):
            for part, dollars in self._split(event).items():
                self._add(event, part, dollars)
        elif isinstance(event, ModelFailed):
            self._add(event, "failed", event.cost)
        elif isinstance(event, EndpointProbed):
            self._add(event, "probe", event.cost)

    def _add(self, event: Event, part: MoneyPart, dollars: float) -> None:
        self.total += dollars
        self.parts[part] += dollars
        self.attempts[event.attempt] = self.attempts.get(event.attempt, 0.0) + dollars

    def _split(self, event: ModelReplied) -> dict[MoneyPart, float]:
        """The cost of a reply in proportion to its tokens at the known prices."""
        usage = event.usage
        cached = min(usage.cached, usage.prompt)
        tokens: dict[MoneyPart, int] = {"input": usage.prompt - cached, "cached": cached, "output": usage.completion}
        prices = {part: float(self._prices.get(part) or 0.0) for part in tokens}
        dollars = {part: count * prices[part] for part, count in tokens.items()}
        known = sum(dollars.values())
        if known <= 0:
            return {"unpriced": event.cost}
        return {part: event.cost * amount / known for part, amount in dollars.items()}


def money_of(events: Iterable[Event]) -> Money:
    """Where the dollars of a run went, from its events, oldest first."""
    money = Money()
    for event in events:
        money.apply(event)
    return money
