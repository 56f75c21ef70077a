"""What is known of a run's submission of record: the results it was made of, and where their code and data are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evaluation.steps.checkout import contents
from harness.evaluation.steps.declare import masked, one_step
from harness.evaluation.submission import parts_of
from runs.events.registry import Part, RunCreated, Step, SubmissionChosen
from runs.state import Evaluation, State
from runs.versions.commits import Versions
from runs.views.final_choice import members_of_record
from sandboxes.base import SandboxUnavailable
from sandboxes.environments.build import PINS
from sandboxes.environments.environment import BUILT, SMALL, read_prefix
from sandboxes.host import common_environment
from sandboxes.jobs.recorded import environment_of_job
from sandboxes.leases.amounts import THREAD_VARIABLES
from tasks.holdout.private_labels import opaque_name

FIRST = "fold0"
"""The name of the split that the agent worked on."""
UNKNOWN_PARTS = (
    "The journal does not say which runs the submission of record was combined from (an earlier version of the harness "
    "wrote it). The code of each member is here, and `run.sh` runs it on the run's own data only, so what it makes "
    "differs from the submission of record."
)


@dataclass(frozen=True)
class Record:
    """The submission of record of a run in `folder`, which keeps its data under `home`.

    `parts` are what it was made of; `is_exact` is whether these are on record.
    """

    folder: Path
    home: Path
    state: State
    created: RunCreated
    chosen: SubmissionChosen
    parts: Sequence[Part]
    is_exact: bool

    @property
    def is_combined(self) -> bool:
        """Whether the harness combined its parts; a single result of an evaluation is submitted as it was made."""
        return self.chosen.evaluation == "final" or len(self.parts) > 1

    @property
    def members(self) -> list[Evaluation]:
        """The evaluations whose code it was made with."""
        return [self.state.evaluations[name] for name in dict.fromkeys(part.evaluation for part in self.parts)]

    @property
    def splits(self) -> list[str]:
        """The splits that the code ran on."""
        return list(dict.fromkeys(part.split for part in self.parts))

    def data_of(self, split: str) -> Path:
        """The folder of a split's data."""
        own = self.home / self.created.blend
        return own if split == FIRST else own.with_name(opaque_name(f"{own.name}\n{split}"))

    def steps_of(self, evaluation: Evaluation) -> list[Step]:
        """The steps of an evaluation."""
        return evaluation.started.steps or one_step(evaluation.command)

    def write_code(self, evaluation: Evaluation, into: Path) -> None:
        """Write the files that the evaluation ran with. Raises `VersionsError`."""
        versions = Versions(self.folder / "repo.git")
        held = contents(versions, evaluation.commit)
        versions.checkout(evaluation.commit, into, only=held.held.keys() - masked(self.steps_of(evaluation), held))

    def variables_of(self, part: Part) -> dict[str, str]:
        """The variables that set the number of threads of a part's job."""
        is_first = part.split == FIRST
        jobs = self.folder / "jobs" if is_first else self.folder / "fold_jobs" / part.split / part.evaluation
        job = f"e-{part.evaluation}" if is_first else f"e-{part.evaluation}-{part.split}"
        count = len(self.steps_of(self.state.evaluations[part.evaluation]))
        names = [job, *(f"{job}-s{number}" for number in range(count, 0, -1))]  # a cached step has no job
        found = next((variables for name in names if (variables := environment_of_job(jobs, name))), {})
        return {name: found[name] for name in THREAD_VARIABLES if name in found}

    def environment(self) -> Path | None:
        """The Python environment that the solutions ran in, if it is still on this machine."""
        if self.created.image:
            return None
        if self.created.environment:
            prefix = self.home / self.created.environment
            return prefix if prefix.is_dir() else None
        for prefix in sorted((self.home / SMALL).glob("*")):
            if list(_packages(prefix, self.home)) == self.created.packages:
                return prefix
        return None

    def lock(self) -> Path | None:
        """The pins of an environment that the harness built for `--environment`, if they are there."""
        prefix = self.home / self.created.environment
        path = prefix / PINS
        return path if prefix.parent == self.home.absolute() / BUILT and path.is_file() else None


def record_of(folder: Path, home: Path, state: State) -> Record | None:
    """The submission of record of a run; None if it is the sample, or there is none."""
    created, chosen = state.created, state.chosen
    members = [state.evaluations[name] for name in members_of_record(state)]
    if created is None or chosen is None or not members:
        return None
    if chosen.parts:
        return Record(folder, home, state, created, chosen, chosen.parts, True)
    if chosen.evaluation != "final":
        return Record(folder, home, state, created, chosen, parts_of(folder, members[0]), True)
    weights = state.decisions["record"].numbers.get("weights", {})
    parts = [Part(evaluation=one.id, weight=float(weights.get(one.id, 1.0))) for one in members]
    return Record(folder, home, state, created, chosen, parts, False)


def usual_variables() -> dict[str, str]:
    """The variables that every job has, without those that set the number of threads."""
    return {name: value for name, value in common_environment().items() if name not in THREAD_VARIABLES}


def _packages(prefix: Path, home: Path) -> tuple[str, ...]:
    try:
        return read_prefix(prefix, home).packages
    except (SandboxUnavailable, OSError):
        return ()
