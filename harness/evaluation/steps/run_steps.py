"""Run the steps of a solution on one split, or take their results from the cache.

Each step gets a fresh workspace with the files it uses. What it makes is kept under its hash in a folder that no
sandbox sees, together with a record of the step: a resumed run continues after the last step that succeeded.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from harness.disk import refuse_full
from harness.evaluation.steps import patterns
from harness.evaluation.steps.cache import StepCache, StepRecord, key_of
from harness.evaluation.steps.checkout import Contents
from harness.evaluation.steps.declare import SUBMISSION, masked, used_files
from harness.evaluation.steps.logs import write_log
from harness.evaluation.steps.outputs import MadeFile, Unusable, collect, keep_log, place
from harness.evaluation.steps.sandboxed import Place, environment_of, run_job
from harness.run import Run
from runs.events.registry import Step, StepResult
from runs.files import replace_file
from sandboxes.base import JobStatus

TOLD_FILES = 5
"""How many undeclared files are named."""


@dataclass(frozen=True)
class Solution:
    """What runs: an evaluation's commit and its steps. `job` is the id of its job, from which those of steps derive."""

    evaluation: str
    commit: str
    steps: Sequence[Step]
    contents: Contents
    job: str

    def job_of(self, number: int) -> str:
        """The id of a step's job."""
        return self.job if len(self.steps) == 1 else f"{self.job}-s{number}"


@dataclass
class StepsOutcome:
    """How the steps ended: `status` of the last job, results of the steps so far, `problem` where one failed.

    `submission` is where `submission.csv` is; `logs` are the logs of all steps, oldest first. `spent_seconds` is the
    time of jobs that ran now.
    """

    status: JobStatus
    submission: Path
    results: list[StepResult] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    problem: str = ""
    spent_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """The uncached time: the sum of each step's last real run."""
        return sum(result.seconds for result in self.results)


def run_steps(run: Run, solution: Solution, where: Place, split: str, seconds: float, use_cache: bool) -> StepsOutcome:
    """Run the steps for at most `seconds` of work that is really done. Raises `StopRequested`, OSError."""
    return _Steps(run, solution, where, split, seconds, use_cache).run_all()


