"""The deal of labelled rows is the same everywhere, keeps strata, groups and time, and never takes what must stay."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.holdout import splitters
from tasks.holdout.splitters import (
    TooFewRows,
    assign_folds,
    assign_group_folds,
    assign_late_folds,
    choose_fold_count,
    order,
)
from tasks.io.timestamps import parse_timestamps


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8).filter(lambda counts: sum(counts) >= 60),
    seed=st.text(max_size=5),
    parts=st.integers(2, 7),
)
def test_every_row_is_in_one_part_and_no_part_takes_a_label_whole(counts: list[int], seed: str, parts: int) -> None:
    labels = [str(label) for label, count in enumerate(counts) for _ in range(count)]
    dealt = assign_folds(labels, parts, seed, stratify=True)
    assert dealt == assign_folds(labels, parts, seed, stratify=True)
    for part in range(parts):
        assert {label for label, at in zip(labels, dealt, strict=True) if at != part} == set(labels)
    singles = {str(label) for label, count in enumerate(counts) if count == 1}
    assert {label for label, at in zip(labels, dealt, strict=True) if at is None} == singles
    sizes = Counter(part for part in dealt if part is not None)
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_rows_without_a_label_are_never_held_out() -> None:
    labels = [None if at % 3 else str(at) for at in range(300)]
    dealt = assign_folds(labels, 5, "s", stratify=False)
    assert all((part is None) == (label is None) for part, label in zip(dealt, labels, strict=True))
    groups = [str(at // 3) for at in range(300)]
    full: list[str | None] = [str(at) for at in range(300)]
    full[0] = None
    assert assign_group_folds(groups, full, 5, "s")[:3] == [None] * 3


def test_groups_stay_whole_and_parts_are_about_equal() -> None:
    groups = [str(at % 23) for at in range(500)]
    dealt = assign_group_folds(groups, ["x"] * 500, 5, "s")
    assert all(len({part for part, one in zip(dealt, groups, strict=True) if one == name}) == 1 for name in groups)
    assert all(70 <= count <= 130 for count in Counter(dealt).values())
    two_days = ["monday", "tuesday"] * 100
    assert set(assign_group_folds(two_days, ["x"] * 200, 5, "s")) == {0, 1}
    with pytest.raises(TooFewRows):
        assign_group_folds(["all"] * 200, ["x"] * 200, 5, "s")


def held(moments: list[str], parts: int = 10) -> tuple[list[str], Counter[int | None]]:
    """The moments of the rows that are held out, and how many rows each part has."""
    dealt = assign_late_folds(parse_timestamps(moments), ["x"] * len(moments), parts, "s")
    return [moment for moment, part in zip(moments, dealt, strict=True) if part is not None], Counter(dealt)


def test_the_latest_rows_are_held_out_by_time() -> None:
    late, counts = held([str(at % 100) for at in range(1000)])
    assert {int(moment) for moment in late} == set(range(80, 100))
    assert set(counts) == {None, 0, 1}
    with pytest.raises(TooFewRows):
        held(["2020"] * 100)


def test_few_moments_are_parted_by_rows() -> None:
    late, counts = held([str(at // 35) for at in range(100)])
    assert set(late) == {"2"} and (counts[0], counts[1]) == (15, 15)


@pytest.mark.parametrize("missing", ["nan", "NA", "", "null"])
def test_a_row_of_no_known_moment_stays_and_the_others_are_in_their_order(missing: str) -> None:
    weeks = [missing if at % 10 == 3 else str(at // 2 + 1) for at in range(100)]
    late, _ = held(weeks)
    assert {int(moment) for moment in late} == set(range(41, 51)) and len(late) == 18


def test_few_rows_make_folds_and_many_make_tenths() -> None:
    assert [choose_fold_count(count) for count in (40, 200, 250, 20_000, 20_001, 3_600_000)] == [3, 4, 5, 5, 10, 36]
    with pytest.raises(TooFewRows, match="39 labelled rows"):
        choose_fold_count(39)


def test_orders_are_the_same_on_every_machine() -> None:
    assert order(8, "seed") == [4, 0, 1, 3, 7, 6, 2, 5]


def test_many_rows_are_dealt_by_arrays_as_few_are_by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(4)
    few: list[str | None] = [
        draw.choice(["a", "b", "rare" if at in (7, 8, 9, 99) else "c", None]) for at in range(3000)
    ]
    many: list[str | None] = [None if at % 9 == 0 else str(draw.randrange(400)) for at in range(3000)]
    asked = [(few, 7, True), (few, 100, False), (many, 10, False), (many, 10, True)]
    before = [splitters.assign_folds(labels, parts, "s", stratify) for labels, parts, stratify in asked]
    ordered = splitters.order(3000, "s")
    monkeypatch.setattr(splitters, "MANY", 1)
    assert splitters.order(3000, "s") == ordered
    assert [splitters.assign_folds(labels, parts, "s", stratify) for labels, parts, stratify in asked] == before


def test_a_rare_class_begins_with_the_part_a_run_lives_in() -> None:
    for positives in (2, 3, 4):
        labels: list[str | None] = ["1" if at < positives else "0" for at in range(200)]
        dealt = assign_folds(labels, 5, "s", stratify=False)
        assert sorted(part for part in dealt[:positives] if part is not None) == list(range(positives))
        assert set(Counter(dealt).values()) == {40}
    several: list[str | None] = [*"aaabbbcc", *("common" for _ in range(100))]
    dealt = assign_folds(several, 5, "s", stratify=True)
    assert {label for label, part in zip(several, dealt, strict=True) if part == 0} == {"a", "b", "c", "common"}
    assert max(Counter(dealt).values()) - min(Counter(dealt).values()) <= 1
