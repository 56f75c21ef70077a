"""Leak checks in a run: of the data before the first attempt, of the solution at each evaluation."""

from __future__ import annotations

import re
from pathlib import Path

from harness.evaluation.run_split import SplitResult
from harness.evaluation.steps.checkout import contents
from harness.run import Run
from runs.events.registry import Warned
from runs.state import Evaluation, State
from tasks.leakage.solution import UNCHECKED, SolutionCheck, check_claim, check_solution
from tasks.leakage.task import check_task_once
from tasks.task import Task

MEMORIZATION_FINDINGS = frozenset(("labels in the code", "answers in the code"))
"""Kinds of findings that make a solution untrusted."""
DISTRUSTED_FINDINGS = MEMORIZATION_FINDINGS | {UNCHECKED}
_NUMBER = re.compile(r"\d+")
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
    task, commands = Path(run.created.task_path), [evaluation.command]
    return check_solution(checkout, result.submission, run.blend.folder, task, log, commands=commands)


def notes_for_model(state: State, checked: SolutionCheck) -> list[str]:
    """The findings as the model reads them. One that does not count is told once in a run, wherever its line moves."""
    told = {_NUMBER.sub("#", note) for e in state.evaluations.values() if e.finished for note in e.finished.notes}
    notes = []
    for finding in checked.findings:
        counts = finding.kind in DISTRUSTED_FINDINGS
        effect = "counts: the solution is not trusted" if counts else "a hint, it does not count against the score"
        note = f"{finding.kind}: {finding.message} ({effect})"
        if finding.agent_may_see and (counts or _NUMBER.sub("#", note) not in told):
            notes.append(note)
    return notes


def warn(run: Run, evaluation: str, checked: SolutionCheck, claimed: float | None, score: float, noise: float) -> None:
    """Record the findings of an evaluation, and a self-reported score that is far too high."""
    for finding in [*checked.findings, *check_claim(claimed, score, noise, run.created.lower_is_better)]:
        run.record(Warned(message=f"leak check, evaluation {evaluation}, {finding.kind}: {finding.message}"))