class _Steps:
    """One pass over the steps of a solution."""

    def __init__(self, run: Run, solution: Solution, where: Place, split: str, seconds: float, use_cache: bool) -> None:
        self.run, self.solution, self.where, self.split = run, solution, where, split
        self.seconds, self.use_cache = seconds, use_cache
        self.count = len(solution.steps)
        self.kept = where.folder / "made"
        self.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.cache = StepCache(run.folder / "step_cache", split, run.settings.step_cache_bytes)
        hidden = masked(solution.steps, solution.contents)
        self.code = {path: digest for path, digest in solution.contents.held.items() if path not in hidden}
        self.made: dict[str, MadeFile] = {}
        nothing = JobStatus(solution.job, "finished", "exited", 0)
        self.outcome = StepsOutcome(nothing, where.folder / SUBMISSION)

    def run_all(self) -> StepsOutcome:
        """Run step after step until one fails."""
        for number, step in enumerate(self.solution.steps, 1):
            try:
                self._run_step(_Inputs.of(number, step, self.code, self.made))
            except _Failed as failure:
                what = str(failure)
                self.outcome.problem = (
                    f"the command {what}" if self.count == 1 else f"step {number} of {self.count} {what}"
                )
                break
        status = replace(self.outcome.status, id=self.solution.job, seconds=self.outcome.spent_seconds)
        self.run.note_ended(status)
        commands = [step.command for step in self.solution.steps]
        write_log(self.where.jobs, self.solution.job, commands, self.outcome.results, self.outcome.logs)
        return self.outcome

    def _run_step(self, inputs: _Inputs) -> None:
        key = key_of(
            inputs.step.command,
            inputs.step.makes,
            inputs.code,
            inputs.made,
            environment_of(self.run),
            f"{self.where.data}\n{self.split}",
        )
        if record := self._finished_before(inputs.number, key):
            self.outcome.spent_seconds += record.seconds
            return self._use(inputs, record)
        notes = []
        if self.use_cache and not self._workspace(inputs.number).exists():  # else it was started here
            record, is_damaged = self.cache.fetch(key, self.kept)
            if record is not None:
                return self._use(inputs, record, cached_from=record.evaluation)
            notes = ["its cached result was damaged, so it ran again"] if is_damaged else []
        return self._run_now(inputs, key, notes)

    def _workspace(self, number: int) -> Path:
        return self.where.folder / f"step-{number}"

    def _finished_before(self, number: int, key: str) -> StepRecord | None:
        """The record of this step in this evaluation, if it finished before an interruption."""
        with suppress(OSError, ValidationError):
            record = StepRecord.model_validate_json(self._workspace(number).with_suffix(".json").read_bytes())
            if record.key == key and all((self.kept / sha256).exists() for sha256 in record.contents):
                return record
        return None

    def _run_now(self, inputs: _Inputs, key: str, notes: list[str]) -> None:
        number, step, workspace = inputs.number, inputs.step, self._workspace(inputs.number)
        job, left = self.solution.job_of(number), self.seconds - self.outcome.spent_seconds
        try:
            status = run_job(
                self.run, self.where, workspace, job, step.command, left, lambda into: self._fill(inputs, into)
            )
            self._note(inputs, status)
            if status.ended != "exited" or status.exit_code != 0:
                unseen = sorted(set(self.code) - set(inputs.code))
                raise _Failed(f"did not succeed: {status.summary()}{_describe_unseen(unseen)}")
            files, dropped = self._collect(inputs)
        except Unusable as problem:
            raise _Failed(f"failed: {problem}") from None
        if number == self.count and SUBMISSION not in files:  # what is wrong with it is the judge's to say
            self.outcome.submission = workspace / SUBMISSION
            return
        if self.count > 1:
            notes += _describe_dropped(dropped)
        log = keep_log(status.log, self.kept) if status.log else None
        record = StepRecord(
            key=key,
            evaluation=self.solution.evaluation,
            job=job,
            seconds=round(status.seconds, 3),
            peak_bytes=status.peak_bytes,
            files=files,
            log=log,
        )
        replace_file(workspace.with_suffix(".json"), record.model_dump_json().encode())
        if not self.cache.store(record, self.kept):
            size = f"{record.made_bytes / 1e9:.1f} of at most {self.cache.max_bytes / 1e9:.1f} GB"
            notes += [f"not cached: it made {size}"] if self.cache.max_bytes else []
        shutil.rmtree(workspace, ignore_errors=True)
        self._take_over(record)
        self.outcome.results[-1] = self.outcome.results[-1].model_copy(
            update={"made_bytes": record.made_bytes, "notes": notes}
        )

    def _note(self, inputs: _Inputs, status: JobStatus) -> None:
        """Take down how a job ended that ran now."""
        self.outcome.status = status
        self.outcome.spent_seconds += status.seconds
        self.outcome.logs.append(status.log or self.where.folder / "no log")
        job = self.solution.job_of(inputs.number)
        result = StepResult(
            job=job,
            seconds=round(status.seconds, 3),
            peak_bytes=status.peak_bytes,
            cpu_seconds=status.cpu_seconds,
        )
        self.outcome.results.append(result)

    def _fill(self, inputs: _Inputs, workspace: Path) -> None:
        """Make a step's workspace: the files it uses, and the folders it writes to."""
        refuse_full(self.run)
        if sum(one.size for one in inputs.made.values()) > self._room():
            raise Unusable("the disk of this machine has no room for the files it uses")
        draft = workspace.with_name(f".{workspace.name}")
        shutil.rmtree(draft, ignore_errors=True)
        self.run.versions.checkout(self.solution.commit, draft, only=inputs.code.keys())
        place(inputs.made, self.kept, draft)
        for pattern in inputs.step.makes:
            folder = patterns.fixed_folder(pattern)
            with suppress(OSError):
                (draft / folder).mkdir(parents=True, exist_ok=True)
        draft.rename(workspace)

    def _collect(self, inputs: _Inputs) -> tuple[dict[str, MadeFile], list[str]]:
        """What a step that succeeded made, and what it wrote without declaring it. Raises `Unusable`."""
        step, is_last = inputs.step, inputs.number == self.count
        refuse_full(self.run, self._workspace(inputs.number))
        earlier = sum(one.size for one in self.made.values())
        limit = min(self.run.settings.workspace_bytes - earlier, self._room())
        is_made = patterns.Matcher(step.makes)
        found = collect(
            self._workspace(inputs.number),
            lambda path: path not in inputs.code and is_made(path),
            lambda path: path in inputs.code or path in inputs.made,
            self.kept,
            limit,
            judged=SUBMISSION if is_last else "",
        )
        files = {path: one for path, one in found.files.items() if inputs.made.get(path) != one}
        for pattern in step.makes:
            is_judged = is_last and pattern == SUBMISSION
            if not is_judged and not any(patterns.matches(pattern, path) for path in found.files):
                raise Unusable(f"it made no {pattern}")
        return files, found.dropped

    def _room(self) -> int:
        """Bytes that the disk has left for what steps make."""
        return shutil.disk_usage(self.where.folder).free - self.run.limits().free_bytes

    def _use(self, inputs: _Inputs, record: StepRecord, cached_from: str = "") -> None:
        """Take over what a step made before: in an earlier evaluation, or in this one before an interruption."""
        self.outcome.status = JobStatus(record.job, "finished", "exited", 0)
        self.outcome.logs.append(self.kept / record.log.sha256 if record.log else self.where.folder / "no log")
        self.outcome.results.append(
            StepResult(
                job=record.job,
                seconds=record.seconds,
                peak_bytes=record.peak_bytes,
                cached_from=cached_from,
                made_bytes=record.made_bytes,
            )
        )
        self._take_over(record)

    def _take_over(self, record: StepRecord) -> None:
        self.made |= record.files
        if SUBMISSION in record.files:
            self.outcome.submission = self.kept / record.files[SUBMISSION].sha256


