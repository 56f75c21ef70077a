"""Check that a run folder holds what was recorded: the hash chain of the journal, its blobs, commits and submissions.

The chain has no key: it shows accidents and careless edits, not forgery.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runs.events.registry import EvaluationFinished, Event, SubmissionChosen
from runs.files import sha256_hex
from runs.journal import EVENTS, JournalMissing, is_torn
from runs.serialization import JournalDamaged, LineReader
from runs.state import State
from runs.versions.commits import Versions
from runs.versions.errors import VersionsError


@dataclass
class Integrity:
    """What a check found. `problems` name a place and what is wrong there; `events` are the lines that can be read.

    `state` is where the run stands after the last line before the first damaged one, `intact` the number of such
    lines, `torn` whether the last line is half written (a crash leaves that; it is not damage).
    """

    problems: list[str] = field(default_factory=list)
    events: int = 0
    intact: int = 0
    torn: bool = False
    state: State = field(default_factory=State)


def check_run(folder: Path) -> Integrity:
    """Check the folder of a run; changes nothing. Raises `JournalMissing`, `JournalVersion`, OSError."""
    found = Integrity()
    commits, submissions = dict[str, str](), dict[str, str]()
    chosen: SubmissionChosen | None = None
    for event in _events(folder, found):
        if isinstance(event, EvaluationFinished):
            commits[event.commit] = f"evaluation {event.evaluation}"
            submissions[event.evaluation] = event.submission
        chosen = event if isinstance(event, SubmissionChosen) else chosen
    found.problems += _missing_commits(folder, commits)
    found.problems += _changed_submissions(folder, submissions)
    record = folder / "submission.csv"
    if chosen and not (record.is_file() and sha256_hex(record.read_bytes()) == chosen.sha256):
        found.problems.append("submission.csv: it is not the submission of record; a resume restores it")
    return found


def _events(folder: Path, found: Integrity) -> Iterator[Event]:
    """The events that can be read, counted and applied; damage is noted."""
    path = folder / EVENTS
    if not path.is_file():
        raise JournalMissing(f"There is no run in {folder} ({EVENTS} is not there): `harness runs` lists all runs")
    reader, is_whole = LineReader(path), True
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if is_torn(line, file):
                found.torn = True
                return
            try:
                event = reader.read(line)
            except JournalDamaged as error:
                reader.skip(line)
                is_whole = False
                found.problems.append(f"{EVENTS}, line {number}: {error.why}")
                continue
            found.events += 1
            if is_whole:
                found.intact = number
                found.state.apply(event)
            yield event


def _missing_commits(folder: Path, commits: dict[str, str]) -> Iterator[str]:
    versions = Versions(folder / "repo.git")
    for commit, name in commits.items():
        try:
            versions.files(commit)
        except VersionsError:
            yield f"repo.git: the commit {commit[:10]} of {name} is missing or damaged"


def _changed_submissions(folder: Path, submissions: dict[str, str]) -> Iterator[str]:
    for name, digest in submissions.items():
        path = folder / "evaluations" / name / "submission.csv"
        if digest and path.is_file() and sha256_hex(path.read_bytes()) != digest:
            yield f"{path.relative_to(folder)}: it is not what was judged"
