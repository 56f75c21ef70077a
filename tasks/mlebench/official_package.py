"""Run the official package `mlebench`, which prepares and grades the competitions that this package does not.

It runs in its own process and environment, because it needs pandas below 3. Its interpreter is
<home>/mlebench/bin/python, or the running one if that has the package.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tasks.errors import TaskError
from tasks.mlebench.extract import Progress

ENVIRONMENT = "mlebench"
INSTALL = (
    "The official package mlebench is not installed; it is on no package index. Make an environment for it: "
    "python3 -m venv {place} && clone the repository openai/mle-bench with git-lfs, then "
    "{place}/bin/pip install -e mle-bench 'pandas<3' (from pandas 3 on its text graders find every submission invalid)"
)

_GRADE = """
import json, sys
from pathlib import Path
from mlebench.grade import grade_csv
from mlebench.registry import registry
name, submission, data = sys.argv[1:]
competition = registry.set_data_dir(Path(data)).get_competition(name)
report = grade_csv(Path(submission), competition).to_dict()
print("REPORT " + json.dumps(report, default=str))
"""

_PREPARE = """
import sys
from pathlib import Path
from mlebench.data import download_and_prepare_dataset
from mlebench.registry import registry
name, data = sys.argv[1:]
competition = registry.set_data_dir(Path(data)).get_competition(name)
download_and_prepare_dataset(competition, keep_raw=True)
(competition.public_dir / "description.md").write_text(competition.description)
"""


def interpreter(home: Path) -> Path | None:
    """The Python interpreter with the official package, or None."""
    own = home / ENVIRONMENT / "bin" / "python"
    if own.is_file():
        return own
    spec = importlib.util.find_spec("mlebench")
    # A folder of that name on the path is a namespace package, which has no origin.
    return Path(sys.executable) if spec is not None and spec.origin is not None else None


def how_to_install(home: Path) -> str:
    """How to install the official package."""
    return INSTALL.format(place=home / ENVIRONMENT)


def official_report(name: str, submission: Path | None, data: Path) -> dict[str, Any]:
    """The report of the official grader on a submission. `data` is the folder of all prepared competitions.

    Raises TaskError.
    """
    path = str(submission) if submission else str(data / name / "no-submission")
    output = _run(data.parent, _GRADE, [name, path, str(data)], 3600)
    lines = [line.removeprefix("REPORT ") for line in output.splitlines() if line.startswith("REPORT ")]
    if not lines:
        raise TaskError(f"{name}: the official grader gave no report: {output.strip()[-500:]}")
    report: dict[str, Any] = json.loads(lines[-1])
    return report


def prepare_officially(name: str, folder: Path, raw: Path | None, target: Path, progress: Progress) -> None:
    """Let the official package prepare a competition, and move the result to `target`. Raises TaskError."""
    if raw is not None:
        raise TaskError(f"{name} is prepared by the official package, which downloads it: omit --raw")
    progress("the official package is preparing", 0, 0)
    data = folder / "official"
    _run(folder.parent.parent, _PREPARE, [name, str(data)], 24 * 3600)
    prepared = data / name / "prepared"
    if not prepared.is_dir():
        raise TaskError(f"{name}: the official package made no data in {prepared}")
    shutil.rmtree(target, ignore_errors=True)
    prepared.rename(target)


def _run(home: Path, program: str, arguments: list[str], seconds: float) -> str:
    python = interpreter(home)
    if python is None:
        raise TaskError(how_to_install(home))
    try:
        done = subprocess.run(
            [python, "-c", program, *arguments], capture_output=True, text=True, timeout=seconds, cwd=home
        )
    except subprocess.TimeoutExpired:
        raise TaskError(f"the official package took longer than {seconds:g} seconds") from None
    if done.returncode:
        raise TaskError(f"the official package failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
