"""A run's blend: labelled rows, held out by the harness, mixed unrecognisably into the test rows.

    <folder>/public/    what the sandbox shows as ./data: smaller train, larger test, sample submission for both
    <folder>/custody/   key.csv and answers.csv: what each sample row is. Mode 0700, never mounted

Cells travel as text, so nothing is rounded or renamed on the way in (`make_blend`) or out (`cutting.cut`).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.holdout.build import fill
from tasks.holdout.link_files import has_shown_attributes
from tasks.holdout.private_labels import plant_canary
from tasks.holdout.public_files import FILE_TIME
from tasks.holdout.recipe import Split
from tasks.holdout.splitters import TooFewRows
from tasks.io.atomic import open_durable
from tasks.io.csv_text import TableError, read_header
from tasks.io.hashing import hash_of, hash_of_file
from tasks.metrics.registry import Metric, metric_from_record

if TYPE_CHECKING:
    from tasks.task import Task


FIRST = Split()


@dataclass(frozen=True)
class Blend:
    """A run's data as the sandbox may see it (`public`) and what only the harness may (`custody`).

    `held_out_rows` are told about, `select_rows` are opened once, at the end of a run. `folds` is how many blends
    hold every labelled row out once between them (0: this is the only one). `notes` say, for people, what is
    imperfect about it.
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


def make_blend(task: Task, seed: int, folder: Path, split: Split = FIRST) -> Blend:
    """Make the blend of a task, a seed and a deal, or take the one that is there; the same bytes for the same three.

    A task without `labels` is shown as it is. The folder appears whole, by rename. Raises TaskError.
    """
    from tasks.task import TaskError

    try:
        if not folder.exists():
            _appear(task, seed, split, _fingerprint(task, seed, split), folder)
        blend = load_blend(folder)
        # The metric's description is part of the fingerprint, but rewording it does not change a blend.
        described = replace(task, metric=replace(task.metric, doc=blend.metric.doc))
        fingerprint = _fingerprint(described, seed, split)
    except (TableError, TooFewRows) as error:
        raise TaskError(f"{task.path}: the data cannot be blended: {error}") from None
    except OSError as error:
        full = ". Make room there, or set HARNESS_HOME" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise TaskError(f"{task.path}: its data cannot be prepared in {folder}: {error}{full}") from error
    if read_meta(blend.private_labels)["fingerprint"] != fingerprint:
        raise TaskError(
            f"{task.path}: its data or metric changed since {folder} was made. Runs begun before still need it; "
            "delete it to make a new one, or give the changed task another id"
        )
    return blend


def load_blend(folder: Path) -> Blend:
    """The blend in a folder. Raises TaskError if there is none."""
    public, private_labels = folder / "public", folder / "custody"
    try:
        meta = read_meta(private_labels)
        metric = metric_from_record(meta["metric"])
    except (OSError, ValueError, KeyError) as error:
        from tasks.task import TaskError  # not above: the judge's child would pay for it at every start

        raise TaskError(f"{folder} is not a blend that can be read ({error}); start a new run to make one") from None
    held_out, test = meta["held_out_rows"], meta["test_rows"]
    counts = (meta["select_rows"], meta["labelled_rows"], meta["folds"])
    return Blend(folder, public, private_labels, held_out, test, held_out > 0, metric, tuple(meta["notes"]), *counts)


def read_meta(private_labels: Path) -> dict[str, Any]:
    """What a blend's custody says of the blend. Raises OSError, ValueError."""
    meta: dict[str, Any] = json.loads((private_labels / "blend.json").read_text(encoding="utf-8"))
    return meta


# ------------------------------------------------------------------------------------------------ making it appear


def _appear(task: Task, seed: int, split: Split, fingerprint: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder)
    building = folder.with_name(f".{folder.name}.building-{os.getpid()}")
    building.mkdir(mode=0o700)
    try:
        (building / "public").mkdir()
        (building / "custody").mkdir(mode=0o700)
        store = folder.parent / ".files"
        filled = fill(task, seed, split, building / "public", building / "custody", store)
        plant_canary(building / "custody" / "answers.csv", fingerprint)
        meta = {**_spoken_of(task), **asdict(filled), **asdict(split), "seed": seed, "fingerprint": fingerprint}
        with open_durable(building / "custody" / "blend.json", 0o600) as stream:
            stream.write(json.dumps(meta, indent=1, sort_keys=True) + "\n")
        _seal(building)
        try:
            building.rename(folder)
        except OSError:
            if not (folder / "custody").exists():  # else another process made it meanwhile, of the same bytes
                raise
    finally:
        if building.exists():
            shutil.rmtree(building)


def _spoken_of(task: Task) -> dict[str, Any]:
    """What the blend must know of the task, so that a run can be judged from its blend alone."""
    return {
        "task": task.id,
        "columns": read_header(task.submission.sample),
        "id": task.submission.id,
        "targets": list(task.submission.targets),
        "may_be_missing": task.submission.may_be_missing,
        "metric": task.metric.record(),
    }


def _fingerprint(task: Task, seed: int, split: Split) -> str:
    """Changes when the data, the metric, the recipe or the seed do: a blend must not be mistaken for another's."""
    # These keys are part of the fingerprints of blends on disk: renaming one makes every run refuse its blend.
    drawn = {"draw": split.draw, "part": split.fold}
    state: list[Any] = [seed, drawn, _spoken_of(task), asdict(task.labels) if task.labels else None]
    state.append(asdict(task.recipe))
    content = {task.submission.sample, *([task.labels.file] if task.labels else [])}
    for path in sorted(task.public.rglob("*")):
        if not path.is_file():
            continue
        state.append([path.relative_to(task.public).as_posix(), path.stat().st_size])
        if path in content or path.suffix.lower() == ".csv":
            state.append(hash_of_file(path))
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
    """Readable by everyone and writable by no one in public, one date on everything, custody closed."""
    for path in sorted((folder / "public").rglob("*"), reverse=True):
        if not has_shown_attributes(path.lstat()):  # what is linked is so already, and may not be ours to change
            path.chmod(0o755 if path.is_dir() else 0o444)
            os.utime(path, (FILE_TIME, FILE_TIME))
    (folder / "public").chmod(0o755)
    os.utime(folder / "public", (FILE_TIME, FILE_TIME))
    (folder / "custody").chmod(0o700)
    folder.chmod(0o711)
