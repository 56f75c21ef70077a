"""The check of the test rows refuses what the official rule refuses with the real answers, by the same sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from answers import Cell, Table, draw_tables, write

from tasks.mlebench.check_form import check_form, make_answers
from tasks.mlebench.graders import RULES, score_file
from tasks.mlebench.official_metrics import NOT_IN_RANGE, ROW_SUM, Invalid

VALUES: list[Cell] = [
    *(0, 1, 2.0, 0.5, 1.5, -0.1, -2, 9, 1e-7, 1e300),
    *("", "NA", "inf", "-inf", "x", "True", "FALSE", "true", "tRue", " 1", "+1", "1e0", "01", "1_0", "0x1"),
    *("\u0661", "\uff11", "1,5", "1.0.0", "0.33333"),
]


def refusal_by_score(name: str, submission: Path, answers: Path) -> str:
    try:
        score_file(name, submission, answers)
    except Invalid as error:
        return str(error)
    return ""


def refusal_by_form(name: str, submission: Path, given: Table) -> str:
    try:
        check_form(name, submission, str(given[0][0]), [str(column) for column in given[0][1:]])
    except Invalid as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", sorted(RULES))
def test_valid_submissions_pass(name: str, tmp_path: Path) -> None:
    for seed in (1, 2):
        _, given = draw_tables(name, seed)
        assert refusal_by_form(name, write(tmp_path / "s.csv", given), given) == ""


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("rows", ["one", "half", "all"])
def test_values_are_refused_as_by_the_grader(name: str, rows: str, tmp_path: Path) -> None:
    truth, given = draw_tables(name)
    answers = write(tmp_path / "answers.csv", truth)
    changed = {"one": range(5, 6), "half": range(1, len(given), 2), "all": range(1, len(given))}[rows]
    for value in VALUES:
        table = [[*row[:-1], value] if number in changed else row for number, row in enumerate(given)]
        submission = write(tmp_path / "submission.csv", table)
        assert refusal_by_form(name, submission, given) == refusal_by_score(name, submission, answers), value


def test_sentences_say_what_is_wrong(tmp_path: Path) -> None:
    spooky: Table = [["id", "EAP", "HPL", "MWS"], *([f"id{n}", 0.333, 0.333, 0.333] for n in range(9))]
    submission = write(tmp_path / "spooky.csv", spooky)
    assert refusal_by_form("spooky-author-identification", submission, spooky) == ROW_SUM
    logits: Table = [["id", "target"], *([n, n - 4] for n in range(9))]
    submission = write(tmp_path / "may.csv", logits)
    assert refusal_by_form("tabular-playground-series-may-2022", submission, logits) == NOT_IN_RANGE


@pytest.mark.parametrize("name", sorted(RULES))
def test_made_up_answers_have_the_types_of_real_ones(name: str, tmp_path: Path) -> None:
    from tasks.mlebench.graders import read_table

    truth, given = draw_tables(name)
    real = read_table(write(tmp_path / "answers.csv", truth))
    key, *targets = (str(column) for column in given[0])
    made_up = make_answers(name, 200, key, targets)
    for target in targets:
        assert made_up[target].dtype.kind == real[target].dtype.kind or {
            made_up[target].dtype.kind,
            real[target].dtype.kind,
        } == {"i", "f"}
        assert made_up[target].nunique() >= 2
