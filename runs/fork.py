"""Fork a run: its journal up to an event, and the files that belong to it, become the beginning of another run.

The copy has its own event 0 and its own hash chain. Only what is over is copied: whatever was open at that event, such
as the job of an evaluation, runs again in the new run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from runs.blobs import sync_folder
from runs.events.registry import FORMAT, EvaluationFinished, Event, JobFinished, RunCreated
from runs.journal import EVENTS, JournalError, JournalVersion, read_events
from runs.serialization import LineReader, link_of, to_line
from runs.state import State

FIRST_SPLIT = "fold0"
"""The folder of an evaluation's files on the split that the agent sees."""

PIPES = (".requests", ".done", ".supervisor.*")
"""What a supervisor of jobs makes for itself."""


def read_until(folder: Path, last: int) -> list[Event]:
    """The events of a run up to number `last`; damage that comes later does no harm.

    Raises `JournalMissing`, `JournalVersion`, `JournalDamaged`, and `JournalError` if there is no such event.
    """
    events = list(islice(read_events(folder), last + 1))
    first = events[0] if events else None
    if not isinstance(first, RunCreated):
        raise JournalError(f"{folder.name} has no whole event yet")
    if (found := _format_of(folder)) < FORMAT:
        raise JournalVersion(
            f"The run in {folder} has format {found} (harness {first.harness_version}): it cannot be forked"
        )
    if len(events) <= last:
        raise JournalError(f"{folder.name} has no event {last}: its last one is {len(events) - 1}")
    return events


def _format_of(folder: Path) -> int:
    """The format of the run as it was written: reading upgrades event 0."""
    reader = LineReader(folder / EVENTS)
    with (folder / EVENTS).open("rb") as file:
        reader.read(file.readline())
    return reader.format


def write_fork(folder: Path, source: Path, events: Sequence[Event], state: State, others: Mapping[str, Path]) -> None:
    """Make the folder of a forked run; it appears all at once. `events` are its whole journal, `state` their fold,
    `others` more files to copy, by the name that they get. Raises `JournalError`."""
    if folder.exists():
        raise JournalError(f"{folder} already exists")
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        draft.chmod(0o755)
        _copy_files(source, draft, state, others)
        for job in set(_finished_jobs(events)):
            _copy_folder(source, draft, f"jobs/{job}")
        _write_journal(draft, events)
        draft.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if draft:
            shutil.rmtree(draft, ignore_errors=True)
        raise JournalError(f"{source} cannot be copied to {folder}: {error.strerror or error}") from error


def _write_journal(draft: Path, events: Sequence[Event]) -> None:
    (draft / "blobs").mkdir()
    (draft / "inbox").mkdir()
    link = ""
    with (draft / EVENTS).open("wb") as file:
        for number, event in enumerate(events):
            line = to_line(event.model_copy(update={"seq": number, "prev": link}), draft / "blobs")
            file.write(line)
            link = link_of(line)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(draft)


def _copy_files(source: Path, draft: Path, state: State, others: Mapping[str, Path]) -> None:
    for name, path in {**others, "evaluations/sample.csv": source / "evaluations/sample.csv"}.items():
        with suppress(FileNotFoundError):
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, draft / name)
    _copy_folder(source, draft, "repo.git")
    if state.chosen and state.chosen.evaluation not in ("", *state.evaluations):
        _copy_folder(source, draft, f"evaluations/{state.chosen.evaluation}")
    for fold in _finished_folds(state):
        _copy_folder(source, draft, fold)
    for evaluation in state.evaluations.values():
        if evaluation.finished:
            name = f"evaluations/{evaluation.id}"
            _copy_folder(source, draft, f"{name}/{FIRST_SPLIT}")
            with suppress(FileNotFoundError):
                shutil.copyfile(source / name / "submission.csv", draft / name / "submission.csv")


def _finished_folds(state: State) -> Iterator[str]:
    for (evaluation, fold), result in state.folds.items():
        if result is not None:
            yield f"evaluations/{evaluation}/{fold}"
            yield f"fold_jobs/{fold}/{evaluation}"


def _finished_jobs(events: Iterable[Event]) -> Iterator[str]:
    """A job whose folder is there counts as started, so only those that are over are copied."""
    for event in events:
        if isinstance(event, JobFinished):
            yield event.job
        elif isinstance(event, EvaluationFinished):
            yield from (step.job for step in event.steps if step.job)


def _copy_folder(source: Path, draft: Path, name: str) -> None:
    if (source / name).is_dir():
        ignored = shutil.ignore_patterns(*PIPES)
        shutil.copytree(source / name, draft / name, symlinks=True, ignore=ignored, dirs_exist_ok=True)
