"""A sweep as a file that gives the same table again, and the command that does it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml

from harness.sweep.schema import Source, SweepFile
from harness.sweep.types import Plan


def yaml_of(source: Source, plan: Plan) -> str:
    """The sweep as it was resolved: options of the command line included, tasks by absolute path, seeds listed."""
    file: SweepFile = source.file
    values: dict[str, Any] = {"name": file.name}
    if file.split:
        values["split"] = file.split
    else:
        values["tasks"] = list(dict.fromkeys(row.task for row in plan.rows))
    values |= {"seeds": file.seed_list, "run": file.run, "factors": file.factors}
    values |= {"needs": file.needs.model_dump(), "jobs": file.jobs, "engine": file.engine, "slurm": file.slurm}
    values["score"] = file.score
    kept = {name: value for name, value in values.items() if value not in ({}, None)}
    head = f"# Made by open-harness {plan.version} at {plan.created}.\n"
    return head + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def command(plan: Plan, folder: Path) -> list[str]:
    """The lines that play the sweep of a folder again under another name, with the lessons that it read."""
    variables = "".join(f"{name}={shlex.quote(value)} " for name, value in sorted(plan.variables.items()))
    words = ["harness", "sweep", str(folder / "sweep.yaml"), "--name", f"{plan.name[:34]}-again"]
    if len(plan.ledger) == 1 and not any("ledger" in row.levels for row in plan.rows):
        (facts,) = plan.ledger.values()
        words += ["--set", f"ledger_snapshot={folder / facts['snapshot']}"]
    return [f"pip install open-harness=={plan.version}", variables + shlex.join(words)]
