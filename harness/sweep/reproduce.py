"""A sweep as a file that gives the same table again, and the command that does it."""

from __future__ import annotations

import shlex
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


def command(plan: Plan, path: str) -> list[str]:
    """The lines that play the sweep again under another name."""
    variables = "".join(f"{name}={shlex.quote(value)} " for name, value in sorted(plan.variables.items()))
    return [
        f"pip install open-harness=={plan.version}",
        f"{variables}harness sweep {shlex.quote(path)} --name {plan.name[:34]}-again",
    ]
