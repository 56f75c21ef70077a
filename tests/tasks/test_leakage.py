"""The leak checks find planted leaks of every kind, and raise no alarm on clean data.

One seed each; `tests.benchmarks.leak_alarms` has the other seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_tasks import write_table

from tasks.leakage.code import check_code
from tasks.leakage.solution import check_claim
from tasks.leakage.statistics import Tables
from tasks.leakage.tables import check_data
from tasks.leakage.task import read_tables
from tasks.leakage.train_vs_test import check_train_vs_test
from tests.tasks.clean_tables import KINDS, Pair
from tests.tasks.new_tasks import made
from tests.tasks.planted_leaks import FITTED_BEFORE_SPLIT, PLANTED, WEAKER, check, check_weaker, make_clean


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_is_found(kind: str) -> None:
    assert kind in {finding.kind for finding in PLANTED[kind](*make_clean(0))}


@pytest.mark.parametrize("name", WEAKER)
def test_a_weaker_leak_of_the_same_kind_is_found(name: str) -> None:
    assert WEAKER[name][0] in {finding.kind for finding in check_weaker(name, 0)}


def test_duplicates_that_differ_in_one_column_are_found() -> None:
    train, test = make_clean(0)
    duplicates = [[new[0], *old[1:4], new[4]] for new, old in zip(test[1:61], train[1:], strict=False)]
    (finding,) = check(train, [test[0], *duplicates, *test[61:]])
    assert finding.kind == "duplicate rows" and "20.0%" in finding.message and finding.message.endswith("when")


@pytest.mark.parametrize("kind", KINDS)
def test_clean_tables_of_other_kinds_raise_no_alarm(kind: Callable[[random.Random], Pair]) -> None:
    assert check(*kind(random.Random(0))) == []


@pytest.mark.parametrize("classes", [2, 5, 99])
def test_clean_data_raise_no_alarm(classes: int) -> None:
    assert check(*make_clean(100 + classes, classes=classes)) == []


def test_clean_code_and_honest_claims_raise_no_alarm() -> None:
    late = FITTED_BEFORE_SPLIT.replace("X = scaler.fit_transform(X)\n", "")
    late += "X_train = scaler.fit_transform(X_train)\n"
    assert check_code(late, [str(n) for n in range(100)]) == []
    assert check_claim(0.84, 0.81, 0.02, False) == check_claim(None, 0.81, 0.02, False) == []
    assert check_claim(0.5, 0.81, 0.02, True)[0].agent_may_see is False


def test_a_claim_is_reported_however_small_the_noise() -> None:
    assert check_claim(0.99, 0.80, 0.00018, False)[0].kind == "self-reported too high"
    assert check_claim(0.001, 0.69, 0.0001, True)[0].kind == "self-reported too high"
    assert check_claim(0.12, 45_000.0, 10.0, True) == []  # the error of a logarithm and that of prices


def test_predictions_shipped_with_the_solution_are_found() -> None:
    names = [str(n) for n in range(10_000, 40_000, 100)]
    table = dict.fromkeys(names, 1)
    assert check_code(f"answers = {table!r}", names)[0].kind == "answers in the code"


def test_ids_that_are_small_numbers_need_the_id_column_or_many_of_them() -> None:
    names = [str(n) for n in range(1, 401)]
    assert check_code(f"SIZES = {list(range(10, 60))}", names, names) == []
    assert check_code(f"KNOWN = {dict.fromkeys(range(1, 200), 0)}", [], names)[0].kind == "labels in the code"


@pytest.mark.parametrize(
    "literal",
    [
        [n / 7 for n in range(400)],
        [[n, n + 1] for n in range(200)],
        "QmFzZTY0IGhvbGRz" * 400,
        "17,0,3.5,1;" * 500,
        bytes(range(256)) * 20,
    ],
)
def test_a_large_literal_without_ids_is_found(literal: object) -> None:
    findings = check_code(f"import numpy as np\nX = np.array({literal!r})\n", ["a"], ["b"])
    assert [finding.kind for finding in findings] == ["a table in the code"]


@pytest.mark.parametrize(
    "text",
    [
        f"COLUMNS = {[f'feature_{n}' for n in range(500)]}",
        f"STOP_WORDS = {['word' + 'x' * (n % 9) for n in range(600)]}",
        f"GRID = {[[n, n / 10] for n in range(90)]}",
        '"""' + "A long docstring of this module. " * 200 + '"""',
        f"PROMPT = {'A text for people, in words and with blanks between them. ' * 100!r}",
        f"DROP = {[f'p{n}' for n in range(12)]}",
    ],
)
def test_lists_of_names_settings_and_texts_are_not_tables(text: str) -> None:
    assert check_code(text, [f"p{n}" for n in range(400)], [f"p{n}" for n in range(400, 900)]) == []


def test_ids_that_a_run_hides_raise_no_alarm(tmp_path: Path) -> None:
    """Ids that count on from train to test become other numbers, by the recipe or in each fold."""
    draw = random.Random(2)
    rows = [[str(1000 + row), f"{draw.random():.4f}", str(draw.randrange(2))] for row in range(300)]
    write_table(tmp_path / "train.csv", [["Id", "x", "y"], *rows[:200]])
    write_table(tmp_path / "test.csv", [["Id", "x"], *(row[:2] for row in rows[200:])])
    write_table(tmp_path / "sample_submission.csv", [["Id", "y"], *([row[0], "0"] for row in rows[200:])])
    task, _ = made(tmp_path)
    assert task.recipe.renumber is not None
    permuted = replace(task, recipe=replace(task.recipe, renumber=None))
    for hidden in (task, permuted):
        (tables,) = read_tables(hidden)
        assert tables.hides_ids and check_train_vs_test(tables) == []
    (finding,) = check_train_vs_test(replace(tables, hides_ids=False))
    assert finding.kind == "ids differ between the files"


def test_groups_of_one_label_each_raise_no_alarm() -> None:
    """Rows to predict have other groups, which the labels of these tell nothing about."""
    draw = random.Random(4)
    sick = [draw.randrange(2) for _ in range(50)]
    rows = [[str(row), f"P{row % 50}", f"{draw.random():.4f}", str(sick[row % 50])] for row in range(400)]
    train = [row for row in rows if int(row[1][1:]) < 40]
    test = [row[:3] for row in rows if int(row[1][1:]) >= 40]
    tables = Tables([["id", "patient", "x", "y"], *train], [["id", "patient", "x"], *test], "id", "y", "patient")
    kinds = [[one.kind for one in check_data(each)] for each in (tables, replace(tables, group=None))]
    assert "target-derived" not in kinds[0] and "target-derived" in kinds[1]
