"""Grade a submission against the private answers, after a run: MLE-bench's report with the same keys.

The harness process never opens an answer. `run_grade` runs this module as a child process,
`python -I -m tasks.judging.grade REQUEST.json`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.subprocesses import ChildTimeout, Reply, bound_memory, run_isolated, serve

if TYPE_CHECKING:
    from tasks.io.columns import Columns
    from tasks.task import Task

DIGITS = 5
NO_SUBMISSION = "There is no submission: a file that ends in .csv is expected."


@dataclass(frozen=True)
class Report:
    """One graded submission. The fields up to `submission_path` are the official keys, in the official order.

    `score` is rounded to 5 digits. It is None if the submission is missing or invalid; NaN is valid and wins nothing.
    `problem` says why there is no score; it is not part of the official report.
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
    """Grade a submission of the task in a task.yaml, in a child process.

    Raises TaskError for a task without readable answers, `ChildFailed` if the grader itself failed.
    """
    path = str(submission.absolute()) if submission else None
    reply = run_isolated("tasks.judging.grade", {"task": str(task_path.absolute()), "submission": path}, seconds)
    if "error" in reply:
        from tasks.task import TaskError

        raise TaskError(reply["error"])
    return Report(**reply)


def metric_problem(task: Task, submission: Path, seconds: float) -> str:
    """What the task's own metric raises on a submission, in a child process that keeps the score; empty if nothing.

    Empty too for a task whose answers are missing or not ours to read.
    """
    request = {"task": str(task.path.absolute()), "submission": str(submission.absolute()), "only_problem": True}
    try:
        problem: str = run_isolated("tasks.judging.grade", request, seconds)["problem"]
    except ChildTimeout:
        return f"it takes longer than {seconds:g} seconds"
    return problem


def grade(task: Task, submission: Path | None) -> Report:
    """Grade a submission (None: there is none) in this process: see `run_grade`. Raises TaskError."""
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
        except (SubmissionRefused, NoScore) as error:
            reason = getattr(error, "problem", "")
            problem = f"{error} ({reason})" if reason else str(error)
    return make_report(task, score, exists, str(submission), problem)


def _grade_officially(task: Task, submission: Path | None) -> Report:
    """Grade by the competition's official rule. Raises TaskError."""
    from tasks.mlebench.graders import AnswersUnreadable, is_graded_here, score_file
    from tasks.mlebench.official_metrics import Invalid
    from tasks.task import TaskError

    if task.answers is None:
        raise TaskError(f"{task.path}: there are no private answers: prepare {task.competition} again")
    if not is_graded_here(task.competition):
        from tasks.mlebench.official_package import official_report

        return Report(**official_report(task.competition, submission, task.folder.parent))
    exists = submission is not None and submission.is_file() and submission.suffix.lower() == ".csv"
    if submission is None or not exists:
        return make_report(task, None, False, str(submission), NO_SUBMISSION)
    try:
        return make_report(task, score_file(task.competition, submission, task.answers), True, str(submission))
    except Invalid as error:
        return make_report(task, None, True, str(submission), str(error))
    except AnswersUnreadable as error:
        raise TaskError(str(error)) from None


def make_report(task: Task, score: float | None, exists: bool, path: str, problem: str = "") -> Report:
    """The report on a score; None for a submission that is missing or invalid."""
    from tasks.metrics.medals import is_above_median, medal_of

    score = None if score is None else float(round(score, DIGITS))
    thresholds, lower = task.thresholds, task.metric.lower_is_better
    # Officially NaN is a valid score that is below every threshold.
    comparable = None if score is None or math.isnan(score) else score
    medal = medal_of(comparable, thresholds, lower) if thresholds else None
    return Report(
        competition_id=task.id,
        score=score,
        gold_threshold=thresholds.gold if thresholds else None,
        silver_threshold=thresholds.silver if thresholds else None,
        bronze_threshold=thresholds.bronze if thresholds else None,
        median_threshold=thresholds.median if thresholds else None,
        any_medal=medal is not None,
        gold_medal=medal == "gold",
        silver_medal=medal == "silver",
        bronze_medal=medal == "bronze",
        above_median=is_above_median(comparable, thresholds, lower) if thresholds else False,
        submission_exists=exists,
        valid_submission=score is not None,
        is_lower_better=lower,
        created_at=datetime.now().isoformat(),
        submission_path=path,
        problem=problem,
    )


