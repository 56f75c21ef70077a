"""The memory of ninety attempts stays within its budget and mostly grows at its end."""

from __future__ import annotations

from itertools import pairwise

from context import memory
from context.tokens import estimate_tokens
from runs.branches import count_quiet
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


def test_memory_fits_its_budget_and_names_every_attempt() -> None:
    text = memory.render_memory(STATES[-1], 5_000)
    rows = text[: text.index("\n## Attempt ")]
    assert all(f"| idea {number}: stacked forests |" in rows for number in range(1, 91))
    assert "## Attempt 90\n" in text and "## Attempt 1\n" not in text
    assert estimate_tokens(len(text.encode())) <= 5_000
    assert estimate_tokens(len(memory.render_memory(STATES[-1], BUDGET).encode())) <= BUDGET


def test_rows_only_grow_at_their_end() -> None:
    tables = [memory.render_memory(state, BUDGET).partition("\n\n## Attempt ")[0] for state in STATES]
    rewritten = sum(not late.startswith(early) for early, late in pairwise(tables))
    assert 1 <= rewritten <= 6


def lanes_side_by_side() -> list[Event]:
    """Attempt 1 ends with its evaluation open; its result, the best so far, comes when attempt 2 has ended too."""
    events: list[Event] = []
    for number, score in ((1, 0.9), (2, 0.7)):
        base = {"evaluation": f"{number:03d}-1", "commit": f"{number:040x}", "tree": "b" * 40, "attempt": number}
        about = {"attempt": number, "lane": number - 1}
        events += [
            AttemptStarted(**about),
            EvaluationStarted(call="c", command="python s.py", job=f"e-{number}", lane=number - 1, **base),  # type: ignore[arg-type]
            EvaluationFinished(status="scored", score=score, shown_score=f"{score:.2f}", lane=number - 1, **base),  # type: ignore[arg-type]
            AttemptEnded(why="finish", did=f"idea {number}", **about),
        ]  # fmt: skip
    late = events.pop(2)
    return [event.model_copy(update={"mono": float(at)}) for at, event in enumerate([*events, late])]


def test_a_result_that_comes_after_its_attempt_has_a_row_of_its_own() -> None:
    events = lanes_side_by_side()
    before, after = (memory.render_memory(fold(some), BUDGET).partition("\n\n## ")[0] for some in (events[:-1], events))
    assert "| 1 | idea 1 | running | not known yet |" in before
    assert after.startswith(before), "the rows before are never rewritten"
    assert "| 1, later | result of 001-1 | 0.90 | best at the time" in after[len(before) :]


def test_quiet_attempts_are_counted_from_the_moment_of_the_best() -> None:
    events = lanes_side_by_side()
    assert count_quiet(fold(events)) == 0, "attempt 2 ended before the best was known"
    third = [AttemptStarted(attempt=3, mono=8.0), AttemptEnded(why="finish", attempt=3, mono=9.0)]
    assert count_quiet(fold([*events, *third])) == 1


def test_entry_holds_what_the_attempt_found_out() -> None:
    ended = AttemptEnded(
        why="finish",
        attempt=1,
        done=["5 folds by surname"],
        facts=["`python t.py` printed: cv 0.81 (event 9)"],
        ideas={"001-1": "titles from names"},
        changed={"001-1": ["A solution.py", "M src/features.py"]},
    )
    base = {"evaluation": "001-1", "commit": "a" * 40, "tree": "b" * 40, "attempt": 1}
    started = EvaluationStarted(call="c", command="python s.py", job="e-1", **base)  # type: ignore[arg-type]
    finished = EvaluationFinished(status="scored", score=0.8, shown_score="0.80 ± 0.01", **base)  # type: ignore[arg-type]
    state = fold([AttemptStarted(attempt=1), started, finished, ended])
    entry = memory.render_entry(state, state.attempts[0])
    assert "; idea: titles from names; changed: A solution.py, M src/features.py" in entry
    assert "done: 5 folds by surname" in entry and "own result: `python t.py` printed: cv 0.81 (event 9)" in entry


def test_gains_are_those_of_the_journal() -> None:
    base = {"commit": "a" * 40, "tree": "b" * 40, "attempt": 1}
    events: list[Event] = [AttemptStarted(attempt=1)]
    for name, verdict, score, gain, reason in (
        ("001-1", "first", "0.90 ± 0.02", "", ""),
        ("001-2", "unclear", "0.90 ± 0.02", "", ""),  # an older journal: it shows the score of the best
        ("001-3", "worse", "below the best", "", ""),
        ("001-4", "real", "0.91 ± 0.02", "+0.0033 ± 0.0013", ""),
        ("001-5", "worse", "not shown", "", "it contains memorized labels"),
    ):
        against = "" if verdict == "first" else "001-1"
        events += [
            EvaluationStarted(evaluation=name, call="c", command="python s.py", job=name, **base),  # type: ignore[arg-type]
            EvaluationFinished(
                evaluation=name, status="scored", score=0.9, shown_score=score, verdict=verdict, against=against,
                shown_gain=gain, gain_folds=5, distrust_reason=reason, claimed=0.95, seconds=90,
                promoted=verdict in ("first", "real"), **base,  # type: ignore[arg-type]
            ),
        ]  # fmt: skip
    state = fold(events)
    first, unclear, worse, real, distrusted = map(memory.render_evaluation, state.evaluations.values())
    assert "scored 0.90 ± 0.02, first score, own score 0.95, 1.5 min" in first
    assert "unclear against 001-1" in unclear and "0.90" not in unclear
    assert "below the best, worse against 001-1" in worse
    assert "0.91 ± 0.02, gain over 001-1: +0.0033 ± 0.0013 (paired, 5 folds): real" in real
    assert "not shown" in distrusted and "not trusted: it contains memorized labels" in distrusted
    assert "worse" not in distrusted