class _Failed(Exception):
    """A step failed; the message says how."""


@dataclass(frozen=True)
class _Inputs:
    """A step with the files it uses: `code` of the commit and what earlier steps `made`."""

    number: int
    step: Step
    code: dict[str, str]
    made: dict[str, MadeFile]

    @classmethod
    def of(cls, number: int, step: Step, code: dict[str, str], made: dict[str, MadeFile]) -> _Inputs:
        """Resolve `uses`. Raises `_Failed` where a pattern matches no file."""
        for pattern in step.uses or ():
            is_there = any(patterns.matches(pattern, path) for path in (*code, *made))
            if not is_there and not patterns.is_below(pattern, "data"):
                raise _Failed(f"uses {pattern}, which no earlier step made")
        used_code, used_made = used_files(step, list(code)), used_files(step, list(made))
        return cls(number, step, {path: code[path] for path in used_code}, {path: made[path] for path in used_made})


def _describe_unseen(unseen: Sequence[str]) -> str:
    if not unseen:
        return ""
    more = f" and {len(unseen) - TOLD_FILES} more" if len(unseen) > TOLD_FILES else ""
    return f". Its `uses` leaves out {', '.join(unseen[:TOLD_FILES])}{more}"


def _describe_dropped(dropped: Sequence[str]) -> list[str]:
    if not dropped:
        return []
    more = f" and {len(dropped) - TOLD_FILES} more" if len(dropped) > TOLD_FILES else ""
    return [f"not kept, since it is not in `makes`: {', '.join(dropped[:TOLD_FILES])}{more}"]
