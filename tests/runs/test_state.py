"""Where a run stands, as a fold: the same whether it was followed event by event or read after a crash."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Call,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    JobFinished,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    Reminded,
    Resumed,
    RunCreated,
    ToolFinished,
    ToolStarted,
    Usage,
    WindowGivenUp,
)
from runs.state import State, fold


def created(lower_is_better: bool = False) -> RunCreated:
    return RunCreated(
        harness_version="1",
        run_id="r",
        task_id="t",
        task_path="/t",
        task_digest="d",
        metric="accuracy",
        lower_is_better=lower_is_better,
        is_demo=False,
        sandbox="local",
        protects_labels=False,
    )


def reply(*names: str, problem: str = "", cost: float = 0.5) -> ModelReplied:
    calls = [Call(id=name, name="bash", arguments="{}", problem=problem) for name in names]
    return ModelReplied(request=1, message="{}", calls=calls, cost=cost, usage=Usage(prompt=10, cached=4, completion=2))


def evaluated(name: str, score: float | None, status: str = "scored") -> list[Event]:
    started = EvaluationStarted(evaluation=name, call="c", command="x", commit=name, tree="t", job=f"e-{name}")
    finished = EvaluationFinished.model_validate(
        {"evaluation": name, "status": status, "commit": name, "tree": "t", "score": score}
    )
    return [started, finished]


def test_the_calls_of_the_last_reply_wait_until_each_has_its_result() -> None:
    state = fold([created(), AttemptStarted(), reply("a", "b"), ToolStarted(call="a", name="bash", job="j")])
    assert list(state.lane(0).pending) == ["a", "b"]
    assert state.lane(0).pending["a"].started is not None
    assert (state.lane(0).pending["b"].turn, state.lane(0).pending["b"].position) == (1, 1)
    assert state.lane(0).open_jobs == {"j": "a"}
    state.apply(ToolFinished(call="a", name="bash", content=""))
    assert list(state.lane(0).pending) == ["b"]
    state.apply(JobFinished(job="j", ended="exited", exit_code=0))
    assert state.lane(0).open_jobs == {}


def test_the_best_is_the_first_of_equals_and_follows_the_metrics_direction() -> None:
    up = fold([created(), *evaluated("1", 0.7), *evaluated("2", 0.9), *evaluated("3", 0.9), *evaluated("4", 0.8)])
    down = fold([created(lower_is_better=True), *evaluated("1", 0.7), *evaluated("2", 0.9), *evaluated("3", 0.6)])
    assert up.best is not None and up.best.id == "2"
    assert down.best is not None and down.best.id == "3"
    assert [e.became_best for e in up.evaluations.values()] == [True, True, False, False]


def test_without_labels_the_latest_valid_submission_is_the_best_known() -> None:
    events = [*evaluated("1", None, "unscored"), *evaluated("2", None, "unscored"), *evaluated("3", None, "invalid")]
    state = fold([created(), *events])
    assert state.best is not None and state.best.id == "2"


def test_time_between_a_crash_and_its_resume_is_not_active() -> None:
    state = fold(
        [
            created(),
            reply().model_copy(update={"mono": 100.0}),
            Resumed(harness_version="1").model_copy(update={"mono": 2.0}),
        ]
    )
    assert state.active_seconds == 102.0
    assert state.resumes == 1


def test_replies_without_a_usable_call_are_counted_until_one_comes() -> None:
    state = fold([created(), reply(), Reminded(text="n"), reply("a", problem="cut off")])
    assert state.unusable_replies == 2
    state.apply(reply("b"))
    assert state.unusable_replies == 0
    assert not state.lane(0).needs_reminder


def test_money_counts_replies_and_what_was_cut_off() -> None:
    state = fold([created(), AttemptStarted(), reply("a", cost=0.25), ModelFailed(request=2, error="cut", cost=0.5)])
    assert state.cost == 0.75
    assert (state.prompt_tokens, state.cached_tokens, state.completion_tokens) == (10, 4, 2)
    assert state.is_cost_estimated


@pytest.mark.parametrize("why", ["too_large", "poisoned"])
def test_a_given_up_window_stays_given_up_after_a_crash(
    why: Literal["too_large", "poisoned"],
) -> None:
    head = {"system": "s", "tools": "[]", "user": "u"}
    resumed = [Resumed(harness_version="1"), EpochStarted(reason="resume", keeps_tail=True, **head)]
    begun = [created(), AttemptStarted(attempt=1), EpochStarted(reason="attempt", **head)]
    given_up = [WindowGivenUp(why=why, attempt=1), *resumed]
    assert fold([*begun, reply(), *given_up]).lane(0).given_up == why
    assert fold([*begun, *given_up]).lane(0).given_up == ""
    assert fold([*begun, reply(), *given_up, AttemptEnded(why="window"), AttemptStarted()]).lane(0).given_up == ""


def test_an_attempt_that_ended_leaves_no_call_and_no_killed_job() -> None:
    state = fold([created(), AttemptStarted(), reply("a"), ToolStarted(call="a", name="bash", job="j")])
    state.apply(AttemptEnded(why="turns", killed_jobs=["j"]))
    assert (state.lane(0).pending, state.lane(0).open_jobs, state.lane(0).attempt) == ({}, {}, None)
    assert state.attempts[0].ended == "turns"


some_events = st.lists(
    st.sampled_from(
        [
            AttemptStarted(),
            reply(),
            reply("a", "b"),
            ToolStarted(call="a", name="bash", job="j"),
            ToolFinished(call="a", name="bash", content="x"),
            JobFinished(job="j", ended="exited"),
            ModelAsked(request=1, messages=1, size=1),
            Resumed(harness_version="1"),
            Reminded(text="n"),
            *evaluated("1", 0.5),
        ]
    ),
    max_size=30,
)


@given(some_events, st.integers(0, 30))
def test_a_fold_can_be_stopped_and_gone_on_with_anywhere(events: list[Event], cut: int) -> None:
    known: list[Event] = [created(), AttemptStarted(), *evaluated("1", 0.1), *events]
    whole, parts = fold(known), State()
    for event in known[:cut]:
        parts.apply(event)
    for event in known[cut:]:
        parts.apply(event)
    assert parts == whole
