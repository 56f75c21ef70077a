"""The model sees a new score only for a real gain: every other number is a query of the held-out rows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.folds import round_up_seconds
from harness.evaluation.verdict import (
    BELOW_BEST,
    FAILED_ELSEWHERE,
    NOT_REPRODUCED,
    NOT_SHOWN,
    Verdict,
    is_promoted,
    shown_gain,
    shown_score,
)
from runs.events.registry import EvaluationFinished, EvaluationStarted
from runs.state import State
from runs.state_types import Evaluation
from runs.views.final_choice import holdout_queries
from tasks.judging.judge import Judgement
from tasks.metrics.bootstrap import REAL_SHARE


def evaluation(verdict: str = "", distrust_reason: str = "") -> Evaluation:
    where = {"evaluation": "001-1", "commit": "0" * 40, "tree": "t"}
    started = EvaluationStarted.model_validate({**where, "call": "c", "command": "python s.py", "job": "e-001-1"})
    result = {"status": "scored", "score": 0.9, "noise": 0.01, "shown_score": "0.90 ± 0.01"}
    kinds = {"verdict": verdict, "distrust_reason": distrust_reason}
    return Evaluation(started, finished=EvaluationFinished.model_validate({**where, **result, **kinds}))


BEST = evaluation()
UNCLEAR = Verdict("unclear", Judgement("scored", "", 0.91, 0.01, "0.91 ± 0.01"))
COMPARED = Judgement("scored", "", 0.91, 0.01, "0.91 ± 0.01", gain=0.00334, gain_noise=0.00131)


def shown(verdict: Verdict, best: Evaluation | None = BEST, state: State | None = None, most: int = 100) -> str:
    return shown_score(state or State(), most, verdict, best)


def test_an_unclear_result_shows_no_number_even_if_it_replaces_the_best() -> None:
    assert shown(UNCLEAR) == shown(replace(UNCLEAR, is_promoted=True)) == ""
    assert shown_gain(replace(UNCLEAR, judged=COMPARED), "") == ""
    assert shown(replace(UNCLEAR, kind="real", is_promoted=True)) == UNCLEAR.judged.shown_score


def test_a_score_that_is_not_reproduced_is_never_shown() -> None:
    for kind in ("first", "real", "unclear", "worse"):
        for best in (BEST, None):
            assert shown(replace(UNCLEAR, kind=kind, distrust_reason=NOT_REPRODUCED), best) == NOT_SHOWN


def test_queries_without_a_gain_are_bounded() -> None:
    state, worse = State(), replace(UNCLEAR, kind="worse")
    for number in range(200):
        assert shown(worse, state=state, most=5) == (UNCLEAR.judged.shown_score if number < 5 else BELOW_BEST)
        state.evaluations[str(number)] = evaluation("worse")
    failing = replace(UNCLEAR, kind="first", distrust_reason=FAILED_ELSEWHERE)
    assert shown(failing, None, state, 5) == NOT_SHOWN, "failing on the other folds for ever shows no more"


def test_a_gain_is_shown_only_beside_a_score() -> None:
    for kind in ("real", "worse"):
        verdict = replace(UNCLEAR, kind=kind, judged=COMPARED)
        assert shown_gain(verdict, "0.91 ± 0.01") == "+0.0033 ± 0.0013"
        assert shown_gain(verdict, BELOW_BEST) == shown_gain(verdict, NOT_SHOWN) == ""
    assert shown_gain(replace(UNCLEAR, kind="first"), "0.91 ± 0.01") == "", "there is nothing to compare it with"


def test_a_distrusted_evaluation_counts_as_a_query_even_without_a_shown_score() -> None:
    state = State()
    for number, (verdict, reason) in enumerate((("unclear", ""), ("unclear", NOT_REPRODUCED), ("real", ""))):
        state.evaluations[str(number)] = evaluation(verdict, reason)
    assert holdout_queries(state) == 2


@given(share=st.floats(0, 1), sides=st.lists(st.floats(0, 1), max_size=2))
def test_only_a_real_or_repeated_gain_is_promoted(share: float, sides: list[float]) -> None:
    kind = "real" if share >= REAL_SHARE else "worse" if share <= 1 - REAL_SHARE else "unclear"
    promoted = is_promoted(kind, share, sides)
    assert promoted == (
        kind == "real" or (kind == "unclear" and share >= 0.75 and len(sides) == 2 and min(sides) > 0.5)
    )


def test_results_of_other_folds_are_shown_at_round_times() -> None:
    assert [round_up_seconds(seconds, 10) for seconds in (0.1, 5, 5.1, 58)] == [5, 5, 10, 60]
    assert [round_up_seconds(seconds, 2000) for seconds in (3, 1999, 2001)] == [100, 2000, 2100]
