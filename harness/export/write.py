"""Write the exported folder of a run: complete or not at all."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

import harness.export.reproduce
import tasks
from harness.evaluation.steps.checkout import SOLUTION
from harness.evaluation.steps.declare import canonical
from harness.export.readme import readme
from harness.export.record import UNKNOWN_PARTS, Record, usual_variables
from tasks.judging.judge import run_write_test_rows

COPIED = (
    "tasks/__init__.py",
    *("tasks/io/__init__.py", "tasks/io/atomic.py", "tasks/io/columns.py", "tasks/io/csv_text.py"),
    *("tasks/judging/__init__.py", "tasks/judging/ensemble.py", "tasks/judging/restore_test_rows.py"),
    *("tasks/judging/validate_submission.py", "tasks/metrics/__init__.py", "tasks/metrics/ranking.py"),
)
"""Modules of the harness with which it read and combined the parts of the submission."""
RUN_SH = """#!/bin/sh
# Makes the submission of the run again: see README.md. ENVIRONMENT names a Python environment with its packages.
set -eu
cd "$(dirname "$0")"
for folder in "${ENVIRONMENT:-}" "$PWD/.venv" @RECORDED@; do
    if [ -n "$folder" ] && [ -x "$folder/bin/python" ]; then
        PATH="$folder/bin:$PATH"
        break
    fi
done
export PATH PYTHONDONTWRITEBYTECODE=1
exec python3 reproduce/run.py "$PATH"
"""


def write_export(record: Record, target: Path) -> None:
    """Write everything into a folder that does not exist or is empty.

    Raises `VersionsError`, TaskError, `ChildFailed`, OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write_code(record, draft)
        facts = _write_data(record, draft)
        _write_requirements(record, draft)
        _write_script(record, draft, facts)
        (draft / "README.md").write_text(readme(record), encoding="utf-8")
        draft.chmod(0o755)
        if target.is_dir():
            target.rmdir()
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_code(record: Record, draft: Path) -> None:
    for evaluation in record.members:
        folder = draft / "code" / evaluation.id
        record.write_code(evaluation, folder)
        (folder / SOLUTION).write_text(canonical(record.steps_of(evaluation)), encoding="utf-8")


def _write_data(record: Record, draft: Path) -> dict[str, dict[str, Any]]:
    """Links to the public data of each split, and which of its rows are test rows; returns facts of each split."""
    (draft / "data").mkdir()
    facts = {}
    for split in record.splits:
        folder = record.data_of(split)
        (draft / "data" / split).symlink_to(folder / "public", target_is_directory=True)
        seconds = record.created.settings.judge_seconds
        facts[split] = run_write_test_rows(folder, draft / "rows" / split, seconds)
    return facts


def _write_requirements(record: Record, draft: Path) -> None:
    pins = "".join(f"{package.replace(' ', '==', 1)}\n" for package in record.created.packages)
    (draft / "requirements.txt").write_text(pins, encoding="utf-8")
    if lock := record.lock():
        shutil.copyfile(lock, draft / "environment.lock")


def _write_script(record: Record, draft: Path, facts: dict[str, dict[str, Any]]) -> None:
    recorded = {
        "run": record.created.run_id,
        "harness_version": record.created.harness_version,
        "sha256": record.chosen.sha256,
        "is_exact": record.is_exact,
        "is_combined": record.is_combined,
        "note": "" if record.is_exact else UNKNOWN_PARTS,
        "parts": [
            {
                "evaluation": part.evaluation,
                "commit": record.state.evaluations[part.evaluation].commit,
                "split": part.split,
                "weight": part.weight,
                "variables": record.variables_of(part),
            }
            for part in record.parts
        ],
        "splits": facts,
        "variables": usual_variables(),
    }
    (draft / "export.json").write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    reproduce, room = draft / "reproduce", Path(tasks.__file__).parent.parent
    for name in COPIED:
        (reproduce / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(room / name, reproduce / name)
    shutil.copyfile(harness.export.reproduce.__file__, reproduce / "run.py")
    environment = record.environment()
    script = draft / "run.sh"
    script.write_text(RUN_SH.replace("@RECORDED@", shlex.quote(str(environment or ""))), encoding="utf-8")
    script.chmod(0o755)
