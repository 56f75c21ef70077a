"""Run a solution on one split: from its commit, in clean sandboxes, and score the submission it makes.

Fold 0 is the split the agent works on. On every fold a solution sees only its code and short settings, since files made
elsewhere may hold labels that the fold holds out; on the other folds its output is never shown to the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.evaluation.fold_plan import search_half
from harness.evaluation.steps.checkout import contents
from harness.evaluation.steps.declare import one_step
from harness.evaluation.steps.run_steps import Solution, StepsOutcome, run_steps
from harness.evaluation.steps.sandboxed import Conditions, Place
from harness.run import Run
from runs.state import Evaluation
from sandboxes.base import JobStatus
from tasks.holdout.blend import Blend, make_blend
from tasks.holdout.private_labels import opaque_name
from tasks.holdout.sample_train import sample_public
from tasks.holdout.split import Split
from tasks.io.csv_text import TableError
from tasks.judging.judge import Judgement, run_judge
from tasks.task import load_task

_MAKING = threading.Lock()
"""Held while the data of a split is made: lanes and folds may need the same split."""


@dataclass(frozen=True)
class SplitResult:
    """How a solution ended on one split, and the judgement of its submission, on one `half` of the rows or on all.

    `workspace` has the files of its steps, which the caller removes.
    """

    outcome: StepsOutcome
    judgement: Judgement
    workspace: Path
    half: int | None = None

    @property
    def job(self) -> JobStatus:
        """How the job of its last step ended."""
        return self.outcome.status

    @property
    def seconds(self) -> float:
        """The uncached time: the sum of each step's last real run. Everything is planned from it."""
        return round(self.outcome.seconds, 3)

    @property
    def spent_seconds(self) -> float:
        """How long its jobs took now."""
        return round(self.outcome.spent_seconds, 3)

    @property
    def submission(self) -> Path:
        """The file that the solution wrote."""
        return self.outcome.submission


def blend_of(run: Run, split: Split) -> Blend:
    """The data folder of a split of this run; made if it does not exist."""
    if not split.name:
        return run.blend
    folder = run.blend.folder
    task = load_task(Path(run.created.task_path))
    with _MAKING:
        return make_blend(task, run.settings.seed, folder.with_name(opaque_name(f"{folder.name}\n{split.name}")), split)


def sampled_data(run: Run, sample: float) -> Path:
    """The public folder of the run with a share of its training rows; made if it does not exist. Raises ValueError
    where no rows can be left out."""
    out = run.folder / "samples" / f"{sample:g}"
    out.parent.mkdir(exist_ok=True)
    try:
        with _MAKING:
            sample_public(load_task(Path(run.created.task_path)), run.blend.public, out, sample, run.settings.seed)
    except TableError as error:
        raise ValueError(str(error)) from None
    return out


def fold_dir(run: Run, evaluation: str, split: Split) -> Path:
    """Where the files of an evaluation on a split are: submission.csv (its test rows), held_out.csv, select.csv."""
    return run.folder / "evaluations" / evaluation / (split.name or "fold0")


def job_of(evaluation: str, split: Split) -> str:
    """The id of the job that runs an evaluation on a split."""
    return f"e-{evaluation}-{split.name}" if split.name else f"e-{evaluation}"


def run_on_split(
    run: Run,
    evaluation: Evaluation,
    split: Split,
    seconds: float,
    judge_seconds: Callable[[], float],
    against: Path | None = None,
    use_cache: bool = True,
    *,
    conditions: Conditions,
) -> SplitResult:
    """Run an evaluation's steps on a split for at most `seconds` of real work, and judge what they made.

    `judge_seconds` is asked when the jobs have ended. `against` holds the predictions of another solution to compare
    with. Without `use_cache` every step runs. After a crash the same call continues: a job that was started is picked
    up again, and a step that finished is not run again. The caller removes the workspace. Raises `StopRequested`.
    """
    folder, blend = fold_dir(run, evaluation.id, split), blend_of(run, split)
    # The output of other folds would show their held-out labels, and earlier output the labels they hold out.
    jobs = run.folder / "fold_jobs" / split.name / evaluation.id if split.name else run.sandbox.paths.jobs
    public, sample, cached = blend.public, evaluation.started.sample, split.name or "fold0"
    if sample < 1:
        public, cached = sampled_data(run, sample), f"fold0-sample{sample:g}"
    where = Place(public, jobs, folder / "workspace", conditions, is_other=bool(split.name))
    outcome = run_steps(run, solution_of(run, evaluation, split), where, cached, seconds, use_cache)
    if outcome.problem:
        judgement = Judgement("timeout" if outcome.status.ended == "timeout" else "failed", outcome.problem)
        return SplitResult(outcome, judgement, where.folder)
    half = None if split.name else search_half(run, is_sampled=sample < 1)
    judgement = _judge(run, evaluation, split, outcome.submission, judge_seconds(), against, half)
    if judgement.status == "invalid" and half is not None and run.state.plan is None:
        half = None  # half of the rows may have one class
        judgement = _judge(run, evaluation, split, outcome.submission, judge_seconds(), against, half)
    return SplitResult(outcome, judgement, where.folder, half)


def judge_again(
    run: Run, evaluation: Evaluation, result: SplitResult, seconds: float, against: Path | None
) -> SplitResult:
    """Judge the submission of the first fold again, on the rows that scores use now, compared with the predictions
    `against`."""
    half = search_half(run)
    judgement = _judge(run, evaluation, Split(), result.submission, seconds, against, half)
    return replace(result, judgement=judgement, half=half)


def _judge(
    run: Run,
    evaluation: Evaluation,
    split: Split,
    submission: Path,
    seconds: float,
    against: Path | None,
    half: int | None,
) -> Judgement:
    blend, out = blend_of(run, split), fold_dir(run, evaluation.id, split) / "submission.csv"
    return run_judge(blend.folder, submission, out, seconds, True, against, half)


def solution_of(run: Run, evaluation: Evaluation, split: Split) -> Solution:
    """What an evaluation runs on a split."""
    steps = evaluation.started.steps or one_step(evaluation.command)
    held = contents(run.versions, evaluation.commit)
    return Solution(evaluation.id, evaluation.commit, steps, held, job_of(evaluation.id, split))
