"""The agent hears a new score only where it really is better: each other number is a look at the held-out rows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.verdict import FAILED_ELSEWHERE, NOT_REPRODUCED, Verdict, _told, is_promoted
from runs.state import State
from runs.state_types import Evaluation
from runs.views.final_choice import holdout_queries
from tasks.metrics.bootstrap import REAL_SHARE

BEST = Evaluation("001-1", 1, "c", "python s.py", "0" * 40, "t", "e-001-1", "scored", 0.9, 0.01, "0.90 ± 0.01")
HEARD = Verdict("unclear", 0.91, 0.01, "0.91 ± 0.01")


def heard(verdict: Verdict, best: Evaluation | None = BEST, state: State | None = None, most: int = 100) -> str:
    return _told(state or State(), most, verdict, best)


def test_what_is_within_the_noise_is_told_as_the_best_was_even_where_it_replaces_it() -> None:
    assert heard(HEARD) == heard(replace(HEARD, is_promoted=True)) == BEST.shown_score
    assert heard(replace(HEARD, kind="real", is_promoted=True)) == HEARD.shown_score


def test_what_does_not_hold_elsewhere_is_not_told_at_all() -> None:
    for kind in ("first", "real", "unclear", "worse"):
        for best in (BEST, None):
            assert heard(replace(HEARD, kind=kind, alarm=NOT_REPRODUCED), best) == "not told"


def test_looks_that_are_no_gain_are_bounded() -> None:
    state, worse = State(), replace(HEARD, kind="worse")
    for number in range(200):
        told = heard(worse, state=state, most=5)
        assert told == (HEARD.shown_score if number < 5 else "below the best")
        state.evaluations[str(number)] = replace(BEST, id=str(number), verdict="worse")
    spying = replace(HEARD, kind="first", alarm=FAILED_ELSEWHERE)
    assert heard(spying, None, state, 5) == "not told", "nor does failing on the other folds for ever bring more"


def test_an_alarm_is_a_look_even_if_no_score_is_told() -> None:
    state = State()
    for number, (verdict, alarm) in enumerate((("unclear", ""), ("unclear", NOT_REPRODUCED), ("real", ""))):
        state.evaluations[str(number)] = replace(BEST, id=str(number), verdict=verdict, alarm=alarm)
    assert holdout_queries(state) == 2


@given(share=st.floats(0, 1), sides=st.lists(st.floats(0, 1), max_size=2))
def test_only_a_real_gain_or_one_repeated_on_two_sets_of_rows_is_promoted(share: float, sides: list[float]) -> None:
    kind = "real" if share >= REAL_SHARE else "worse" if share <= 1 - REAL_SHARE else "unclear"
    promoted = is_promoted(kind, share, sides)
    assert promoted == (
        kind == "real" or (kind == "unclear" and share >= 0.75 and len(sides) == 2 and min(sides) > 0.5)
    )
