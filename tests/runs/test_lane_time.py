"""Every second of every lane and every cent belongs to one part, and the parts sum to the whole."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_stories import created

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Decided,
    EndpointProbed,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    FoldFinished,
    FoldStarted,
    JobFinished,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    Paused,
    PlayContinued,
    PlayPaused,
    Resumed,
    RunEnded,
    ToolFinished,
    ToolStarted,
    Usage,
    Waited,
)
from runs.state import fold
from runs.usage.lane_time import bins, lane_times
from runs.usage.money import money_of

START = datetime(2026, 12, 1, tzinfo=UTC)
PRICES = {"input": 1.0, "cached": 0.1, "output": 4.0, "source": "test"}


def timed(*story: tuple[float, Event]) -> list[Event]:
    """Events with the seconds since the run began; a `Resumed` restarts the run's own clock."""
    events, began = [], 0.0
    for seconds, event in story:
        began = seconds if isinstance(event, Resumed) else began
        moment = (START + timedelta(seconds=seconds)).isoformat()
        events.append(event.model_copy(update={"mono": seconds - began, "at": moment, "seq": len(events)}))
    return events


def evaluation_started(**fields: int) -> EvaluationStarted:
    return EvaluationStarted(evaluation="001-1", call="b", command="c", commit="c", tree="t", job="e-001-1", **fields)


def test_each_stretch_of_a_turn_belongs_to_what_the_lane_was_doing() -> None:
    done = EvaluationFinished(evaluation="001-1", status="scored", commit="c", tree="t", attempt=1)
    times = lane_times(
        timed(
            (0, created()),
            (2, AttemptStarted(attempt=1)),
            (3, ModelAsked(request=1, messages=1, size=1, attempt=1)),
            (13, ModelFailed(request=1, error="503", again_in=20, attempt=1)),
            (33, Waited(on="the endpoint, asked again", request=1, attempt=1)),
            (40, ModelReplied(request=1, message="{}", attempt=1)),
            (41, ToolStarted(call="a", name="bash", job="j", attempt=1)),
            (51, ToolFinished(call="a", name="bash", content="", attempt=1)),
            (52, ToolStarted(call="b", name="evaluate", attempt=1)),
            (53, evaluation_started(attempt=1)),
            (73, Waited(on="a lease for job e-001-1", seconds=5, attempt=1)),
            (83, JobFinished(job="e-001-1", ended="exited", attempt=1)),
            (85, FoldStarted(evaluation="001-1", fold="fold1", job="f", attempt=1)),
            (95, FoldFinished(evaluation="001-1", fold="fold1", status="scored", attempt=1)),
            (97, done),
            (98, ToolFinished(call="b", name="evaluate", content="", attempt=1)),
            (99, AttemptEnded(why="finish", attempt=1)),
            (100, RunEnded(why="attempts")),
        )
    )
    expected = {"endpoint": 20, "thinking": 17, "job": 10 + 25, "lease": 5, "folds": 10, "judging": 2 + 2}
    assert {part: seconds for part, seconds in times.totals().items() if part in expected} == expected
    assert times.totals()["harness"] == 100 - 1 - sum(expected.values())
    assert times.totals()["idle"] == 1
    assert times.largest_losses()[0] == ("endpoint", 20)


def test_time_between_two_processes_is_paused_in_every_lane() -> None:
    times = lane_times(
        timed(
            (0, created()),
            (1, AttemptStarted(attempt=1)),
            (2, AttemptStarted(attempt=2, lane=1)),
            (5, Paused(why="Ctrl-C")),
            (1005, Resumed(harness_version="0.1")),
            (1010, RunEnded(why="stopped")),
        )
    )
    assert times.whole == 2 * 1010
    assert [times.totals(lane)["paused"] for lane in (0, 1)] == [1000, 1000]


