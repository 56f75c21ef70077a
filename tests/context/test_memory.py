"""Memory of ninety attempts stays within its budget, and changes only where it must."""

from __future__ import annotations

from itertools import pairwise

from context import memory
from context.tokens import estimate_tokens
from runs.events.registry import AttemptEnded, AttemptStarted, EvaluationFinished, EvaluationStarted, Event
from runs.state import State, fold

BUDGET = 3_000


def attempts(count: int) -> list[State]:
    """The states of a run after each of its attempts."""
    events: list[Event] = []
    states = []
    for number in range(1, count + 1):
        score = 0.80 + 0.001 * ((number * 37) % 90)
        base = {"commit": f"{number:040x}", "tree": "b" * 40}
        events += [
            AttemptStarted(attempt=number, parent="a" * 40 if number > 1 else None),
            EvaluationStarted(
                evaluation=f"{number:03d}-1", call="c", command="python s.py", job=f"e-{number}", attempt=number, **base
            ),
            EvaluationFinished(
                evaluation=f"{number:03d}-1", status="scored", score=score, noise=0.01,
                shown_score=f"{score:.3f} ± 0.010", attempt=number, **base,
            ),
            AttemptEnded(
                why="finish", did=f"idea {number}: stacked forests", criticism=f"flaw {number}", attempt=number
            ),
        ]  # fmt: skip
        states.append(fold(events))
    return states


STATES = attempts(90)


def test_a_short_chain_is_told_whole() -> None:
    assert memory.render_memory(STATES[4], BUDGET) == memory.render_memory(STATES[4])


def test_a_long_chain_stays_within_its_budget_and_names_every_attempt() -> None:
    told = memory.render_memory(STATES[-1], BUDGET)
    entries, rows = told.count("## Attempt "), told.count("stacked forests |")
    assert entries + rows == 90
    assert "idea 1: stacked forests" in told and "flaw 1" in told
    unfolded = told[told.index("## Attempt ") :]
    assert estimate_tokens(len(unfolded.encode())) <= BUDGET
    assert estimate_tokens(len(told.encode())) < estimate_tokens(len(memory.render_memory(STATES[-1]).encode()))


def test_the_chain_mostly_grows_at_its_end_and_folds_seldom() -> None:
    chains = [memory.render_memory(state, BUDGET) for state in STATES]
    rewritten = sum(not late.startswith(early) for early, late in pairwise(chains))
    assert 1 <= rewritten <= 6


def test_a_score_is_compared_with_the_best_before_it_from_what_was_told() -> None:
    told = memory.render_memory(STATES[3])
    assert "evaluation 001-1: scored 0.837 ± 0.010, commit" in told
    assert "evaluation 002-1: scored 0.874 ± 0.010 (+0.037 on 001-1: better)" in told
    assert "evaluation 003-1: scored 0.821 ± 0.010 (-0.053 on 002-1: worse)" in told
    assert "0.0370" not in told


def test_the_verdict_is_the_one_that_was_judged() -> None:
    base = {"commit": "a" * 40, "tree": "b" * 40, "attempt": 1}
    events: list[Event] = [AttemptStarted(attempt=1)]
    for name, verdict, told in (("001-1", "first", "0.90 ± 0.02"), ("001-2", "unclear", "0.90 ± 0.02"),
                                ("001-3", "worse", "below the best"), ("001-4", "real", "0.91 ± 0.02")):  # fmt: skip
        against = "" if verdict == "first" else "001-1"
        events += [
            EvaluationStarted(evaluation=name, call="c", command="python s.py", job=name, **base),  # type: ignore[arg-type]
            EvaluationFinished(
                evaluation=name, status="scored", score=0.9, shown_score=told, verdict=verdict, against=against,
                promoted=verdict in ("first", "real"), **base,  # type: ignore[arg-type]
            ),
        ]  # fmt: skip
    state = fold(events)
    told = [memory.compare_with_best(state, one) for one in state.evaluations.values()]
    assert told == ["first", "unclear on 001-1", "worse on 001-1", "+0.01 on 001-1: real"]
