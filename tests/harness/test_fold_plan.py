"""Solutions are evaluated on folds if rows are few and jobs short, on one split if folds would take too long."""

from __future__ import annotations

from harness.evaluation.fold_plan import affordable


def test_few_rows_and_short_jobs_get_folds() -> None:
    folds, why = affordable(5, 455, seconds=3.4, allowance=60.0, expected=6)
    assert folds == 5, why
    assert "455" in why


def test_only_promising_evaluations_are_charged_with_folds() -> None:
    """Four more jobs of 4 s fit a minute three times: half of six solutions, not all of them."""
    assert affordable(5, 455, seconds=4.0, allowance=60.0, expected=6)[0] == 5
    assert affordable(5, 455, seconds=4.0, allowance=60.0, expected=12)[0] == 0


def test_a_long_job_gets_one_split_and_the_reason_has_the_cost() -> None:
    folds, why = affordable(5, 455, seconds=600.0, allowance=3600.0, expected=20)
    assert folds == 0
    assert "2400 s" in why


def test_many_rows_or_no_labels_need_no_folds() -> None:
    folds, why = affordable(0, 90_000, seconds=1.0, allowance=3600.0, expected=6)
    assert folds == 0 and "90000" in why
    folds, why = affordable(0, 0, seconds=1.0, allowance=3600.0, expected=6)
    assert folds == 0 and "no labels" in why
