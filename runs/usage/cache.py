"""The cache meter: what of each request the endpoint had cached, by its own count and by ours, as a fold over events.

Ours is how many of a request's bytes began the request before as well. The two should agree but for blocks that are
not full; where they part for several calls, the endpoint has lost the cache, or does not count it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from runs.events.registry import CacheAlarm, EpochStarted, Event, ModelAsked, ModelReplied, Resumed

POINTS = 0.05
CALLS = 3
LEAST_TOKENS = 1_024
"""Smaller prompts are not cached by every endpoint, and blocks weigh too much in them."""

LEAST_PAUSE = 20.0
"""Seconds; after a shorter pause a lost cache says nothing of how long it lives."""


@dataclass(frozen=True)
class Turn:
    """One request that was answered. Tokens, dollars; `local` is a share, 0 to 1 (None: not known)."""

    request: int
    attempt: int
    epoch: int
    prompt: int
    cached: int
    completion: int
    cost: float
    local: float | None
    opens: str = ""
    """Why an epoch began with this request, if one did."""
    breach: bool = False
    seq: int = -1

    @property
    def provider(self) -> float:
        """The share of the prompt that the endpoint had cached."""
        return self.cached / self.prompt if self.prompt else 0.0


@dataclass(frozen=True)
class Alarm:
    """Provider and local figures parted for `calls` requests in a row."""

    provider: float
    local: float
    calls: int
    message: str


@dataclass
class CacheMeter:
    """The meter of a run, kept up to date event by event. `keep` keeps every turn, for a table."""

    keep: bool = False
    turns: list[Turn] = field(default_factory=list)
    epochs: int = 0
    flushes: int = 0
    """Requests that did not extend the one before although no epoch was declared."""
    alarm: Alarm | None = None
    alarms: int = 0
    cache_lifetime: float = math.inf
    """The shortest pause, in seconds, after which the endpoint was seen to have lost the cache; a longer one that it
    outlived takes that back."""
    _has_cached: bool = False
    _replied: float = math.inf
    _pause: float = 0.0
    _asked: ModelAsked | None = None
    _opens: str = ""
    _streak: list[tuple[float, float]] = field(default_factory=list)
    _is_told: bool = False

    def apply(self, event: Event) -> None:
        """Take one more event into account."""
        if isinstance(event, EpochStarted):
            self.epochs += 1
            self._opens = f"{event.reason} {event.stage}".strip()
        elif isinstance(event, ModelAsked):
            self._asked = event
            self._pause = event.mono - self._replied
            self.flushes += event.breach
        elif isinstance(event, ModelReplied):
            self._reply(event)
            self._replied = event.mono
        elif isinstance(event, Resumed):
            self._replied = math.inf
        elif isinstance(event, CacheAlarm):
            self.alarm = None
            self.alarms += 1
            self._is_told = True

    def _reply(self, event: ModelReplied) -> None:
        asked, self._asked = self._asked, None
        known = asked is not None and asked.reused >= 0 and asked.size > 0
        local = asked.reused / asked.size if asked is not None and known else None
        turn = Turn(
            event.request,
            event.attempt,
            self.epochs,
            event.usage.prompt,
            event.usage.cached,
            event.usage.completion,
            event.cost,
            local,
            self._opens,
            asked is not None and asked.breach,
            event.seq,
        )
        self._opens = ""
        if self.keep:
            self.turns.append(turn)
        if local is not None and not event.usage.estimated and event.usage.prompt >= LEAST_TOKENS:
            self._learn_life(turn, local)
            self._compare(turn, local)

    def _learn_life(self, turn: Turn, local: float) -> None:
        """Learn from a pause how long the endpoint keeps the cache, where it is known to keep one at all."""
        if local < 0.5 or turn.opens:
            return
        if turn.provider > local / 2:
            self._has_cached = True
            if self._pause >= self.cache_lifetime:
                self.cache_lifetime = math.inf
        elif self._has_cached and self._pause >= LEAST_PAUSE:
            self.cache_lifetime = min(self.cache_lifetime, self._pause)

    def _compare(self, turn: Turn, local: float) -> None:
        if abs(turn.provider - local) <= POINTS:
            self._streak, self._is_told, self.alarm = [], False, None
            return
        self._streak.append((turn.provider, local))
        if len(self._streak) < CALLS or self._is_told:
            return
        provider, ours = (sum(column) / len(self._streak) for column in zip(*self._streak, strict=True))
        told = (
            "it may not count cached tokens"
            if provider == 0
            else "it may lose its cache between calls, or spread them over replicas"
        )
        self.alarm = Alarm(
            round(provider, 4),
            round(ours, 4),
            len(self._streak),
            f"the endpoint says that {provider:.0%} of the prompts were cached, by our count it should be {ours:.0%}: "
            f"{told}",
        )


def measure_cache(events: Iterable[Event]) -> CacheMeter:
    """The meter of a whole run, with every turn."""
    sums = CacheMeter(keep=True)
    for event in events:
        sums.apply(event)
    return sums
