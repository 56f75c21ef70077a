"""Make the submission of an exported run again: run each part on its data, then combine them as the harness did.

`harness export` copies this file to `reproduce/run.py` of an exported folder, and the modules of the harness that it
imports beside it. So it needs Python 3.10 or later, but not the harness. Where a metric ranks predictions, or there are
10,000 rows or more, it also needs NumPy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasks.io.columns import Columns, read_columns, write_columns
from tasks.judging.ensemble import combine
from tasks.judging.restore_test_rows import restore_test_rows
from tasks.judging.validate_submission import Format, SubmissionRefused, read_submission


def main(root: Path, search_path: str) -> int:
    """Write `submission.csv` into an exported folder, with the programs on `search_path`.

    Returns 0 if it is the submission of record, byte for byte, 1 if it is not.
    """
    recorded = json.loads((root / "export.json").read_text(encoding="utf-8"))
    parts = [run_part(root, recorded, part, search_path) for part in recorded["parts"]]
    tables = [read_columns(path) for path in parts]
    out = root / "submission.csv"
    if recorded["is_combined"]:
        facts = recorded["splits"][recorded["parts"][0]["split"]]
        tables = [combine_tables(facts, tables, [part["weight"] for part in recorded["parts"]])]
    write_columns(out, tables[0])
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    if digest == recorded["sha256"]:
        print(f"submission.csv is the submission of record, byte for byte (sha256 {digest})")
        return 0
    print(f"submission.csv differs from the submission of record (sha256 {digest}, recorded {recorded['sha256']})")
    print("Its packages, threads or machine may differ: see README.md" if recorded["is_exact"] else recorded["note"])
    return 1


def run_part(root: Path, recorded: dict[str, Any], part: dict[str, Any], search_path: str) -> Path:
    """Run one evaluation's code on one split; returns the file with its predictions of the test rows."""
    name, split = part["evaluation"], part["split"]
    data, code, work = root / "data" / split, root / "code" / name, root / "work" / name / split
    if not data.is_dir():
        sys.exit(f"The data of {split} is not at {data.resolve()}: put it there, or link {data} to a copy of it")
    print(f"running {name} on {split}", flush=True)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(code, work, symlinks=True)
    (work / "solution.json").unlink()
    (work / "data").symlink_to(data.resolve())
    home = work.with_name(f".{split}-home")
    home.mkdir(exist_ok=True)
    own = {"PATH": search_path, "HOME": str(home), "TMPDIR": str(home)}
    for step in json.loads((code / "solution.json").read_text(encoding="utf-8"))["steps"]:
        for pattern in step["makes"]:
            fixed_folder(work, pattern).mkdir(parents=True, exist_ok=True)
        environment = {**recorded["variables"], **part["variables"], **own}
        done = subprocess.run(["/bin/bash", "-c", step["command"]], cwd=work, env=environment, stdin=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"{step['command']!r} ended with exit code {done.returncode} in {work}")
    try:
        table = test_rows(root / "rows" / split, recorded["splits"][split], work / "submission.csv")
    except SubmissionRefused as error:
        sys.exit(f"What {name} made on {split} is not a valid submission: {error}")
    out: Path = work / "test_rows.csv"
    write_columns(out, table)
    return out


def fixed_folder(work: Path, pattern: str) -> Path:
    """The folder that a step writes files of this pattern to: the parts of a path before any wildcard."""
    folder = work
    for part in pattern.split("/")[:-1]:
        if any(mark in part for mark in "*?["):
            break
        folder /= part
    return folder


def test_rows(rows: Path, facts: dict[str, Any], submission: Path) -> Columns:
    """The task's own submission, from that of a split: its test rows with their ids in the task's sample."""
    needed = (facts["id"], *facts["targets"])
    ids = read_columns(rows / "ids.csv").column("id")
    form = Format(
        needed, facts["id"], tuple(facts["targets"]), ids, facts["needs"] != "labels", facts["may_be_missing"]
    )
    chosen = read_columns(rows / "test_rows.csv")
    test = read_submission(submission, form).take([int(row) for row in chosen.column("row")])
    rest = rows / "rest.csv"
    return restore_test_rows(
        test,
        facts["id"],
        chosen.column("id") if facts["is_renamed"] else None,
        facts["columns"],
        read_columns(rest) if rest.exists() else None,
    )


def combine_tables(facts: dict[str, Any], tables: list[Columns], weights: list[float]) -> Columns:
    """The weighted combination of submissions, as the task's metric asks for."""
    metric: Any = SimpleNamespace(
        needs=facts["needs"], is_rank_based=facts["is_rank_based"], file="own" if facts["has_own_metric"] else None
    )
    return combine(metric, facts["targets"], tables, weights)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent, sys.argv[1]))
