"""Which earlier attempts each move shows whole."""

from __future__ import annotations

from context.memory_scope import attempts_in_scope, render_scope
from runs.events.registry import AttemptEnded, AttemptStarted, EvaluationFinished, EvaluationStarted, Event
from runs.state import State, fold


def commit(attempt: int) -> str:
    return f"{attempt:040x}"


def run(*moves: tuple[str, tuple[int, ...]]) -> State:
    """A run of these moves, each with the attempts it starts from; the last attempt is open."""
    events: list[Event] = []
    for number, (move, parents) in enumerate(moves, 1):
        events.append(AttemptStarted(move=move, parents=[commit(one) for one in parents], attempt=number))
        if number == len(moves):
            break
        name, base = f"{number:03d}-1", {"commit": commit(number), "tree": "b" * 40, "attempt": number}
        events.append(EvaluationStarted(evaluation=name, call="c", command="python s.py", job=f"e-{name}", **base))
        events.append(EvaluationFinished(evaluation=name, status="scored", score=0.8, shown_score="0.8", **base))
        events.append(AttemptEnded(why="finish", did=f"idea {number}", attempt=number))
    return fold(events)


DRAFTS = (("draft", ()), ("draft", ()), ("improve", (1,)), ("improve", (3,)), ("improve", (3,)), ("improve", (2,)))


def scope(state: State) -> list[int]:
    return attempts_in_scope(state, state.attempts[-1])


def test_a_draft_shows_the_other_drafts() -> None:
    assert scope(run(*DRAFTS, ("draft", ()))) == [2, 1]


def test_an_improvement_shows_its_parent_then_siblings_then_ancestors() -> None:
    assert scope(run(*DRAFTS, ("improve", (3,)))) == [3, 5, 4, 1]


def test_a_repair_shows_what_failed_and_its_ancestors() -> None:
    assert scope(run(*DRAFTS, ("repair", (4,)))) == [4, 3, 1]


def test_a_combination_shows_both_histories() -> None:
    assert scope(run(*DRAFTS, ("combine", (4, 6)))) == [4, 6, 3, 2, 1]


def test_entries_shown_elsewhere_are_left_out_and_the_budget_holds() -> None:
    state = run(*DRAFTS, ("improve", (3,)))
    text = render_scope(state, state.attempts[-1])
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## Attempt {n}" for n in (1, 3, 4, 5)]
    assert "## Attempt 4" not in render_scope(state, state.attempts[-1], shown="## Attempt 4\n")
    few = render_scope(state, state.attempts[-1], tokens=60)
    assert [line for line in few.splitlines() if line.startswith("## ")] == ["## Attempt 3"]
    assert render_scope(run(("draft", ())), run(("draft", ())).attempts[-1]) == ""
