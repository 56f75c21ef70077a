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


METERED = frozenset({EpochStarted, ModelAsked, ModelReplied, Resumed, CacheAlarm})
"""Kinds of events that change the figures; others may be left out."""


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
class _Conversation:
    """The last request of one lane, and how its cache figures compared lately."""

    asked: ModelAsked | None = None
    opens: str = ""
    replied: float = math.inf
    pause: float = 0.0
    streak: list[tuple[float, float]] = field(default_factory=list)
    is_alarmed: bool = False


@dataclass
class CacheMeter:
    """Cache figures of a run or of one lane, updated event by event. With `keep`, `turns` holds every turn."""

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
    _lanes: dict[int, _Conversation] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Update the figures by one event."""
        lane = self._lanes.setdefault(event.lane, _Conversation())
        if isinstance(event, EpochStarted):
            self.epochs += 1
            lane.opens = f"{event.reason} {event.stage}".strip()
        elif isinstance(event, ModelAsked):
            lane.asked = event
            lane.pause = event.mono - lane.replied
            self.flushes += event.breach
        elif isinstance(event, ModelReplied):
            self._reply(lane, event)
            lane.replied = event.mono
        elif isinstance(event, Resumed):
            for each in self._lanes.values():
                each.replied = math.inf
        elif isinstance(event, CacheAlarm):
            self.alarm = None
            self.alarms += 1
            lane.is_alarmed = True

    def _reply(self, lane: _Conversation, event: ModelReplied) -> None:
        asked, lane.asked = lane.asked, None
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
            lane.opens,
            asked is not None and asked.breach,
            event.seq,
        )
        lane.opens = ""
        if self.keep:
            self.turns.append(turn)
        if local is not None and not event.usage.estimated and event.usage.prompt >= MIN_TOKENS:
            self._update_lifetime(turn, local, lane.pause)
            self._compare(lane, turn, local)

    def _update_lifetime(self, turn: Turn, local: float, pause: float) -> None:
        """Learn the cache lifetime from the pause before this turn, once the endpoint is known to cache at all."""
        if local < 0.5 or turn.opens:
            return
        if turn.provider > local / 2:
            self._has_cached = True
            if pause >= self.cache_lifetime:
                self.cache_lifetime = math.inf
        elif self._has_cached and pause >= MIN_PAUSE:
            self.cache_lifetime = min(self.cache_lifetime, pause)

    def _compare(self, lane: _Conversation, turn: Turn, local: float) -> None:
        if abs(turn.provider - local) <= MAX_DIFFERENCE:
            lane.streak, lane.is_alarmed, self.alarm = [], False, None
            return
        lane.streak.append((turn.provider, local))
        if len(lane.streak) < ALARM_AFTER or lane.is_alarmed:
            return
        provider, ours = (sum(column) / len(lane.streak) for column in zip(*lane.streak, strict=True))
        cause = (
            "it may not count cached tokens"
            if provider == 0
            else "it may lose its cache between calls or spread them over replicas"
        )
        message = (
            f"the endpoint reports {provider:.0%} of the prompt tokens as cached, our count is {ours:.0%}: {cause}"
        )
        self.alarm = Alarm(round(provider, 4), round(ours, 4), len(lane.streak), message)


def measure_cache(events: Iterable[Event]) -> CacheMeter:
    """The cache figures of a whole run, with every turn."""
    meter = CacheMeter(keep=True)
    for event in events:
        meter.apply(event)
    return meter
