"""`harness score`: grade the submissions of ended runs against the private answers, in a separate process.

A graded run cannot be resumed: the file in `grades/` prevents it, and is written before the score is printed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from harness.ui.table import table
from runs.files import sha256_hex
from runs.views.final_choice import submitted_evaluation
from runs.views.format import DEMO_MODEL, ESTIMATE, LABELS_UNPROTECTED, evaluation_medal, model_text, score_text

if TYPE_CHECKING:
    from runs.events.registry import RunCreated
    from runs.state import Evaluation, State
    from tasks.judging.grade import Report


@dataclass(frozen=True)
class Graded:
    """A run with its report. `estimate` is the evaluation that made the submission, None for the sample submission."""

    folder: Path
    state: State
    report: Report
    estimate: Evaluation | None
    was_changed: bool

    @property
    def created(self) -> RunCreated:
        """Event 0 of the run."""
        assert self.state.created is not None
        return self.state.created


def score_runs(
    names: Sequence[str],
    settings: Settings,
    *,
    as_json: bool = False,
    output: Path | None = None,
    anyway: bool = False,
) -> int:
    """Grade runs and print a table, or MLE-bench's report as JSON; write its report file into `output`.

    A run that cannot be graded is reported on stderr and does not stop the others. Returns 0 if every run was graded,
    otherwise the exit code of the first that was not.
    """
    graded: dict[Path, Graded] = {}
    codes: list[int] = []
    for name in names:
        try:
            folder = find_run(name, settings)
            if folder not in graded:
                graded[folder] = _grade(folder, settings, anyway)
        except Exception as error:
            errors.say(f"{name}: {errors.explain(error, settings.home)}")
            codes.append(errors.code_of(error))
    if graded:
        _print_grades(list(graded.values()), as_json, output)
    return codes[0] if codes else errors.DONE


def _print_grades(graded: Sequence[Graded], as_json: bool, output: Path | None) -> None:
    from tasks.judging.grade import aggregate

    official = aggregate([run.report for run in graded])
    print(json.dumps(official, indent=2) if as_json else _table(graded))
    for run in graded if as_json else ():
        for remark in _remarks(run):
            errors.say(f"{run.folder.name}: {remark}")
    if output is not None:
        written = _write_report(output, official)
        print(f"wrote {written}", file=sys.stderr if as_json else sys.stdout)


def _grade(folder: Path, settings: Settings, anyway: bool) -> Graded:
    from runs.journal import read_events
    from runs.state import fold
    from tasks.judging.grade import run_grade

    with _lock(folder):
        state = fold(read_events(folder))
        if not state.ended and not anyway:
            errors.fail(
                f"the run has not ended. Continue it with `harness resume {folder.name}`, or grade it now with "
                "--anyway: then it cannot be resumed"
            )
        if state.created and state.created.kaggle:
            errors.fail(f"Kaggle has the answers of {state.created.kaggle}. Submit to it: harness submit {folder.name}")
        submission = folder / "submission.csv"
        report = run_grade(task_path(state, settings), submission if submission.exists() else None)
        chosen = state.chosen
        estimate = submitted_evaluation(state)
        was_changed = bool(chosen and submission.exists() and sha256_hex(submission.read_bytes()) != chosen.sha256)
        graded = Graded(folder, state, report, estimate, was_changed)
        _keep(graded, settings)
        return graded


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the run's lock while it is graded. Raises `UsageError` if another process is running it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        errors.fail(
            "another process is running this run, so its submission may still change: stop it, or wait for its end"
        )
    try:
        yield
    finally:
        lock.release()


def task_path(state: State, settings: Settings) -> Path:
    """The task of a run; an example that was deleted is prepared again. Raises `UsageError` if the task has changed."""
    from tasks.catalog import find_task
    from tasks.task import load_task

    created = state.created
    assert created is not None
    path = Path(created.task_path)
    task = load_task(path) if path.exists() else find_task(created.task_id, settings.home)
    if task.digest != created.task_digest:
        errors.fail(f"{task.path} has changed since the run started. Restore the task, its sample and its answers")
    return task.path


def _keep(graded: Graded, settings: Settings) -> None:
    """Write the grade atomically, readable by its owner only."""
    settings.grades.mkdir(parents=True, exist_ok=True, mode=0o700)
    estimate = graded.estimate
    grade: dict[str, Any] = {
        "run_id": graded.created.run_id,
        "seed": graded.created.settings.seed,
        "model": model_text(graded.created),
        "protects_labels": graded.created.protects_labels,
        "held_out_score": estimate.score if estimate else None,
        "held_out_noise": estimate.noise if estimate else None,
        "submission_was_changed": graded.was_changed,
        "problem": graded.report.problem,
        "report": graded.report.official(),
    }
    path = settings.grades / f"{graded.created.run_id}.json"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(grade, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _write_report(folder: Path, official: dict[str, Any]) -> Path:
    """Write the report under its official name, which contains the second; never overwrites another report."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / time.strftime("%Y-%m-%dT%H-%M-%S-%Z_grading_report.json", time.gmtime())
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(official, file, indent=2)
            return path
        except FileExistsError:
            time.sleep(0.2)


def _table(graded: Sequence[Graded]) -> str:
    header = ("run", "task", "score", "medal", "gold", "silver", "bronze", "median", "above median", ESTIMATE, "")
    rows = [header, *(_row(run) for run in graded)]
    lines = [table(rows, right=(2, 4, 5, 6, 7)), ""]
    for run in graded:
        lines += [f"{run.folder.name}: {remark}" for remark in _remarks(run)]
    lines.append("A graded run can no longer be resumed.")
    return "\n".join(lines)


def _row(run: Graded) -> tuple[str, ...]:
    report, estimate = run.report, run.estimate
    flags = {"gold": report.gold_medal, "silver": report.silver_medal, "bronze": report.bronze_medal}
    medal = next((name for name, won in flags.items() if won), "none" if report.gold_threshold is not None else "-")
    thresholds = (report.gold_threshold, report.silver_threshold, report.bronze_threshold, report.median_threshold)
    held_out = score_text(estimate.score, estimate.noise) if estimate else "-"
    medal_estimate = evaluation_medal(estimate, run.state) if estimate else ""
    return (
        run.folder.name,
        report.competition_id,
        "-" if report.score is None else f"{report.score:.5f}",
        medal,
        *("-" if line is None else f"{line:.10g}" for line in thresholds),
        ("yes" if report.above_median else "no") if report.median_threshold is not None else "-",
        f"{held_out} {medal_estimate}".strip(),
        "" if run.created.protects_labels else LABELS_UNPROTECTED,
    )


def _remarks(run: Graded) -> Iterator[str]:
    if not run.created.protects_labels:
        yield LABELS_UNPROTECTED
    if run.created.is_demo:
        yield DEMO_MODEL
    if run.report.problem:
        yield run.report.problem
    if run.was_changed:
        yield "submission.csv was changed after the run chose it"
    if run.estimate is None:
        yield "the sample submission was graded: the run has no evaluated solution"
