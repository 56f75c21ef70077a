"""The commit of an evaluation: the workspace with its steps, checked before anything is recorded or run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.evaluation.steps import patterns
from harness.evaluation.steps.checkout import SOLUTION, Contents, contents, describe_left_out, is_code, may_be_held
from harness.evaluation.steps.declare import (
    StepsRefused,
    canonical,
    check_steps,
    joined_command,
    masked,
    parse_solution,
)
from runs.events.registry import Step
from runs.versions.commits import Versions
from sandboxes.base import PathRefused
from sandboxes.safe_files import read_file

SOLUTION_BYTES = 1_000_000


@dataclass(frozen=True)
class CommittedSolution:
    """A commit that can be evaluated; see `EvaluationStarted` for the fields."""

    commit: str
    tree: str
    command: str
    steps: list[Step]
    left_out: list[str]
    solution: str


def commit_solution(
    versions: Versions, workspace: Path, name: str, parent: str | None, steps: list[Step], faults: Sequence[str] = ()
) -> CommittedSolution:
    """Commit the workspace with `solution.json`. Raises `StepsRefused` with these and all other faults."""
    command = joined_command(steps)
    commit = versions.commit(
        workspace,
        f"evaluation {name}\n\n{command}",
        parent,
        replaced={SOLUTION.encode(): canonical(steps).encode("utf-8", "replace")},
        first=(is_code, may_be_held),
    )
    held = _with_unstored(contents(versions, commit.hash), commit.left_out)
    if every := [*faults, *_check_own_file(workspace), *check_steps(steps, held)]:
        raise StepsRefused(every)
    is_made = patterns.Matcher(pattern for step in steps for pattern in step.makes)
    left = {path: why for path, why in held.left_out.items() if not is_made(path)}
    lines = describe_left_out(left)
    is_plain = len(steps) == 1 and steps[0].uses is None
    return CommittedSolution(commit.hash, commit.tree, command, [] if is_plain else steps, lines, _hash_of(steps, held))


def _check_own_file(workspace: Path) -> list[str]:
    """The fault of a `solution.json` that the agent wrote for something else."""
    with suppress(FileNotFoundError, ValueError):
        try:
            text = read_file(workspace, (SOLUTION,), SOLUTION_BYTES).decode("utf-8", "replace")
            parse_solution(text)
        except (PathRefused, ValueError):
            return [f"{SOLUTION} is where the harness writes the steps: give your file another name"]
    return []


def _with_unstored(held: Contents, unstored: Sequence[str]) -> Contents:
    """The contents with what the commit itself left out, as lines `path (why)`."""
    named = (line.removesuffix(")").partition(" (") for line in unstored)
    return replace(held, left_out={**held.left_out, **{path: why for path, _, why in named}})


def _hash_of(steps: Sequence[Step], held: Contents) -> str:
    hidden = masked(steps, held)
    readable = {path: digest for path, digest in held.held.items() if path not in hidden}
    text = canonical(steps) + json.dumps(readable, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