def aggregate(reports: Sequence[Report]) -> dict[str, Any]:
    """The official aggregate of reports, with the same keys, and the reports last."""
    return {
        "total_runs": len(reports),
        "total_runs_with_submissions": sum(report.submission_exists for report in reports),
        "total_valid_submissions": sum(report.valid_submission for report in reports),
        "total_medals": sum(report.any_medal for report in reports),
        "total_gold_medals": sum(report.gold_medal for report in reports),
        "total_silver_medals": sum(report.silver_medal for report in reports),
        "total_bronze_medals": sum(report.bronze_medal for report in reports),
        "total_above_median": sum(report.above_median for report in reports),
        "competition_reports": [report.official() for report in reports],
    }


def _score(task: Task, submission: Path) -> float:
    """The score on all private answers. Raises `SubmissionRefused`, `NoScore`, TaskError."""
    from tasks.judging.frames import frames
    from tasks.judging.validate_submission import Format, read_submission
    from tasks.metrics.score import guarded_score

    answers = _answers(task)
    expected = task.submission
    columns = (expected.id, *expected.targets)
    ids = answers.column(expected.id)
    numbers = task.metric.needs != "labels"
    form = Format(columns, expected.id, expected.targets, ids, numbers, expected.may_be_missing)
    predictions = read_submission(submission, form)
    return guarded_score(task.metric, *frames(answers, predictions, expected.targets, numbers), expected.targets)


def _answers(task: Task) -> Columns:
    """The private answers. Raises TaskError if they are missing or cannot be used."""
    from tasks.holdout.private_labels import read_labels
    from tasks.io.csv_text import TableError
    from tasks.task import TaskError

    if task.answers is None:
        raise TaskError(
            f"{task.path}: there are no private answers to grade against. Put answers.csv, with the columns of the "
            "sample submission, into a folder and name it in task.yaml: data: {private: private/}"
        )
    try:
        answers = read_labels(task.answers, "grading")
    except PermissionError:
        raise TaskError(f"{task.answers} cannot be read: grade as the user who owns it, or as root") from None
    except (OSError, TableError) as error:
        raise TaskError(f"{task.answers} cannot be read ({error}): restore it or prepare the task again") from None
    expected = (task.submission.id, *task.submission.targets)
    if any(answers.header.count(column) != 1 for column in expected):
        raise TaskError(f"{task.answers} needs the columns {', '.join(expected)}, each once")
    if len(answers) == 0 or len(set(answers.column(task.submission.id))) < len(answers):
        raise TaskError(f"{task.answers} needs one row for each test row, with unique ids")
    return answers


def _perform(request: dict[str, Any]) -> Reply:
    from tasks.task import TaskError, load_task

    submission = Path(request["submission"]) if request["submission"] else None
    bound_memory()
    if request.get("only_problem"):
        return {"problem": _problem_of_metric(load_task(Path(request["task"])), Path(request["submission"]))}
    try:
        return asdict(grade(load_task(Path(request["task"])), submission))
    except TaskError as error:
        return {"error": str(error)}


def _problem_of_metric(task: Task, submission: Path) -> str:
    from tasks.judging.validate_submission import SubmissionRefused
    from tasks.metrics.score import NoScore
    from tasks.task import TaskError

    try:
        _score(task, submission)
    except NoScore as error:
        return error.problem
    except (SubmissionRefused, TaskError):
        pass  # no fault of the metric
    return ""


if __name__ == "__main__":
    serve(_perform)
