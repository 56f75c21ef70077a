"""Run folders as a user has them, written through the journal itself, for tests that only read runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    RunCreated,
    RunEnded,
    SubmissionChosen,
    ThresholdsKnown,
    Warned,
)
from runs.journal import Journal, create_run
from runs.run_settings import RunSettings
from runs.state import fold
from runs.views.summary import write_summary
from tasks.task import Task, load_task

THRESHOLDS = ThresholdsKnown(gold=0.9, silver=0.7, bronze=0.5, median=0.4)
PERFECT, SAMPLE = "id,label\n1,a\n2,b\n3,a\n4,b\n", "id,label\n1,a\n2,a\n3,a\n4,a\n"


def created(run_id: str, **changes: object) -> RunCreated:
    """Event 0 of a demo run of the task `letters`."""
    fields = {
        "harness_version": "0.1.0",
        "run_id": run_id,
        "task_id": "letters",
        "task_path": "nowhere/task.yaml",
        "task_digest": "",
        "metric": "accuracy",
        "lower_is_better": False,
        "is_demo": True,
        "sandbox": "bubblewrap",
        "protects_labels": True,
    }
    settings = {
        name: changes.pop(name) for name in set(changes) & set(RunSettings.model_fields) - {"sandbox", "environment"}
    }
    return RunCreated.model_validate(fields | {"settings": {"model": "demo", **settings}} | changes)


def an_attempt(score: float = 0.75, submission: str = PERFECT) -> list[Event]:
    """One attempt with one evaluation whose submission is chosen."""
    digest = hashlib.sha256(submission.encode()).hexdigest()
    where = {"evaluation": "001-1", "commit": "c0ffee", "tree": "7ree", "attempt": 1}
    finished = {**where, "status": "scored", "score": score, "noise": 0.05, "submission": digest}
    return [
        THRESHOLDS,
        AttemptStarted(attempt=1),
        EvaluationStarted.model_validate({**where, "call": "c", "command": "python solve.py", "job": "e-001-1"}),
        EvaluationFinished.model_validate(finished),
        SubmissionChosen(evaluation="001-1", sha256=digest, why="best score", attempt=1),
        AttemptEnded(why="finish", did="guessed the letters", attempt=1),
    ]


def a_run(home: Path, run_id: str, events: Sequence[Event] = (), submission: str = PERFECT, **changes: object) -> Path:
    """A run folder with these events, its submission and its summary."""
    folder = home / "runs" / run_id
    create_run(folder, created(run_id, **changes))
    with Journal.open(folder) as journal:
        state = fold(journal.past)
        for event in events:
            state.apply(journal.append(event))
    (folder / "submission.csv").write_text(submission)
    write_summary(folder, state)
    return folder


def ended(*events: Event) -> list[Event]:
    """The events of a run that is over."""
    return [*events, RunEnded(why="attempts")]


def a_task(folder: Path) -> Task:
    """The task `letters`: four rows to predict, with private answers."""
    for name, text in {
        "task.yaml": "id: letters\ndescription: description.md\nmetric: accuracy\n"
        "data: {public: public, private: private}\n"
        "submission: {sample: public/sample_submission.csv, id: id, target: label}\n"
        "thresholds: {gold: 0.9, silver: 0.7, bronze: 0.5, median: 0.4}\n",
        "description.md": "Say which letter.\n",
        "public/sample_submission.csv": SAMPLE,
        "private/answers.csv": PERFECT,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return load_task(folder)


__all__ = ["PERFECT", "SAMPLE", "Warned", "a_run", "a_task", "an_attempt", "created", "ended"]
