"""The average over seeds, held against tables worked out by hand."""

from __future__ import annotations

import math

import pytest

from tasks.mlebench.aggregate import SeedsMissing, averages, by_competition, official


def report(name: str, medal: str = "", valid: bool = True, above: bool = False) -> dict[str, object]:
    flags = {f"{one}_medal": medal == one for one in ("gold", "silver", "bronze")}
    common = {"above_median": above, "valid_submission": valid, "submission_exists": valid}
    return {"competition_id": name, "any_medal": bool(medal), **flags, **common}


THREE = {
    "a": [report("a", "gold"), report("a", "silver"), report("a")],
    "b": [report("b"), report("b", "bronze", above=True), report("b", valid=False)],
}


def test_whole_seeds_are_averaged_with_their_standard_error() -> None:
    seeds, found = averages(THREE, ["a", "b"])
    assert seeds == 3
    assert found["any_medal_percentage"].mean == pytest.approx((50 + 100 + 0) / 3)
    assert found["any_medal_percentage"].standard_error == pytest.approx(50 / math.sqrt(3))
    assert found["gold_medal_percentage"].mean == pytest.approx(50 / 3)
    assert found["valid_submissions_percentage"].mean == pytest.approx((100 + 100 + 50) / 3)
    assert found["above_median_percentage"].mean == pytest.approx(50 / 3)
    low, high = found["any_medal_percentage"].interval
    assert (low, high) == pytest.approx((50 - 1.96 * 50 / math.sqrt(3), 50 + 1.96 * 50 / math.sqrt(3)))


def test_seeds_that_are_not_whole_do_not_count_unless_padded() -> None:
    uneven = {"a": THREE["a"], "b": THREE["b"][:2]}
    seeds, found = averages(uneven, ["a", "b"])
    assert (seeds, found["any_medal_percentage"].mean) == (2, 75.0)
    seeds, found = averages(uneven, ["a", "b"], pads=True)
    assert (seeds, found["any_medal_percentage"].mean) == (3, 50.0)
    assert found["submission_exists_percentage"].mean == pytest.approx((100 + 100 + 50) / 3)
    assert averages(uneven, ["a", "b"], pads=True, seeds=1)[0] == 1
    with pytest.raises(SeedsMissing, match="3 seeds are asked for, 2 can be made whole"):
        averages(uneven, ["a", "b"], seeds=3)


def test_a_single_seed_has_no_error() -> None:
    _, found = averages({"a": THREE["a"][:1]}, ["a"])
    assert (found["any_medal_percentage"].mean, found["any_medal_percentage"].standard_error) == (100.0, 0.0)


def test_a_competition_without_a_run_leaves_no_whole_seed() -> None:
    with pytest.raises(SeedsMissing, match="no run of c"):
        averages(THREE, ["a", "b", "c"])
    seeds, found = averages(THREE, ["a", "b", "c"], pads=True)
    assert (seeds, found["any_medal_percentage"].mean) == (3, pytest.approx((100 / 3 + 200 / 3 + 0) / 3))
    with pytest.raises(SeedsMissing):
        averages({}, ["a"], pads=True)


def test_seeds_follow_the_order_of_the_groups() -> None:
    groups = [[report("b"), report("a", "gold")], [report("a"), report("b", "bronze")]]
    found = by_competition(groups)
    assert [one["any_medal"] for one in found["a"]] == [True, False]
    assert [one["any_medal"] for one in found["b"]] == [False, True]


def test_the_official_object_has_the_official_keys() -> None:
    found = official(THREE, ["a", "b"])
    assert list(found) == ["num_seeds_averaged", "num_competitions_per_seed", "metrics"]
    assert list(found["metrics"]["any_medal_percentage"]) == ["mean", "ci_lower", "ci_upper", "standard_error"]
    assert found["num_competitions_per_seed"] == 2
    assert list(found["metrics"]) == [
        "total_competitions",
        "submission_exists_percentage",
        "valid_submissions_percentage",
        "above_median_percentage",
        "gold_medal_percentage",
        "silver_medal_percentage",
        "bronze_medal_percentage",
        "any_medal_percentage",
    ]
    assert found["metrics"]["total_competitions"]["mean"] == 2.0
