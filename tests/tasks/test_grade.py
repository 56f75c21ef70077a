"""The grade after a run is MLE-bench's report, key for key, with its rules for what is missing or not a number."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from small_tasks import churn, read_table, write_table

from tasks.judging.grade import Report, aggregate, grade, make_report, run_grade
from tasks.metrics.medals import Thresholds
from tasks.task import Task, TaskError, load_task

OFFICIAL = [
    *("competition_id", "score", "gold_threshold", "silver_threshold", "bronze_threshold", "median_threshold"),
    *("any_medal", "gold_medal", "silver_medal", "bronze_medal", "above_median", "submission_exists"),
    *("valid_submission", "is_lower_better", "created_at", "submission_path"),
]
OFFICIAL_AGGREGATE = [
    *("total_runs", "total_runs_with_submissions", "total_valid_submissions", "total_medals", "total_gold_medals"),
    *("total_silver_medals", "total_bronze_medals", "total_above_median", "competition_reports"),
]
MEDALS = "thresholds: {gold: 0.9, silver: 0.8, bronze: 0.7, median: 0.5}"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return churn(tmp_path / "task", more=MEDALS)


def write_right(task: Task, path: Path, rows: int) -> Path:
    """A submission that is right in the first `rows` of 60."""
    assert task.answers is not None
    header, *answers = read_table(task.answers)
    write_table(path, [header, *([name, label if at < rows else "?"] for at, (name, label) in enumerate(answers))])
    return path


def test_the_report_has_the_official_keys_in_order(task: Task, tmp_path: Path) -> None:
    graded = run_grade(task.path, write_right(task, tmp_path / "s.csv", 60))
    assert list(graded.official()) == OFFICIAL
    assert list(aggregate([graded])) == OFFICIAL_AGGREGATE
    assert json.loads(json.dumps(graded.official())) == graded.official()
    assert graded.submission_path == str(tmp_path / "s.csv")
    assert datetime.fromisoformat(graded.created_at).tzinfo is None


@pytest.mark.parametrize(
    ("rows", "score", "medal", "above"),
    [
        (60, 1.0, "gold", True),
        (54, 0.9, "gold", True),
        (53, 0.88333, "silver", True),
        (42, 0.7, "bronze", True),
        (31, 0.51667, None, True),
        (30, 0.5, None, False),
        (0, 0.0, None, False),
    ],
)
def test_medals_follow_the_score(
    rows: int, score: float, medal: str | None, above: bool, task: Task, tmp_path: Path
) -> None:
    graded = grade(task, write_right(task, tmp_path / "s.csv", rows))
    assert (graded.score, graded.valid_submission, graded.submission_exists) == (score, True, True)
    flags = {"gold": graded.gold_medal, "silver": graded.silver_medal, "bronze": graded.bronze_medal}
    assert [name for name, won in flags.items() if won] == ([medal] if medal else [])
    assert (graded.any_medal, graded.above_median) == (medal is not None, above)
    assert graded.gold_threshold == 0.9


def test_a_missing_submission_has_thresholds_and_no_score(task: Task, tmp_path: Path) -> None:
    text = tmp_path / "submission.txt"
    write_right(task, text, 60)
    for submission in (None, tmp_path / "nowhere.csv", text, tmp_path):
        graded = grade(task, submission)
        assert (graded.score, graded.submission_exists, graded.valid_submission) == (None, False, False)
        assert (graded.any_medal, graded.above_median, graded.median_threshold) == (False, False, 0.5)
        assert graded.submission_path == str(submission)
    assert run_grade(task.path, None).submission_path == "None"
    text.rename(tmp_path / "UPPER.CSV")
    assert grade(task, tmp_path / "UPPER.CSV").submission_exists


def test_an_invalid_submission_exists_without_a_score(task: Task, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("customer,left\n1,stays\n")
    graded = run_grade(task.path, tmp_path / "s.csv")
    assert (graded.score, graded.submission_exists, graded.valid_submission) == (None, True, False)
    assert "60 are expected" in graded.problem
    assert "problem" not in graded.official()


def test_a_nan_score_is_valid_and_wins_nothing(task: Task) -> None:
    for lower_is_better in (True, False):
        one = replace(task, metric=replace(task.metric, lower_is_better=lower_is_better))
        graded = make_report(one, math.nan, True, "s.csv")
        assert graded.valid_submission and graded.score is not None and math.isnan(graded.score)
        assert not (graded.any_medal or graded.above_median)


def test_scores_are_rounded_before_medals_are_awarded(task: Task) -> None:
    assert make_report(task, 0.8999951, True, "s.csv").gold_medal
    assert not make_report(task, 0.8999949, True, "s.csv").gold_medal
    lower = replace(task, thresholds=Thresholds(0.1, 0.2, 0.3, 0.5), metric=replace(task.metric, lower_is_better=True))
    assert make_report(lower, 0.1000049, True, "s.csv").gold_medal
    assert make_report(lower, 0.1000051, True, "s.csv").silver_medal


def test_without_thresholds_there_are_no_medals(tmp_path: Path) -> None:
    task = churn(tmp_path / "task")
    graded = grade(task, write_right(task, tmp_path / "s.csv", 60))
    assert graded.score == 1.0
    assert (graded.gold_threshold, graded.median_threshold, graded.any_medal, graded.above_median) == (
        *(None, None),
        *(False, False),
    )


def test_rows_in_any_order_and_extra_columns_are_accepted(task: Task, tmp_path: Path) -> None:
    rows = read_table(write_right(task, tmp_path / "s.csv", 60))
    write_table(tmp_path / "s.csv", [[row[1], "more", row[0]] for row in [rows[0], *rows[:0:-1]]])
    assert grade(task, tmp_path / "s.csv").score == 1.0


def test_unusable_answers_raise_an_error_that_says_what_to_do(task: Task, tmp_path: Path) -> None:
    submission = write_right(task, tmp_path / "s.csv", 60)
    with pytest.raises(TaskError, match=r"data: \{private: private/\}"):
        grade(replace(task, answers=None), submission)
    assert task.answers is not None
    rows = read_table(task.answers)
    write_table(task.answers, [*rows, rows[1]])
    with pytest.raises(TaskError, match="unique ids"):
        run_grade(task.path, submission)
    task.answers.unlink()
    with pytest.raises(TaskError, match="prepare the task again"):
        grade(task, None)


def of(score: float | None, medal: str = "", above: bool = False, exists: bool = True) -> Report:
    won = [medal == name for name in ("gold", "silver", "bronze")]
    return Report(
        "churn", score, 0.9, 0.8, 0.7, 0.5, any(won), *won, above, exists, score is not None, False, "now", "s.csv"
    )


def test_the_aggregate_counts_the_reports() -> None:
    reports = [of(0.95, "gold", True), of(0.75, "bronze", True), of(0.6, "", True), of(math.nan), of(None)]
    reports.append(of(None, exists=False))
    graded = aggregate(reports)
    assert [graded[key] for key in OFFICIAL_AGGREGATE[:-1]] == [6, 5, 4, 2, 1, 0, 1, 3]
    assert graded["competition_reports"] == [report.official() for report in reports]
    assert list(aggregate([]).values()) == [0] * 8 + [[]]


@pytest.mark.parametrize(("name", "perfect"), [("digits", 1.0), ("breast-cancer", 1.0), ("diabetes", 0.0)])
def test_the_answers_of_an_example_win_gold(name: str, perfect: float, examples_home: Path) -> None:
    task = load_task(examples_home / "data" / name)
    assert task.answers is not None
    graded = grade(task, task.answers)
    assert (graded.score, graded.gold_medal, graded.above_median) == (perfect, True, True)
    poor = grade(task, task.submission.sample)
    assert (poor.valid_submission, poor.any_medal, poor.above_median) == (True, False, False)
