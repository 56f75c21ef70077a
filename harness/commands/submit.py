"""`harness submit`: submit a run's submission of record to Kaggle and store its scores with the grades."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from sandboxes.atomic import write_atomically

if TYPE_CHECKING:
    from tasks.kaggle import SubmissionStatus

WAIT_SECONDS = 900.0


def submit_run(
    name: str,
    settings: Settings,
    competition: str | None = None,
    endpoint: str = "",
    seconds: float = WAIT_SECONDS,
    pause: float = 5.0,
) -> int:
    """Submit, wait for the scores and store them in grades/<run>.kaggle.json, never in the run's journal.

    `endpoint` replaces Kaggle's server. Raises `UsageError`, TaskError.
    """
    from tasks.kaggle import Kaggle

    folder = find_run(name, settings)
    run_id, task, live = _ids_of(folder)
    competition = competition or live or _competition(folder, task)
    submission = folder / "submission.csv"
    if not submission.is_file():
        errors.fail(f"{folder.name} has no submission.csv. See why: harness show {folder.name}")
    kaggle = Kaggle(endpoint or None, lambda text: print(text, file=sys.stderr, flush=True))
    ref = kaggle.submit(competition, submission, f"harness {folder.name}")
    print(f"submitted {folder.name} to {competition} as submission {ref}")
    submitted_at = datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, Any] = {"competition": competition, "submitted_at": submitted_at}
    path = _store(run_id, settings, {**record, "ref": ref, "status": "PENDING"})
    status = kaggle.wait(ref, seconds, lambda _: None, pause)
    _store(run_id, settings, {**record, **asdict(status)})
    if not status.is_over:
        print(f"Kaggle has not scored submission {ref} yet. Look on Kaggle later; its state so far is in {path}")
        return errors.STOPPED
    if status.status == "ERROR":
        errors.fail(f"Kaggle could not score submission {ref}: {status.problem or 'no reason given'}")
    _print_scores(status, path)
    return errors.DONE


def _print_scores(status: SubmissionStatus, path: Path) -> None:
    scores = (("public", status.public_score), ("private", status.private_score))
    print("\n".join(f"{side} score {'not shown' if score is None else score}" for side, score in scores))
    print(f"stored in {path}. Kaggle shows your team's rank. A graded run can no longer be resumed.")


def _ids_of(folder: Path) -> tuple[str, str, str]:
    """Run id, task id and live competition from the journal; the folder may have been renamed."""
    from runs.journal import read_events
    from runs.state import fold

    created = fold(read_events(folder)).created
    return (created.run_id, created.task_id, created.kaggle) if created else (folder.name, "", "")


def _competition(folder: Path, task: str) -> str:
    from tasks.mlebench.prepare import is_competition

    if is_competition(task):
        errors.fail(
            f"{folder.name} predicts the benchmark's own test rows of {task}, which Kaggle cannot score. Grade it with "
            f"`harness score {folder.name}`. To submit it anyway, add --competition {task}"
        )
    return errors.fail("the run names no Kaggle competition. Add --competition NAME, the last part of its address")


def _store(run_id: str, settings: Settings, record: dict[str, Any]) -> Path:
    """Add a submission to the run's list, or update the entry with the same reference."""
    settings.grades.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = settings.grades / f"{run_id}.kaggle.json"
    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    records = [*(other for other in records if other["ref"] != record["ref"]), record]
    write_atomically(path, json.dumps(records, indent=2).encode())
    return path
