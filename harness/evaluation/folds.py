"""A solution run again on another blend: from its commit, in a clean sandbox, and nothing of it told but a status.

The labels that one fold holds out are training labels of the others, where the agent lives. So a fold sees only the
solution's code and short settings, never a model or a table it made, and its output stays out of every window.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runs.events.registry import FoldFinished, FoldStarted
from runs.state import Evaluation
from sandboxes.base import JobRequest, JobStatus, Sandbox
from sandboxes.select import open_sandbox
from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import opaque_name
from tasks.holdout.recipe import Split
from tasks.judging.judge import Judgement, run_judge
from tasks.task import load_task

if TYPE_CHECKING:
    from harness.loop import Run

Outcome = Literal["done", "short", "slow", "failed"]
"""Whether a solution ran on some blends: on all, on some because time was short, not to its end in several times the
usual time, or not with success."""
LEAST_SECONDS = 60.0
"""What a job on another blend may take at least, however short it was before."""

CODE = frozenset(
    (
        *(".py", ".pyi", ".ipynb", ".sh", ".bash", ".r", ".jl", ".c", ".h", ".cc", ".cpp", ".hpp", ".cu", ".pyx"),
        *(".rs", ".go", ".java", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".md"),
    )
)
CODE_BYTES = 300_000
"""A file of code longer than this holds data."""
SETTINGS, SETTINGS_BYTES = frozenset((".json", ".txt")), 10_000
"""What a solution was told to do may stand in such a file; what it learnt is longer, mostly."""


def blend_of(run: Run, split: Split) -> Blend:
    """The run's blend of a deal; made if need be."""
    if not split.name:
        return run.blend
    folder = run.blend.folder
    task = load_task(Path(run.created.task_path))
    return make_blend(task, run.created.seed, folder.with_name(opaque_name(f"{folder.name}\n{split.name}")), split)


def fold_dir(run: Run, evaluation: str, split: Split) -> Path:
    """Where the files of an evaluation on a blend are: submission.csv (its test rows), held_out.csv, select.csv."""
    return run.folder / "evaluations" / evaluation / (split.name or "fold0")


def run_all(
    run: Run, evaluation: Evaluation, splits: Sequence[Split], slower: float, left: Callable[[], float]
) -> Outcome:
    """Run an evaluation's command on these blends, while `left` has the seconds for it; what came of all of them.

    A job may take `slower` times what it took before. Raises `StopRequested`; done again, it goes on where it stood.
    """
    usual = max(LEAST_SECONDS, slower * evaluation.seconds)
    for at, split in enumerate(splits):
        if run.state.folds.get((evaluation.id, split.name)) is None:
            missing = sum(run.state.folds.get((evaluation.id, one.name)) is None for one in splits[at:])
            if left() < missing * evaluation.seconds:
                return "short"
        done = run_fold(run, evaluation, split, min(usual, max(1.0, left())))
        if done.status == "timeout":
            return "slow" if done.seconds > 0.9 * usual else "short"  # else what ended it was the run's own clock
        if done.status not in ("scored", "unscored"):
            return "failed"
    return "done"


def run_fold(run: Run, evaluation: Evaluation, split: Split, seconds: float) -> FoldFinished:
    """What came of an evaluation's command on another blend; run now, for at most `seconds`, unless it was before.

    Raises `StopRequested`; done again after a crash, it goes on where it stood.
    """
    key = (evaluation.id, split.name)
    done = run.state.folds.get(key)
    if done is not None:
        return done
    job = f"e-{evaluation.id}-{split.name}"
    if key not in run.state.folds:
        run.record(FoldStarted(evaluation=evaluation.id, fold=split.name, job=job))
    blend, folder = blend_of(run, split), fold_dir(run, evaluation.id, split)
    sandbox = _sandbox(run, evaluation, split, blend, folder)
    view = run_job(run, sandbox, job, evaluation.command, seconds)
    judgement = _judge(run, view, blend, folder)
    sandbox.close()
    run.record(
        FoldFinished(
            evaluation=evaluation.id,
            fold=split.name,
            status=judgement.status,
            score=judgement.score,
            noise=judgement.noise,
            message=judgement.message,
            seconds=round(view.seconds, 3),
            submission=judgement.sha256,
        )
    )
    shutil.rmtree(folder / "workspace", ignore_errors=True)
    finished = run.state.folds[key]
    assert finished is not None
    return finished


def _sandbox(run: Run, evaluation: Evaluation, split: Split, blend: Blend, folder: Path) -> Sandbox:
    """A clean sandbox over the blend, with logs of its own: what is printed there would carry labels."""
    place = replace(
        run.sandbox.paths,
        workspace=folder / "workspace",
        data=blend.public,
        jobs=run.folder / "fold_jobs" / split.name,
    )
    place.jobs.mkdir(parents=True, exist_ok=True)
    if not place.workspace.exists():
        run.versions.checkout(evaluation.commit, place.workspace)
    sandbox = open_sandbox(run.sandbox.kind, place)
    if split.fold >= 0 and sandbox.status(f"e-{evaluation.id}-{split.name}").state == "unknown":
        strip(place.workspace)
    return sandbox


def strip(workspace: Path) -> None:
    """Leave only code and short settings: a model or a table that was made elsewhere knows labels held out here."""
    for path in sorted(workspace.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        suffix, size = path.suffix.lower(), path.stat().st_size
        if not ((suffix in CODE and size <= CODE_BYTES) or (suffix in SETTINGS and size <= SETTINGS_BYTES)):
            path.unlink()


def run_job(run: Run, sandbox: Sandbox, job: str, command: str, seconds: float) -> JobStatus:
    """Run a command in a sandbox to its end, for at most `seconds`; a job that was started before is taken up again.

    Raises `StopRequested`.
    """
    limits = replace(run.limits(), wall_seconds=max(1.0, min(seconds, 30 * 24 * 3600.0)))
    sandbox.start(JobRequest(job, command, limits))
    while True:
        (view,) = run.await_jobs([job], run.settings.longest_wait_seconds, sandbox)
        if view.state != "running":
            return view


def _judge(run: Run, view: JobStatus, blend: Blend, folder: Path) -> Judgement:
    if view.ended != "exited" or view.exit_code != 0:
        status, code = view.ended or view.state, "" if view.exit_code is None else f" {view.exit_code}"
        return Judgement("timeout" if view.ended == "timeout" else "failed", f"{status}{code}")
    submission = folder / "workspace" / "submission.csv"
    return run_judge(blend.folder, submission, folder / "submission.csv", run.settings.judge_seconds, keep=True)
