"""How much of each request was cached: the endpoint's count against our own, as a fold over events.

Our count is the length of the prefix that a request shares with the one before it. The two shares agree up to one cache
block. If they differ for several requests in a row, the endpoint lost its cache or does not count cached tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from runs.events.registry import CacheAlarm, EpochStarted, Event, ModelAsked, ModelReplied, Resumed

MAX_DIFFERENCE = 0.05
"""The largest difference of the two shares that counts as agreement."""
ALARM_AFTER = 3
"""Differing requests in a row that raise an alarm."""
MIN_TOKENS = 1_024
"""Shorter prompts are ignored: not every endpoint caches them, and one cache block is a large share of them."""

MIN_PAUSE = 20.0
"""Seconds. A cache lost after a shorter pause tells nothing about the cache lifetime."""


@dataclass(frozen=True)
class Turn:
    """One answered request: tokens, dollars, and `local`, our share of cached bytes (0 to 1; None: unknown)."""

    request: int
    attempt: int
    epoch: int
    prompt: int
    cached: int
    completion: int
    cost: float
    local: float | None
    opens: str = ""
    """The reason of the epoch that began with this request, if one did."""
    breach: bool = False
    seq: int = -1

    @property
    def provider(self) -> float:
        """The share of the prompt tokens that the endpoint counted as cached."""
        return self.cached / self.prompt if self.prompt else 0.0


@dataclass(frozen=True)
class Alarm:
    """The endpoint's share and ours, averaged over `calls` requests in a row in which they differed."""

    provider: float
    local: float
    calls: int
    message: str


@dataclass
class CacheMeter:
    """Cache figures of a run, updated event by event. With `keep`, `turns` holds every turn."""

    keep: bool = False
    turns: list[Turn] = field(default_factory=list)
    epochs: int = 0
    flushes: int = 0
    """Requests that did not extend the one before although no new epoch had started."""
    alarm: Alarm | None = None
    alarms: int = 0
    cache_lifetime: float = math.inf
    """The shortest pause in seconds after which the endpoint had lost the cache; infinite if none did, or if the cache
    later survived a pause as long."""
    _has_cached: bool = False
    _replied: float = math.inf
    _pause: float = 0.0
    _asked: ModelAsked | None = None
    _opens: str = ""
    _streak: list[tuple[float, float]] = field(default_factory=list)
    _is_alarmed: bool = False

    def apply(self, event: Event) -> None:
        """Update the figures by one event."""
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
            self._is_alarmed = True

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
        if local is not None and not event.usage.estimated and event.usage.prompt >= MIN_TOKENS:
            self._update_lifetime(turn, local)
            self._compare(turn, local)

    def _update_lifetime(self, turn: Turn, local: float) -> None:
        """Learn the cache lifetime from the pause before this turn, once the endpoint is known to cache at all."""
        if local < 0.5 or turn.opens:
            return
        if turn.provider > local / 2:
            self._has_cached = True
            if self._pause >= self.cache_lifetime:
                self.cache_lifetime = math.inf
        elif self._has_cached and self._pause >= MIN_PAUSE:
            self.cache_lifetime = min(self.cache_lifetime, self._pause)

    def _compare(self, turn: Turn, local: float) -> None:
        if abs(turn.provider - local) <= MAX_DIFFERENCE:
            self._streak, self._is_alarmed, self.alarm = [], False, None
            return
        self._streak.append((turn.provider, local))
        if len(self._streak) < ALARM_AFTER or self._is_alarmed:
            return
        provider, ours = (sum(column) / len(self._streak) for column in zip(*self._streak, strict=True))
        cause = (
            "it may not count cached tokens"
            if provider == 0
            else "it may lose its cache between calls or spread them over replicas"
        )
        message = (
            f"the endpoint reports {provider:.0%} of the prompt tokens as cached, our count is {ours:.0%}: {cause}"
        )
        self.alarm = Alarm(round(provider, 4), round(ours, 4), len(self._streak), message)


def measure_cache(events: Iterable[Event]) -> CacheMeter:
    """The cache figures of a whole run, with every turn."""
    meter = CacheMeter(keep=True)
    for event in events:
        meter.apply(event)
    return meter
