"""`harness check`: whether a run folder holds what was recorded, and what can be saved of a damaged one."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from harness.ui.format import standing
from runs.integrity import Integrity, check_run
from runs.journal import EVENTS, is_driven, read_events

SHOWN = 20
LEFT_OUT = ("lock", "lock.pid", "recall.sqlite*", ".requests", ".done")
"""What is made again on a resume: locks, the index of `recall`, the pipes of a job supervisor."""


def check(name: str, settings: Settings, save: Path | None = None) -> int:
    """Check a run and print what is wrong with it; returns 2 if anything is. `save`: copy what is intact there.

    Raises `UsageError`, `JournalMissing`, `JournalVersion`.
    """
    folder = find_run(name, settings)
    if is_driven(folder):
        errors.fail(f"{folder.name} is being played, so its files change: check it when it has ended or stopped")
    found = check_run(folder)
    for problem in found.problems[:SHOWN]:
        print(f"BAD  {problem}")
    if len(found.problems) > SHOWN:
        print(f"     and {len(found.problems) - SHOWN} more")
    if found.torn:
        print("note the last line is half written, as a crash leaves it; a resume puts it aside")
    if not found.problems:
        print(f"{folder.name}: all {found.events} events, their texts, commits and submissions are as recorded.")
    elif found.intact < found.events or found.intact == 0:
        print(_intact(found))
    print("The hash chain has no key: it shows accidents and careless edits, not forgery.")
    if save:
        _save(folder, save, found)
    return errors.INPUT if found.problems else errors.DONE


def _intact(found: Integrity) -> str:
    if not found.intact:
        return f"No line before the damage is intact. {found.events} later events can still be read."
    state = found.state
    return (
        f"Lines 1 to {found.intact} are intact: {len(state.attempts)} attempts, {len(state.evaluations)} evaluations, "
        f"best {standing(state)}. {found.events - found.intact} later events can be read, but not resumed from. "
        "To copy what is intact into a folder that can be resumed, add --save DIR"
    )


def _save(folder: Path, target: Path, found: Integrity) -> None:
    if target.exists():
        errors.fail(f"{target} exists already: name a new folder")
    if not found.intact:
        errors.fail("nothing can be saved: the first line of the journal is damaged")
    draft = target.with_name(f".{target.name}.part")
    shutil.copytree(folder, draft, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    (draft / EVENTS).write_bytes(b"".join(lines[: found.intact]))
    _remove_later_jobs(draft)
    draft.rename(target)
    print(f"Saved {found.intact} events to {target}. Continue there: harness resume {target}")


def _remove_later_jobs(folder: Path) -> None:
    """Remove the jobs of lost events: a job on disk counts as started, so it would answer for a new job with its id."""
    known = {getattr(event, "job", "") for event in read_events(folder)}
    evaluations = {getattr(event, "evaluation", "") for event in read_events(folder)}
    for job in (folder / "jobs").glob("*/"):
        if not job.name.startswith(".") and job.name not in known:
            shutil.rmtree(job)
    for evaluation in (folder / "fold_jobs").glob("*/*/"):
        if evaluation.name not in evaluations:
            shutil.rmtree(evaluation)
