"""Names that mean the same are matched, and names that mean something else never are."""

from __future__ import annotations

import pytest

from tasks.new_task.match_names import match_names, same_name


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["C", "CL", "D"], ["Status_C", "Status_CL", "Status_D"]),
        (["C", "CL"], ["Status_C", "Status_CL"]),
        (["a", "A"], ["p_a", "p_A"]),
        (["1.0", "2.0"], ["Class_1", "Class_2"]),
        (["01", "02"], ["class-1", "class-2"]),
        (["-1", "1"], ["Class -1", "CLASS 1"]),
        (["1.5", "15"], ["p 1.5", "P 15"]),
        (["A+", "A-", "A"], ["grade_A+", "grade_A-", "grade_A"]),
        (["Dark red", "Rose"], ["dark_red_prob", "rose_prob"]),
        (["b", "c"], ["a_b", "a_c"]),
    ],
)
def test_each_name_finds_its_own(wanted: list[str], names: list[str]) -> None:
    assert match_names(wanted, [*reversed(names)]) == dict(zip(wanted, names, strict=True))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["0", "1"], ["class_10", "class_11"]),
        (["1", "2"], ["x11", "x12", "x13"]),
        (["1", "2"], ["p_1.5", "p_2.5"]),
        (["1", "2"], ["p_-1", "p_-2"]),
        (["1", "1.0", "2"], ["1", "2"]),
        (["1.5", "2.5"], ["15", "25"]),
        (["A+", "B"], ["A-", "B"]),
        (["<5", "5+"], [">5", "5-"]),
        (["7e5000", "b"], ["7e5001", "c"]),
        (["a", "b", "c"], ["p_a", "p_b"]),
    ],
)
def test_names_that_differ_in_meaning_match_none(wanted: list[str], names: list[str]) -> None:
    assert match_names(wanted, names) == {}


def test_signs_alone_are_not_a_spelling() -> None:
    assert same_name("%", ["#"]) is None and same_name("rate %", ["Rate", "rate_%"]) == "rate_%"
