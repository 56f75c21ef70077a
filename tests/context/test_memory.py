"""The memory of ninety attempts stays within its budget and mostly grows at its end."""

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
            AttemptStarted(attempt=number, parents=["a" * 40] if number > 1 else []),
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


def test_short_memory_is_not_folded() -> None:
    assert memory.render_memory(STATES[4], BUDGET) == memory.render_memory(STATES[4])


def test_long_memory_fits_its_budget_and_names_every_attempt() -> None:
    text = memory.render_memory(STATES[-1], BUDGET)
    entries, rows = text.count("## Attempt "), text.count("stacked forests |")
    assert entries + rows == 90
    assert "idea 1: stacked forests" in text and "flaw 1" in text
    unfolded = text[text.index("## Attempt ") :]
    assert estimate_tokens(len(unfolded.encode())) <= BUDGET
    assert estimate_tokens(len(text.encode())) < estimate_tokens(len(memory.render_memory(STATES[-1]).encode()))


def test_memory_mostly_grows_at_its_end() -> None:
    chains = [memory.render_memory(state, BUDGET) for state in STATES]
    rewritten = sum(not late.startswith(early) for early, late in pairwise(chains))
    assert 1 <= rewritten <= 6


def test_scores_are_compared_as_shown_with_the_best_before() -> None:
    text = memory.render_memory(STATES[3])
    assert "evaluation 001-1: scored 0.837 ± 0.010, commit" in text
    assert "evaluation 002-1: scored 0.874 ± 0.010 (+0.037 vs 001-1: better)" in text
    assert "evaluation 003-1: scored 0.821 ± 0.010 (-0.053 vs 002-1: worse)" in text
    assert "0.0370" not in text


def test_recorded_verdict_is_used() -> None:
    base = {"commit": "a" * 40, "tree": "b" * 40, "attempt": 1}
    events: list[Event] = [AttemptStarted(attempt=1)]
    for name, verdict, shown_score in (("001-1", "first", "0.90 ± 0.02"), ("001-2", "unclear", "0.90 ± 0.02"),
                                ("001-3", "worse", "below the best"), ("001-4", "real", "0.91 ± 0.02")):  # fmt: skip
        against = "" if verdict == "first" else "001-1"
        events += [
            EvaluationStarted(evaluation=name, call="c", command="python s.py", job=name, **base),  # type: ignore[arg-type]
            EvaluationFinished(
                evaluation=name, status="scored", score=0.9, shown_score=shown_score, verdict=verdict, against=against,
                promoted=verdict in ("first", "real"), **base,  # type: ignore[arg-type]
            ),
        ]  # fmt: skip
    state = fold(events)
    comparisons = [memory.compare_with_best(state, evaluation) for evaluation in state.evaluations.values()]
    assert comparisons == ["first score", "unclear vs 001-1", "worse vs 001-1", "+0.01 vs 001-1: real"]
