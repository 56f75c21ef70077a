"""Grading against the private answers: MLE-bench's report, key for key, after a run and never during one.

`run_grade` is for the harness, which never opens an answer itself: it asks a child process, this module run as
`python -I -m tasks.judging.grade REQUEST.json`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.subprocesses import Reply, bound_memory, run_isolated, serve

if TYPE_CHECKING:
    from tasks.io.columns import Columns
    from tasks.task import Task

DIGITS = 5
NO_SUBMISSION = "There is no submission: a file that ends in .csv is expected."


@dataclass(frozen=True)
class Report:
    """One graded submission. The fields up to `submission_path` are the official keys, in the official order.

    `score` is rounded to 5 digits; None for a submission that is missing or not valid; NaN is valid and wins nothing.
    `problem`, for people and not part of the official report, says why there is no score.
    """

    competition_id: str
    score: float | None
    gold_threshold: float | None
    silver_threshold: float | None
    bronze_threshold: float | None
    median_threshold: float | None
    any_medal: bool
    gold_medal: bool
    silver_medal: bool
    bronze_medal: bool
    above_median: bool
    submission_exists: bool
    valid_submission: bool
    is_lower_better: bool
    created_at: str
    submission_path: str
    problem: str = ""

    def official(self) -> dict[str, Any]:
        """The official JSON object."""
        return {name: value for name, value in asdict(self).items() if name != "problem"}


def run_grade(task_path: Path, submission: Path | None, seconds: float = 600.0) -> Report:
    """Grade a submission of the task in a task.yaml, in a process of its own.

    Raises `spec.TaskError` for a task without readable answers, `children.ChildFailed` where the grader itself broke.
    """
    path = str(submission.absolute()) if submission else None
    reply = run_isolated("tasks.judging.grade", {"task": str(task_path.absolute()), "submission": path}, seconds)
    if "error" in reply:
        from tasks.task import TaskError

        raise TaskError(reply["error"])
    return Report(**reply)


def grade(task: Task, submission: Path | None) -> Report:
    """Grade a submission in this process: see `run_grade`. None stands for no submission. Raises TaskError."""
    from tasks.judging.validate_submission import SubmissionRefused
    from tasks.metrics.score import NoScore

    if task.competition:
        return _grade_officially(task, submission)
    exists = submission is not None and submission.is_file() and submission.suffix.lower() == ".csv"
    score, problem = None, ""
    if submission is None or not exists:
        problem = NO_SUBMISSION
        _answers(task)
    else:
        try:
            score = _score(task, submission)
        except (SubmissionRefused, NoScore) as refused:
            problem = str(refused)
    return report(task, score, exists, str(submission), problem)


def _grade_officially(task: Task, submission: Path | None) -> Report:
    """Grade by the competition's own rule, as the official package does. Raises TaskError."""
    from tasks.mlebench.graders import AnswersUnreadable, is_graded_here, score_file
    from tasks.mlebench.official_metrics import Invalid
    from tasks.task import TaskError

    if task.answers is None:
        raise TaskError(f"{task.path}: names no private answers: prepare {task.competition} again")
    if not is_graded_here(task.competition):
        from tasks.mlebench.official_package import official_report

        return Report(**official_report(task.competition, submission, task.folder.parent))
    exists = submission is not None and submission.is_file() and submission.suffix.lower() == ".csv"
    if submission is None or not exists:
        return report(task, None, False, str(submission), NO_SUBMISSION)
    try:
        return report(task, score_file(task.competition, submission, task.answers), True, str(submission))
    except Invalid as invalid:
        return report(task, None, True, str(submission), str(invalid))
    except AnswersUnreadable as error:
        raise TaskError(str(error)) from None


