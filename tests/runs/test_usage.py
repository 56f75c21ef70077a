"""Every dollar and every second of a run is counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_stories import created, small_run, stamp

from runs.events.registry import (
    Event,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    Resumed,
    ToolFinished,
    Usage,
    Waited,
    Warned,
)
from runs.state import fold
from runs.usage.cost import sum_usage


def test_tokens_and_dollars_add_up_in_total_and_by_attempt() -> None:
    sums = sum_usage(small_run())
    assert (sums.total.cost, sums.total.requests, sums.total.replies, sums.total.failures) == (0.5, 4, 2, 2)
    assert (sums.total.prompt_tokens, sums.total.cached_tokens, sums.total.completion_tokens) == (2000, 800, 100)
    assert sums.total.cached_share == 0.4
    assert (sums.attempts[1].cost, sums.attempts[2].job_seconds) == (0.25, 12.5)
    assert not sums.total.is_estimated


def test_failed_request_adds_its_estimated_cost() -> None:
    events = [created(), ModelFailed(request=1, error="cut", cost=0.5)]
    assert (sum_usage(events).total.cost, sum_usage(events).total.is_estimated) == (0.5, True)


def test_every_second_is_model_working_waiting_or_own_time() -> None:
    story: list[tuple[float, Event]] = [
        (0.0, created()),
        (1.0, ModelAsked(request=1, messages=1, size=1)),  # own: 1
        (4.0, ModelFailed(request=1, error="503", again_in=5)),  # waiting: 3
        (9.0, ModelAsked(request=1, messages=1, size=1)),  # waiting: 5
        (19.0, ModelReplied(request=1, message="{}", usage=Usage(estimated=True))),  # model: 10
        (49.0, Waited(on="j")),  # working: 30
        (50.0, ToolFinished(call="c", name="bash", content="")),  # working: 1
        (2.0, Resumed(harness_version="1")),  # a new process: own: 2
        (5.0, Warned(message="w")),  # own: 3
    ]
    total = sum_usage(stamp(event, seq, mono) for seq, (mono, event) in enumerate(story)).total
    assert (total.own_seconds, total.waiting_seconds, total.model_seconds, total.working_seconds) == (6, 8, 10, 31)
    assert total.active_seconds == 55
    assert total.is_estimated


STEPS = st.lists(st.tuples(st.sampled_from([*small_run()[3:], Resumed(harness_version="1")]), st.floats(0, 1000)))


@given(STEPS)
def test_active_seconds_agree_with_the_state(steps: list[tuple[Event, float]]) -> None:
    mono, seconds = 0.0, []
    for event, step in steps:
        mono = step if isinstance(event, Resumed) else mono + step
        seconds.append(mono)
    clocked = [stamp(event, seq, mono) for seq, ((event, _), mono) in enumerate(zip(steps, seconds, strict=True))]
    only_clock = [event if isinstance(event, Resumed) else Waited(on="", mono=event.mono) for event in clocked]
    assert sum_usage(clocked).total.active_seconds == pytest.approx(fold(only_clock).active_seconds)
