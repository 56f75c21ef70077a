"""Finalists come from all branches of the search."""

from __future__ import annotations

from harness.evaluation.finalists import choose_finalists, eligible
from runs.branches import branches_of
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    PlanMade,
)
from runs.state import State, fold


def run(*attempts: tuple[int, float, str]) -> State:
    """A run of attempts: the attempt that each starts from (0: a draft), its score, and its verdict."""
    events: list[Event] = [
        PlanMade(folds=0, labelled_rows=900, seconds=1.0, allowance=60.0, kept_back=60.0, why="enough rows")
    ]
    for number, (parent, score, verdict) in enumerate(attempts, 1):
        move, parents = ("improve", [f"{parent:040x}"]) if parent else ("draft", [])
        base = {"evaluation": f"{number}", "commit": f"{number:040x}", "tree": f"{number:040d}", "attempt": number}
        events += [
            AttemptStarted(move=move, parents=parents, attempt=number),
            EvaluationStarted(call="c", command="python s.py", job=f"e-{number}", **base),  # type: ignore[arg-type]
            EvaluationFinished(
                status="scored", score=score, verdict=verdict, promoted=verdict in ("first", "real"), folds=1, **base
            ),  # type: ignore[arg-type]
            AttemptEnded(why="finish", attempt=number),
        ]
    return fold(events)


def names(state: State, count: int) -> list[str]:
    return [e.id for e in choose_finalists(eligible(state), branches_of(state), count)]


ONE_BRANCH_LEADS = (
    (0, 0.80, "first"),
    (0, 0.70, "unclear"),
    (0, 0.60, "worse"),
    (1, 0.90, "real"),
    (4, 0.89, "unclear"),
    (4, 0.88, "unclear"),
    (4, 0.87, "unclear"),
    (2, 0.75, "unclear"),
)


def test_the_best_of_another_branch_takes_the_place_of_the_weakest_sibling() -> None:
    assert names(run(*ONE_BRANCH_LEADS), 4) == ["4", "5", "6", "8"]
    assert names(run(*ONE_BRANCH_LEADS), 2) == ["4", "8"]


def test_what_is_clearly_worse_is_not_a_finalist_whatever_its_branch() -> None:
    assert "3" not in names(run(*ONE_BRANCH_LEADS), 8)


def test_at_most_half_of_the_places_go_to_other_branches() -> None:
    many = (*ONE_BRANCH_LEADS, *((0, 0.5 + number / 100, "unclear") for number in range(5)))
    chosen = names(run(*many), 4)
    assert chosen[:2] == ["4", "5"] and chosen[2:] == ["8", "13"]


def test_without_other_branches_the_order_is_by_score() -> None:
    assert names(run((0, 0.8, "first"), (1, 0.9, "real"), (2, 0.85, "unclear")), 2) == ["2", "3"]
