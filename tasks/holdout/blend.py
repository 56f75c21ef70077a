"""The data folder of a split: labelled rows are held out and mixed into the test rows, where they look the same.

    <folder>/public/    what the sandbox shows as ./data: smaller train, larger test, sample submission for both
    <folder>/custody/   private labels: key.csv and answers.csv say what each sample row is. Mode 0700, never mounted

Cells stay text, so nothing is rounded or renamed when the folder is made (`make_blend`) or a submission is divided
(`partition_submission`).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.holdout.build import build_files
from tasks.holdout.link_files import has_shown_attributes
from tasks.holdout.private_labels import plant_canary
from tasks.holdout.split import Split
from tasks.holdout.splitters import TooFewRows
from tasks.io.atomic import FILE_TIME, open_durable
from tasks.io.csv_text import TableError, read_header
from tasks.io.folder import scan
from tasks.io.hashing import hash_of, hash_of_file
from tasks.metrics.registry import Metric, metric_from_record
from tasks.progress import counted

if TYPE_CHECKING:
    from tasks.task import Task


FIRST_SPLIT = Split()
FORMAT = 3
"""What is written into a data folder, counted: 2 shuffles the training rows of folds and renames opaque ids; 3 shuffles
the rows to predict by a secret. Older folders are still read."""


@dataclass(frozen=True)
class Blend:
    """The data of a split: `public` for the sandbox, `private_labels` for the harness alone.

    Scores on the `held_out_rows` are shown to the agent; `select_rows` are opened once, at the end of a run. `folds` is
    the number of splits that together hold out every labelled row once (0: this is the only split). `notes` tell
    people about imperfections. `competition` names the MLE-bench competition whose rule checks the test rows, if any.
    """

    folder: Path
    public: Path
    private_labels: Path
    held_out_rows: int
    test_rows: int
    has_labels: bool
    metric: Metric
    notes: tuple[str, ...] = ()
    select_rows: int = 0
    labelled_rows: int = 0
    folds: int = 0
    competition: str = ""


def make_blend(task: Task, seed: int, folder: Path, split: Split = FIRST_SPLIT) -> Blend:
    """Make the data folder of a task, seed and split, or load the existing one; equal arguments give equal bytes.

    A task without `labels` is shown unchanged. The folder appears complete, by rename. Raises TaskError.
    """
    from tasks.task import TaskError

    try:
        if not folder.exists():
            _make_once(task, seed, split, folder)
        blend = load_blend(folder)
        # The metric's description is part of the fingerprint, but rewording it does not change a blend.
        recorded = read_meta(blend.private_labels)
        described = replace(task, metric=replace(task.metric, doc=recorded["metric"]["doc"]))
        is_same = recorded["fingerprint"] == _fingerprint(described, seed, split, recorded.get("format", 1))
    except (TableError, TooFewRows) as error:
        raise TaskError(f"{task.path}: no rows can be held out: {error}") from None
    except OSError as error:
        advice = (
            ". Free some space, or set HARNESS_HOME to another disk"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else ""
        )
        raise TaskError(f"{task.path}: its data cannot be prepared in {folder}: {error}{advice}") from error
    if not is_same:
        raise TaskError(
            f"{task.path}: its data or metric changed since {folder} was made. Earlier runs still need that folder: "
            "give the changed task another id, or delete the folder to make a new one"
        )
    return blend


def load_blend(folder: Path) -> Blend:
    """Load the blend in a folder. Raises TaskError if there is none."""
    public, private_labels = folder / "public", folder / "custody"
    try:
        meta = read_meta(private_labels)
        metric = metric_from_record(meta["metric"])
    except (OSError, ValueError, KeyError) as error:
        from tasks.task import TaskError  # imported here: at the top it would slow every start of the judge's process

        raise TaskError(f"{folder} is not a readable blend ({error}); start a new run to make one") from None
    held_out, test = meta["held_out_rows"], meta["test_rows"]
    return Blend(
        *(folder, public, private_labels, held_out, test, held_out > 0, metric, tuple(meta["notes"])),
        *(meta["select_rows"], meta["labelled_rows"], meta["folds"]),
        competition=meta.get("competition", ""),  # blends of earlier versions have none
    )


def read_meta(private_labels: Path) -> dict[str, Any]:
    """The recorded facts about a blend. Raises OSError, ValueError."""
    meta: dict[str, Any] = json.loads((private_labels / "blend.json").read_text(encoding="utf-8"))
    return meta


# --------------------------------------------------------------------------------------------------------- making it


def _make_once(task: Task, seed: int, split: Split, folder: Path) -> None:
    """Make the folder under a lock, so that of several processes, on one host or on many, one makes it for all."""
    from filelock import FileLock  # imported here: the judge's process only loads blends

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with FileLock(lock):
        try:
            if not folder.exists():
                _make_folder(task, seed, split, _fingerprint(task, seed, split), folder)
        finally:
            lock.unlink(missing_ok=True)  # whoever waits for it looks for the folder next


def _make_folder(task: Task, seed: int, split: Split, fingerprint: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder)
    building = folder.with_name(f".{folder.name}.building-{os.getpid()}")
    building.mkdir(mode=0o700)
    try:
        (building / "public").mkdir()
        (building / "custody").mkdir(mode=0o700)
        store = folder.parent / ".files"
        # Part of the fingerprint is a hash of labels that are held out, so nobody who sees public/ can know it.
        summary = build_files(task, seed, split, building / "public", building / "custody", store, salt=fingerprint)
        plant_canary(building / "custody" / "answers.csv", fingerprint)
        meta = {
            **_task_facts(task),
            **asdict(summary),
            **asdict(split),
            "seed": seed,
            "fingerprint": fingerprint,
            "format": FORMAT,
        }
        meta["competition"] = task.competition  # no part of the fingerprint, so that existing folders stay valid
        with open_durable(building / "custody" / "blend.json", 0o600) as stream:
            stream.write(json.dumps(meta, indent=1, sort_keys=True) + "\n")
        _seal(building)
        try:
            building.rename(folder)
        except OSError:
            if not (folder / "custody").exists():  # otherwise another process has made it, with the same bytes
                raise
    finally:
        if building.exists():
            shutil.rmtree(building)


def _task_facts(task: Task) -> dict[str, Any]:
    """What is recorded of the task, so that a submission can be judged from the blend alone."""
    return {
        "task": task.id,
        "columns": read_header(task.submission.sample),
        "id": task.submission.id,
        "targets": list(task.submission.targets),
        "may_be_missing": task.submission.may_be_missing,
        "metric": task.metric.record(),
    }


def _fingerprint(task: Task, seed: int, split: Split, version: int = FORMAT) -> str:
    """A hash of data, metric, recipe, seed, split and format: a folder made for others must not be used."""
    # Field names are part of the fingerprints of folders on disk: renaming one makes every run refuse its folder.
    split_state = {"draw": split.draw, "part": split.fold}
    state: list[Any] = [seed, split_state, _task_facts(task), asdict(task.labels) if task.labels else None]
    state += [asdict(task.recipe), *([version] if version > 1 else [])]
    files = [task.submission.sample, *([task.labels.file] if task.labels else [])]
    hashed = {path.relative_to(task.public).as_posix() for path in files if path.is_relative_to(task.public)}
    for name, size in counted(scan(task.public), "reading the data"):
        state.append([name, size])
        if name in hashed or name.lower().endswith(".csv"):
            state.append(hash_of_file(task.public / name))
    return hash_of(json.dumps(state, default=_relative(task.public)))


def _relative(public: Path) -> Callable[[Any], str]:
    return lambda path: os.path.relpath(path, public)


def _clear_abandoned(folder: Path) -> None:
    for stale in folder.parent.glob(f".{folder.name}.building-*"):
        try:
            os.kill(int(stale.name.rpartition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(stale, ignore_errors=True)
        except (PermissionError, ValueError):
            continue


def _seal(folder: Path) -> None:
    """Make public files read-only with one date, and the private labels accessible to the owner alone."""
    for path, is_folder in counted(_paths(folder / "public"), "sealing the data"):
        if is_folder or not has_shown_attributes(os.lstat(path)):  # links have these, and may be of another user
            os.chmod(path, 0o755 if is_folder else 0o444)  # noqa: PTH101 - paths as text are ten times as fast
            os.utime(path, (FILE_TIME, FILE_TIME))
    (folder / "custody").chmod(0o700)
    folder.chmod(0o711)


def _paths(folder: Path) -> Iterator[tuple[str, bool]]:
    """Each file and folder, and whether it is a folder; a folder after what it contains."""
    for parent, _, names in os.walk(folder, topdown=False):
        yield from ((f"{parent}/{name}", False) for name in names)
        yield parent, True
