"""Averages over seeds, compared with tables worked out by hand."""

from __future__ import annotations

import math

import pytest

from tasks.mlebench.aggregate import SeedsMissing, average_measures, group_by_competition, official_summary


def report(name: str, medal: str = "", valid: bool = True, above: bool = False) -> dict[str, object]:
    flags = {f"{one}_medal": medal == one for one in ("gold", "silver", "bronze")}
    common = {"above_median": above, "valid_submission": valid, "submission_exists": valid}
    return {"competition_id": name, "any_medal": bool(medal), **flags, **common}


THREE = {
    "a": [report("a", "gold"), report("a", "silver"), report("a")],
    "b": [report("b"), report("b", "bronze", above=True), report("b", valid=False)],
}


def test_complete_seeds_are_averaged_with_their_standard_error() -> None:
    seeds, measures = average_measures(THREE, ["a", "b"])
    assert seeds == 3
    assert measures["any_medal_percentage"].mean == pytest.approx((50 + 100 + 0) / 3)
    assert measures["any_medal_percentage"].standard_error == pytest.approx(50 / math.sqrt(3))
    assert measures["gold_medal_percentage"].mean == pytest.approx(50 / 3)
    assert measures["valid_submissions_percentage"].mean == pytest.approx((100 + 100 + 50) / 3)
    assert measures["above_median_percentage"].mean == pytest.approx(50 / 3)
    low, high = measures["any_medal_percentage"].interval
    assert (low, high) == pytest.approx((50 - 1.96 * 50 / math.sqrt(3), 50 + 1.96 * 50 / math.sqrt(3)))


def test_incomplete_seeds_do_not_count_unless_padded() -> None:
    uneven = {"a": THREE["a"], "b": THREE["b"][:2]}
    seeds, measures = average_measures(uneven, ["a", "b"])
    assert (seeds, measures["any_medal_percentage"].mean) == (2, 75.0)
    seeds, measures = average_measures(uneven, ["a", "b"], pads=True)
    assert (seeds, measures["any_medal_percentage"].mean) == (3, 50.0)
    assert measures["submission_exists_percentage"].mean == pytest.approx((100 + 100 + 50) / 3)
    assert average_measures(uneven, ["a", "b"], pads=True, seeds=1)[0] == 1
    with pytest.raises(SeedsMissing, match="3 seeds are required, 2 are complete"):
        average_measures(uneven, ["a", "b"], seeds=3)


def test_a_single_seed_has_no_error() -> None:
    _, measures = average_measures({"a": THREE["a"][:1]}, ["a"])
    assert (measures["any_medal_percentage"].mean, measures["any_medal_percentage"].standard_error) == (100.0, 0.0)


def test_a_competition_without_a_run_leaves_no_complete_seed() -> None:
    with pytest.raises(SeedsMissing, match="no run of c"):
        average_measures(THREE, ["a", "b", "c"])
    seeds, measures = average_measures(THREE, ["a", "b", "c"], pads=True)
    assert (seeds, measures["any_medal_percentage"].mean) == (3, pytest.approx((100 / 3 + 200 / 3 + 0) / 3))
    with pytest.raises(SeedsMissing):
        average_measures({}, ["a"], pads=True)


def test_seeds_follow_the_order_of_the_groups() -> None:
    groups = [[report("b"), report("a", "gold")], [report("a"), report("b", "bronze")]]
    measures = group_by_competition(groups)
    assert [one["any_medal"] for one in measures["a"]] == [True, False]
    assert [one["any_medal"] for one in measures["b"]] == [False, True]


def test_the_official_object_has_the_official_keys() -> None:
    measures = official_summary(THREE, ["a", "b"])
    assert list(measures) == ["num_seeds_averaged", "num_competitions_per_seed", "metrics"]
    assert list(measures["metrics"]["any_medal_percentage"]) == ["mean", "ci_lower", "ci_upper", "standard_error"]
    assert measures["num_competitions_per_seed"] == 2
    assert list(measures["metrics"]) == [
        "total_competitions",
        "submission_exists_percentage",
        "valid_submissions_percentage",
        "above_median_percentage",
        "gold_medal_percentage",
        "silver_medal_percentage",
        "bronze_medal_percentage",
        "any_medal_percentage",
    ]
    assert measures["metrics"]["total_competitions"]["mean"] == 2.0
