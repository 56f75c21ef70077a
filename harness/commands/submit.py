"""`harness submit`: hand the submission of record of a run in to Kaggle, and keep what Kaggle says among the grades."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings

WAIT_SECONDS = 900.0


def submit_run(
    name: str,
    settings: Settings,
    competition: str | None = None,
    endpoint: str = "",
    seconds: float = WAIT_SECONDS,
    pause: float = 5.0,
) -> int:
    """Submit, wait for the scores and keep them in grades/<run>.kaggle.json, never in the run's journal.

    `endpoint` is another server than Kaggle's. Raises `UsageError`, TaskError.
    """
    from tasks.kaggle import Kaggle

    folder = find_run(name, settings)
    run_id, task = _created(folder)
    where = competition or _competition(folder, task)
    submission = folder / "submission.csv"
    if not submission.is_file():
        errors.fail(f"{folder.name} holds no submission.csv; `harness show {folder.name}` says what happened")
    kaggle = Kaggle(endpoint or None, lambda text: print(text, file=sys.stderr, flush=True))
    ref = kaggle.submit(where, submission, f"harness {folder.name}")
    print(f"{folder.name} was handed in to {where} as submission {ref}")
    record: dict[str, Any] = {"competition": where, "submitted_at": datetime.now(UTC).isoformat(timespec="seconds")}
    path = _keep(run_id, settings, {**record, "ref": ref, "status": "PENDING"})
    standing = kaggle.wait(ref, seconds, lambda _: None, pause)
    _keep(run_id, settings, {**record, **asdict(standing)})
    if not standing.is_over:
        print(f"Kaggle has not scored it yet. Look there for submission {ref}; what is known is in {path}")
        return errors.STOPPED
    if standing.status == "ERROR":
        errors.fail(f"Kaggle could not score submission {ref}: {standing.problem or 'no reason given'}")
    scores = (("public", standing.public_score), ("private", standing.private_score))
    print("\n".join(f"{side} score {'not told' if score is None else score}" for side, score in scores))
    print(f"kept in {path}. Your team's place is on Kaggle. A run that has a grade can no longer be resumed.")
    return errors.DONE


def _created(folder: Path) -> tuple[str, str]:
    """The run's id and its task's: a folder can be moved or linked to."""
    from runs.journal import read_events
    from runs.state import fold

    created = fold(read_events(folder)).created
    return (created.run_id, created.task_id) if created else (folder.name, "")


def _competition(folder: Path, task: str) -> str:
    from tasks.mlebench.prepare import known

    if known(task):
        errors.fail(
            f"{folder.name} predicts the benchmark's own test rows of {task}, which Kaggle does not know. Score it "
            f"with `harness score {folder.name}`; to hand it in all the same, add --competition {task}"
        )
    return errors.fail("which competition on Kaggle is it? Add --competition NAME, the last part of its address")


def _keep(run_id: str, settings: Settings, record: dict[str, Any]) -> Path:
    """Add a submission to the run's list, or bring the one of the same number up to date."""
    settings.grades.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = settings.grades / f"{run_id}.kaggle.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [one for one in kept if one["ref"] != record["ref"]] + [record]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.touch(mode=0o600)
    beside.write_text(json.dumps(kept, indent=2), encoding="utf-8")
    beside.replace(path)
    return path
