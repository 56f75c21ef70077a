"""The plan of judging: folds where rows are few and jobs are short, one blend where they would eat the run."""

from __future__ import annotations

from harness.evaluation.fold_plan import affordable


def test_few_rows_and_short_jobs_are_judged_over_folds() -> None:
    folds, why = affordable(5, 455, seconds=3.4, allowance=60.0, expected=6)
    assert folds == 5, why
    assert "455" in why


def test_only_the_evaluations_that_run_on_other_folds_are_charged_with_them() -> None:
    """Four more jobs of 4 s fit a minute three times: half of six solutions, not all of them."""
    assert affordable(5, 455, seconds=4.0, allowance=60.0, expected=6)[0] == 5
    assert affordable(5, 455, seconds=4.0, allowance=60.0, expected=12)[0] == 0


def test_a_long_job_is_judged_on_one_blend_and_the_plan_says_what_folds_would_have_cost() -> None:
    folds, why = affordable(5, 455, seconds=600.0, allowance=3600.0, expected=20)
    assert folds == 0
    assert "2400 s more" in why


def test_many_rows_and_no_labels_ask_for_no_folds() -> None:
    assert affordable(0, 90_000, seconds=1.0, allowance=3600.0, expected=6) == (
        0,
        "90000 labelled rows are enough for one blend",
    )
    assert affordable(0, 0, seconds=1.0, allowance=3600.0, expected=6) == (0, "there are no labels to hold out")