def report(task: Task, score: float | None, exists: bool, path: str, problem: str = "") -> Report:
    """The report on a score; None for a submission that is missing or not valid."""
    from tasks.metrics.medals import is_above_median, medal_of

    score = None if score is None else float(round(score, DIGITS))
    bounds, lower = task.thresholds, task.metric.lower_is_better
    # A score that is no number is a valid one officially, and below every threshold.
    comparable = None if score is None or math.isnan(score) else score
    medal = medal_of(comparable, bounds, lower) if bounds else None
    return Report(
        competition_id=task.id,
        score=score,
        gold_threshold=bounds.gold if bounds else None,
        silver_threshold=bounds.silver if bounds else None,
        bronze_threshold=bounds.bronze if bounds else None,
        median_threshold=bounds.median if bounds else None,
        any_medal=medal is not None,
        gold_medal=medal == "gold",
        silver_medal=medal == "silver",
        bronze_medal=medal == "bronze",
        above_median=is_above_median(comparable, bounds, lower) if bounds else False,
        submission_exists=exists,
        valid_submission=score is not None,
        is_lower_better=lower,
        created_at=datetime.now().isoformat(),
        submission_path=path,
        problem=problem,
    )


def aggregate(reports: Sequence[Report]) -> dict[str, Any]:
    """The official aggregate of reports, key for key, with the reports themselves last."""
    return {
        "total_runs": len(reports),
        "total_runs_with_submissions": sum(one.submission_exists for one in reports),
        "total_valid_submissions": sum(one.valid_submission for one in reports),
        "total_medals": sum(one.any_medal for one in reports),
        "total_gold_medals": sum(one.gold_medal for one in reports),
        "total_silver_medals": sum(one.silver_medal for one in reports),
        "total_bronze_medals": sum(one.bronze_medal for one in reports),
        "total_above_median": sum(one.above_median for one in reports),
        "competition_reports": [one.official() for one in reports],
    }


def _score(task: Task, submission: Path) -> float:
    """The score on all private answers. Raises `SubmissionRefused`, `NoScore`, TaskError."""
    from tasks.judging.frames import frames
    from tasks.judging.validate_submission import Format, read_submission
    from tasks.metrics.score import guarded_score

    answers = _answers(task)
    wanted = task.submission
    columns = (wanted.id, *wanted.targets)
    ids = answers.column(wanted.id)
    numbers = task.metric.needs != "labels"
    given = read_submission(submission, Format(columns, wanted.id, wanted.targets, ids, numbers, wanted.may_be_missing))
    return guarded_score(task.metric, *frames(answers, given, wanted.targets, numbers), wanted.targets)


def _answers(task: Task) -> Columns:
    """The private answers. Raises TaskError saying what to do where they cannot be used."""
    from tasks.holdout.private_labels import read_labels
    from tasks.io.csv_text import TableError
    from tasks.task import TaskError

    if task.answers is None:
        raise TaskError(
            f"{task.path}: there are no private answers to grade against; put answers.csv with the sample's columns "
            "into a folder and name it in task.yaml: data: {private: private/}"
        )
    try:
        answers = read_labels(task.answers, "grading")
    except PermissionError:
        raise TaskError(f"{task.answers} may not be read: score as the user who owns it, or as root") from None
    except (OSError, TableError) as error:
        raise TaskError(f"{task.answers} cannot be read ({error}): restore it or prepare the task again") from None
    expected = (task.submission.id, *task.submission.targets)
    if any(answers.header.count(column) != 1 for column in expected):
        raise TaskError(f"{task.answers} needs the columns {', '.join(expected)}, each once")
    if len(answers) == 0 or len(set(answers.column(task.submission.id))) < len(answers):
        raise TaskError(f"{task.answers} needs one row for each test row, with ids that do not repeat")
    return answers


def _perform(request: dict[str, Any]) -> Reply:
    from tasks.task import TaskError, load_task

    submission = Path(request["submission"]) if request["submission"] else None
    bound_memory()
    try:
        return asdict(grade(load_task(Path(request["task"])), submission))
    except TaskError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    serve(_perform)