def test_a_pause_by_a_person_is_paused_time_whether_or_not_the_clock_runs() -> None:
    story = timed(
        (0, created()),
        (1, AttemptStarted(attempt=1)),
        (2, ModelAsked(request=1, messages=1, size=1, attempt=1)),
        (10, PlayPaused(request="r")),
        (110, PlayContinued(request="r", seconds=100)),
        (115, ModelReplied(request=1, message="{}", attempt=1)),
    )
    for stands_still in (False, True):
        late = [event.model_copy(update={"mono": event.mono - 100}) if event.seq > 3 else event for event in story]
        times = lane_times(late if stands_still else story)
        assert times.totals()["paused"] == 100
        assert times.totals()["thinking"] == 13


LANE_EVENTS = st.sampled_from(
    [
        AttemptStarted(),
        AttemptEnded(why="finish"),
        ModelAsked(request=1, messages=1, size=1),
        ModelReplied(request=1, message="{}", cost=0.25, usage=Usage(prompt=100, cached=60, completion=7)),
        ModelReplied(request=1, message="{}", cost=0.125),
        ModelFailed(request=1, error="e", again_in=1.0, cost=0.0625),
        ModelFailed(request=1, error="e"),
        Waited(on="the endpoint", request=1),
        Waited(on="a lease", seconds=30.0),
        Waited(on="heartbeat"),
        ToolStarted(call="a", name="bash", job="j"),
        ToolStarted(call="b", name="evaluate"),
        ToolStarted(call="w", name="wait"),
        ToolFinished(call="a", name="bash", content=""),
        evaluation_started(),
        JobFinished(job="e-001-1", ended="exited"),
        FoldStarted(evaluation="001-1", fold="fold1", job="f"),
        FoldFinished(evaluation="001-1", fold="fold1", status="scored"),
        EvaluationFinished(evaluation="001-1", status="failed", commit="c", tree="t"),
        Decided(step="finalists", chosen="", why=""),
        Decided(step="record", chosen="", why=""),
        EndpointProbed(when="", findings=[], cost=0.5),
        Resumed(harness_version="0.1"),
        PlayPaused(request="r"),
        PlayContinued(request="r"),
        RunEnded(why="hours"),
    ]
)


@given(st.lists(st.tuples(LANE_EVENTS, st.integers(0, 3), st.integers(0, 900)), max_size=60))
def test_parts_sum_to_the_whole(story: list[tuple[Event, int, int]]) -> None:
    seconds, events = 0, [(0.0, created(prices=PRICES))]
    for event, lane, after in story:
        seconds += after
        events.append((float(seconds), event.model_copy(update={"lane": lane, "attempt": lane + 1})))
    journal = timed(*events)
    times, money = lane_times(journal), money_of(journal)
    assert times.position == seconds
    for lane in times.lanes:
        segments = list(times.segments(lane))
        assert sum(times.totals(lane).values()) == pytest.approx(seconds)
        assert all(one.end == next_one.start for one, next_one in itertools.pairwise(segments))
        binned = bins(segments, times.position, 7)
        assert sum(sum(one.values()) for one in binned) == pytest.approx(seconds)
    assert sum(times.totals().values()) == pytest.approx(times.whole)
    paid = sum(getattr(event, "cost", 0.0) for event in journal)
    assert sum(money.parts.values()) == pytest.approx(paid)
    assert sum(money.attempts.values()) == pytest.approx(money.total) == pytest.approx(paid)


def test_the_cost_of_a_reply_is_split_by_its_tokens() -> None:
    reply = ModelReplied(request=1, message="{}", cost=0.5, usage=Usage(prompt=1000, cached=500, completion=100))
    journal = timed((0, created(prices=PRICES)), (1, reply))
    parts = money_of(journal).parts
    assert parts["input"] / parts["output"] == pytest.approx(500 / 400)
    assert parts["cached"] / parts["output"] == pytest.approx(50 / 400)
    assert fold(journal).cost == pytest.approx(sum(parts.values()))
