"""Folds are the same everywhere, keep strata, groups and time, and never contain rows that must stay."""

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
    shuffled_indices,
)
from tasks.io.timestamps import parse_timestamps


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=8).filter(lambda counts: sum(counts) >= 60),
    seed=st.text(max_size=5),
    count=st.integers(2, 7),
)
def test_every_row_is_in_one_fold_and_no_fold_has_all_rows_of_a_label(counts: list[int], seed: str, count: int) -> None:
    labels = [str(label) for label, count in enumerate(counts) for _ in range(count)]
    folds = assign_folds(labels, count, seed, stratify=True)
    assert folds == assign_folds(labels, count, seed, stratify=True)
    for fold in range(count):
        assert {label for label, index in zip(labels, folds, strict=True) if index != fold} == set(labels)
    singles = {str(label) for label, count in enumerate(counts) if count == 1}
    assert {label for label, index in zip(labels, folds, strict=True) if index is None} == singles
    sizes = Counter(fold for fold in folds if fold is not None)
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_rows_without_a_label_are_never_held_out() -> None:
    labels = [None if index % 3 else str(index) for index in range(300)]
    folds = assign_folds(labels, 5, "s", stratify=False)
    assert all((fold is None) == (label is None) for fold, label in zip(folds, labels, strict=True))
    groups = [str(index // 3) for index in range(300)]
    full: list[str | None] = [str(index) for index in range(300)]
    full[0] = None
    assert assign_group_folds(groups, full, 5, "s")[:3] == [None] * 3


def test_groups_stay_whole_and_folds_are_about_equal() -> None:
    groups = [str(index % 23) for index in range(500)]
    folds = assign_group_folds(groups, ["x"] * 500, 5, "s")
    assert all(len({fold for fold, group in zip(folds, groups, strict=True) if group == name}) == 1 for name in groups)
    assert all(70 <= count <= 130 for count in Counter(folds).values())
    two_days = ["monday", "tuesday"] * 100
    assert set(assign_group_folds(two_days, ["x"] * 200, 5, "s")) == {0, 1}
    with pytest.raises(TooFewRows):
        assign_group_folds(["all"] * 200, ["x"] * 200, 5, "s")


def hold_out(times: list[str], count: int = 10) -> tuple[list[str], Counter[int | None]]:
    """The times of the held-out rows, and how many rows each fold has."""
    folds = assign_late_folds(parse_timestamps(times), ["x"] * len(times), count, "s")
    return [time for time, fold in zip(times, folds, strict=True) if fold is not None], Counter(folds)


def test_the_latest_rows_are_held_out_by_time() -> None:
    late, counts = hold_out([str(index % 100) for index in range(1000)])
    assert {int(time) for time in late} == set(range(80, 100))
    assert set(counts) == {None, 0, 1}
    with pytest.raises(TooFewRows):
        hold_out(["2020"] * 100)


def test_few_times_are_divided_by_rows() -> None:
    late, counts = hold_out([str(index // 35) for index in range(100)])
    assert set(late) == {"2"} and (counts[0], counts[1]) == (15, 15)


@pytest.mark.parametrize("missing", ["nan", "NA", "", "null"])
def test_row_without_a_time_stays_a_training_row(missing: str) -> None:
    weeks = [missing if index % 10 == 3 else str(index // 2 + 1) for index in range(100)]
    late, _ = hold_out(weeks)
    assert {int(time) for time in late} == set(range(41, 51)) and len(late) == 18


def test_fold_count_depends_on_row_count() -> None:
    assert [choose_fold_count(count) for count in (40, 200, 250, 20_000, 20_001, 3_600_000)] == [3, 4, 5, 5, 10, 36]
    with pytest.raises(TooFewRows, match="39 labelled rows"):
        choose_fold_count(39)


def test_order_is_the_same_on_every_machine() -> None:
    assert shuffled_indices(8, "seed") == [4, 0, 1, 3, 7, 6, 2, 5]


def test_arrays_and_lists_give_the_same_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(4)
    few: list[str | None] = [
        generator.choice(["a", "b", "rare" if index in (7, 8, 9, 99) else "c", None]) for index in range(3000)
    ]
    many: list[str | None] = [None if index % 9 == 0 else str(generator.randrange(400)) for index in range(3000)]
    cases = [(few, 7, True), (few, 100, False), (many, 10, False), (many, 10, True)]
    before = [splitters.assign_folds(labels, count, "s", stratify) for labels, count, stratify in cases]
    ordered = splitters.shuffled_indices(3000, "s")
    monkeypatch.setattr(splitters, "ARRAY_ROWS", 1)
    assert splitters.shuffled_indices(3000, "s") == ordered
    assert [splitters.assign_folds(labels, count, "s", stratify) for labels, count, stratify in cases] == before


def test_rare_class_starts_with_fold_0() -> None:
    for positives in (2, 3, 4):
        labels: list[str | None] = ["1" if index < positives else "0" for index in range(200)]
        folds = assign_folds(labels, 5, "s", stratify=False)
        assert sorted(fold for fold in folds[:positives] if fold is not None) == list(range(positives))
        assert set(Counter(folds).values()) == {40}
    several: list[str | None] = [*"aaabbbcc", *("common" for _ in range(100))]
    folds = assign_folds(several, 5, "s", stratify=True)
    assert {label for label, fold in zip(several, folds, strict=True) if fold == 0} == {"a", "b", "c", "common"}
    assert max(Counter(folds).values()) - min(Counter(folds).values()) <= 1
