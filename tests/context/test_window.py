"""The window as a projection of events: within an epoch it only grows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from context.first_message import render_first_message
from context.window import Window
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Call,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelAsked,
    ModelReplied,
    Reminded,
    ThresholdsKnown,
    ToolFinished,
    Usage,
    Warned,
)
from runs.state import State, fold


def epoch(user: str = "task", keeps_tail: bool = False) -> EpochStarted:
    return EpochStarted(
        reason="resume" if keeps_tail else "attempt", system="s", tools="[]", user=user, keeps_tail=keeps_tail
    )


def reply(number: int) -> ModelReplied:
    call = Call(id=f"c{number}", name="bash", arguments="{}")
    message = {"role": "assistant", "content": f"☃ {number}", "tool_calls": []}
    return ModelReplied(request=number, message=json.dumps(message), calls=[call], usage=Usage(prompt=100 * number))


def result(number: int, text: str) -> ToolFinished:
    return ToolFinished(call=f"c{number}", name="bash", content=text)


events_of_an_epoch = st.lists(
    st.one_of(
        st.integers(1, 9).map(reply),
        st.tuples(st.integers(1, 9), st.text(max_size=40)).map(lambda pair: result(*pair)),
        st.text(max_size=20).map(lambda text: Reminded(text=text)),
        st.text(max_size=20).map(lambda text: Warned(message=text)),
    ),
    max_size=30,
)


@given(events_of_an_epoch, st.integers(0, 30))
def test_window_of_a_prefix_of_events_is_a_prefix(events: list[Event], cut: int) -> None:
    early, late = Window(), Window()
    for event in [epoch(), *events[:cut]]:
        early.apply(event)
    for event in [epoch(), *events]:
        late.apply(event)
    assert late.messages[: len(early.messages)] == early.messages
    asked = ModelAsked(request=1, messages=len(early.messages), size=early.size, digest=early.digest())
    assert not late.breaks_prefix(asked)


@given(events_of_an_epoch)
def test_every_message_is_valid_json_with_a_role(events: list[Event]) -> None:
    window = Window()
    for event in [epoch(), *events]:
        window.apply(event)
    for message in [window.system, *window.messages]:
        assert json.loads(message)["role"] in ("system", "user", "assistant", "tool")
    assert window.size == len(window.system) + len(window.tools) + sum(map(len, window.messages))


def test_resume_replaces_the_first_message_and_keeps_turns() -> None:
    window = Window()
    for event in [epoch("until noon"), reply(1), result(1, "ok"), epoch("until night", keeps_tail=True)]:
        window.apply(event)
    assert json.loads(window.messages[0])["content"] == "until night"
    assert len(window.messages) == 3


def test_new_attempt_starts_with_the_first_message_only() -> None:
    window = Window()
    for event in [epoch(), reply(1), result(1, "ok"), epoch("next")]:
        window.apply(event)
    assert len(window.messages) == 1


def test_digest_mismatch_counts_as_a_breach() -> None:
    window = Window()
    for event in [epoch(), reply(1)]:
        window.apply(event)
    sent = ModelAsked(request=2, messages=2, size=0, digest="something else")
    assert window.breaks_prefix(sent)
    window.apply(sent)
    assert window.breaches == 1


def test_tokens_are_the_last_count_plus_an_estimate() -> None:
    window = Window()
    for event in [epoch("task " * 400), reply(5)]:
        window.apply(event)
    before = window.tokens()
    assert 500 <= before < 560
    window.apply(result(5, "x" * 3000))
    expected = 3000 / window.fit.bytes_per_token
    assert expected <= window.tokens() - before <= 1.1 * expected


def test_count_above_the_number_of_bytes_is_ignored() -> None:
    """Some endpoints report a running total of all requests."""
    window = Window()
    for event in [epoch(), reply(5000)]:
        window.apply(event)
    assert window.tokens() <= window.size


def run_with(*more: Event) -> State:
    base: dict[str, Any] = {"commit": "a" * 40, "tree": "b" * 40}
    return fold(
        [
            ThresholdsKnown(gold=0.99, silver=0.98, bronze=0.97, median=0.9),
            AttemptStarted(attempt=1),
            EvaluationStarted(evaluation="001-1", call="c1", command="python s.py", job="e-001-1", attempt=1, **base),
            EvaluationFinished(
                evaluation="001-1",
                status="scored",
                score=0.912345,
                noise=0.02,
                shown_score="0.91 ± 0.02",
                attempt=1,
                **base,
            ),
            AttemptEnded(why="finish", did="a tree", criticism="too\nsmall", next="a forest", lessons=["scale"]),
            *more,
        ]
    )


def test_first_message_contains_facts_and_report_of_an_attempt() -> None:
    message = render_first_message(
        run_with(AttemptStarted(parents=["a" * 40], attempt=2)), "noon", "- At most 6 attempts."
    )
    assert (
        "evaluation 001-1: scored 0.91 ± 0.02, 0.0 min, commit aaaaaaaaaa, `python s.py`, best at the time" in message
    )
    assert "criticism: too small" in message
    assert "lesson: scale" in message
    assert "attempt: 2" in message
    assert "best: evaluation 001-1, 0.91 ± 0.02" in message


def test_thresholds_and_exact_scores_never_reach_the_window() -> None:
    message = render_first_message(run_with(AttemptStarted(attempt=2)), "noon", "")
    for secret in ("0.99", "0.98", "0.97", "0.912345"):
        assert secret not in message


def test_memory_grows_at_its_end() -> None:
    from context import memory

    before = memory.render_memory(run_with())
    after = memory.render_memory(
        run_with(AttemptStarted(attempt=2), AttemptEnded(why="turns", did="nothing", criticism="", next=""))
    )
    assert after.startswith(before)
