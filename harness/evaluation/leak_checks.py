"""Leak checks in a run: of the data before the first attempt, of the solution at each evaluation."""

from __future__ import annotations

from pathlib import Path

from harness.evaluation.run_split import SplitResult
from harness.evaluation.steps.checkout import contents
from harness.run import Run
from runs.events.registry import Warned
from runs.state import Evaluation
from tasks.leakage.solution import SolutionCheck, check_claim, check_solution
from tasks.leakage.task import check_task_once
from tasks.task import Task

LOG_BYTES = 20_000
"""How much of the end of a log is searched for the score a solution printed."""


def notes_on_task(run: Run, task: Task) -> str:
    """Record the findings in the data; those that the agent may see come back as text of the task card."""
    findings = check_task_once(task, run.blend.private_labels)
    for finding in findings:
        run.record(Warned(message=f"leak check, {finding.kind}: {finding.message}"))
    shown = [f"- {finding.kind}: {finding.message}" for finding in findings if finding.agent_may_see]
    return "\n\n## What the harness noticed in the data\n\n" + "\n".join(shown) if shown else ""


def check(run: Run, evaluation: Evaluation, result: SplitResult) -> SolutionCheck:
    """Check the files that a solution consists of, and its log on the first fold."""
    log = run.sandbox.output(evaluation.started.job, -LOG_BYTES, LOG_BYTES)
    checkout = result.workspace / "checkout"
    run.versions.checkout(evaluation.commit, checkout, only=contents(run.versions, evaluation.commit).held.keys())
    return check_solution(checkout, result.submission, run.blend.folder, Path(run.created.task_path), log)


def warn(run: Run, evaluation: str, checked: SolutionCheck, claimed: float | None, score: float, noise: float) -> None:
    """Record the findings of an evaluation, and a self-reported score that is far too high."""
    for finding in [*checked.findings, *check_claim(claimed, score, noise, run.created.lower_is_better)]:
        run.record(Warned(message=f"leak check, evaluation {evaluation}, {finding.kind}: {finding.message}"))
