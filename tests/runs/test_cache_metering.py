"""Cached tokens by the endpoint's count and by ours, turn by turn."""

from __future__ import annotations

import math

from runs.events.registry import CacheAlarm, EpochStarted, Event, ModelAsked, ModelReplied, Resumed, Usage
from runs.usage.cache import CacheMeter, measure_cache


def turn(number: int, cached: int, reused: int, breach: bool = False, estimated: bool = False) -> list[Event]:
    usage = Usage(prompt=10_000, cached=cached, completion=100, estimated=estimated)
    return [
        ModelAsked(request=number, messages=2, size=40_000, reused=reused, breach=breach),
        ModelReplied(request=number, message="{}", usage=usage, cost=0.01, attempt=1),
    ]


def test_each_turn_has_both_counts() -> None:
    epoch = EpochStarted(reason="attempt", system="", tools="", user="")
    sums = measure_cache([epoch, *turn(1, 0, 0), *turn(2, 9_800, 39_400), *turn(3, 9_900, 39_600, breach=True)])
    first, second, third = sums.turns
    assert (first.opens, second.opens) == ("attempt", "")
    assert (second.provider, second.local) == (0.98, 0.985)
    assert sums.flushes == 1 and third.breach and sums.epochs == 1
    assert sums.alarm is None


def test_three_differing_turns_raise_one_alarm() -> None:
    sums = CacheMeter()
    for number in range(1, 4):
        assert sums.alarm is None
        for event in turn(number, 5_000, 39_000):
            sums.apply(event)
    alarm = sums.alarm
    assert alarm and (alarm.provider, alarm.local, alarm.calls) == (0.5, 0.975, 3)
    sums.apply(CacheAlarm(provider=0.5, local=0.975, calls=3, message=alarm.message))
    for number in range(4, 9):
        for event in turn(number, 5_000, 39_000):
            sums.apply(event)
    assert sums.alarm is None and sums.alarms == 1


def test_alarm_names_an_endpoint_that_counts_no_cached_tokens() -> None:
    sums = measure_cache([event for number in range(3) for event in turn(number, 0, 39_000)])
    assert sums.alarm and "may not count cached tokens" in sums.alarm.message


def test_unknown_or_estimated_counts_raise_no_alarm() -> None:
    assert measure_cache([event for n in range(5) for event in turn(n, 0, -1)]).alarm is None
    assert measure_cache([event for n in range(5) for event in turn(n, 0, 39_000, estimated=True)]).alarm is None


def lifetime_after(*turns: tuple[float, int]) -> float:
    """The learned cache lifetime after turns of (pause before it in seconds, cached tokens)."""
    events: list[Event] = []
    now = 0.0
    for number, (pause, cached) in enumerate(turns):
        now += pause
        events += [event.model_copy(update={"mono": now}) for event in turn(number, cached, 39_000)]
    return measure_cache(events).cache_lifetime


def test_cache_lifetime_is_learned_from_pauses() -> None:
    assert lifetime_after((0, 9_700), (60, 9_700)) == math.inf
    assert lifetime_after((0, 9_700), (120, 0), (5, 9_700), (60, 16), (1, 9_700)) == 60
    assert lifetime_after((0, 9_700), (60, 0), (1, 9_700), (90, 9_700)) == math.inf, "it survived a longer pause"


def test_cache_lost_without_a_pause_gives_no_lifetime() -> None:
    assert lifetime_after((0, 9_700), (2, 0), (2, 0)) == math.inf
    assert lifetime_after((0, 0), (120, 0), (120, 0)) == math.inf
    before, after = turn(1, 9_700, 39_000), turn(2, 0, 39_000)
    later = [event.model_copy(update={"mono": 500.0}) for event in after]
    assert measure_cache([*before, *later]).cache_lifetime == 500
    resumed = Resumed(harness_version="1")
    assert measure_cache([*before, resumed, *later]).cache_lifetime == math.inf, "another process, another clock"
