"""A run's blend: labelled rows, held out by the harness, mixed unrecognisably into the test rows.

    <folder>/public/    what the sandbox shows as ./data: smaller train, larger test, sample submission for both
    <folder>/custody/   key.csv and answers.csv: what each sample row is. Mode 0700, never mounted

Cells travel as text, so nothing is rounded or renamed on the way in (`make_blend`) or out (`cut`).
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.cells import Row, TableError, read_columns, read_header, read_rows
from tasks.checking import SIZE_CAP, Format, read_submission
from tasks.custody import plant, read_labels
from tasks.metrics import Metric
from tasks.mixing import HELD_OUT as HELD_OUT
from tasks.mixing import SELECT as SELECT
from tasks.mixing import TEST, fill
from tasks.public_files import MOMENT
from tasks.recipe import Deal
from tasks.splitting import TooFewRows
from tasks.storing import is_as_shown

if TYPE_CHECKING:
    from tasks.spec import Task


FIRST = Deal()


@dataclass(frozen=True)
class Blend:
    """A run's data as the sandbox may see it (`public`) and what only the harness may (`custody`).

    `held_out_rows` are told about, `select_rows` are opened once, at the end of a run. `folds` is how many blends
    hold every labelled row out once between them (0: this is the only one). `notes` say, for people, what is
    imperfect about it.
    """

    folder: Path
    public: Path
    custody: Path
    held_out_rows: int
    test_rows: int
    has_labels: bool
    metric: Metric
    notes: tuple[str, ...] = ()
    select_rows: int = 0
    labelled_rows: int = 0
    folds: int = 0


@dataclass(frozen=True)
class Cut:
    """A submission cut apart, cells as text. The lists start with their header.

    `held_out`: id and targets in the order of `answers`; `units` names what each row must stay together with.
    `select`: the same of the select rows. `test`: the task's own submission, in the original order, ids and columns.
    """

    held_out: list[Row]
    answers: list[Row]
    units: list[str]
    select: list[Row]
    test: list[Row]


def make_blend(task: Task, seed: int, folder: Path, deal: Deal = FIRST) -> Blend:
    """Make the blend of a task, a seed and a deal, or take the one that is there; the same bytes for the same three.

    A task without `labels` is shown as it is. The folder appears whole, by rename. Raises TaskError.
    """
    from tasks.spec import TaskError

    try:
        fingerprint = _fingerprint(task, seed, deal)
        if not folder.exists():
            _appear(task, seed, deal, fingerprint, folder)
        blend = load_blend(folder)
    except (TableError, TooFewRows) as error:
        raise TaskError(f"{task.path}: the data cannot be blended: {error}") from None
    except OSError as error:
        full = ". Make room there, or set HARNESS_HOME" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise TaskError(f"{task.path}: its data cannot be prepared in {folder}: {error}{full}") from error
    if _meta(blend.custody)["fingerprint"] != fingerprint:
        raise TaskError(
            f"{task.path}: its data or metric changed since {folder} was made. Runs begun before still need it; "
            "delete it to make a new one, or give the changed task another id"
        )
    return blend


def load_blend(folder: Path) -> Blend:
    """The blend in a folder. Raises TaskError if there is none."""
    public, custody = folder / "public", folder / "custody"
    try:
        meta = _meta(custody)
    except (OSError, ValueError) as error:
        from tasks.spec import TaskError  # not above: the judge's child would pay for it at every start

        raise TaskError(f"{folder} is not a blend that can be read ({error}); start a new run to make one") from None
    held_out, test = meta["held_out_rows"], meta["test_rows"]
    file = meta["metric"]["file"]
    metric = Metric(**{**meta["metric"], "file": Path(file) if file else None})
    counts = (meta["select_rows"], meta["labelled_rows"], meta["folds"])
    return Blend(folder, public, custody, held_out, test, held_out > 0, metric, tuple(meta["notes"]), *counts)


def format_of(blend: Blend) -> Format:
    """What a submission for this blend must look like."""
    return _format(_meta(blend.custody), _key(blend))


def cut(blend: Blend, submission: Path, size_cap: int = SIZE_CAP) -> Cut:
    """Cut a submission for the blend into its held-out rows, its select rows and the submission of the test rows.

    Raises `checking.SubmissionRefused`.
    """
    meta, key = _meta(blend.custody), _key(blend)
    form = _format(meta, key)
    rows = read_submission(submission, form, size_cap)
    header = [form.id, *form.targets]
    held_out: list[Row] = [[]] * blend.held_out_rows
    select: list[Row] = [[]] * blend.select_rows
    units = [""] * blend.held_out_rows
    test: list[Row] = [[]] * blend.test_rows
    for at, row in enumerate(rows):
        role, place = key.roles[at], key.places[at]
        row[0] = key.originals.get(at, key.ids[at]) if role == TEST else key.ids[at]  # an agent may write 7.0 for 7
        if role == HELD_OUT:
            held_out[place], units[place] = row, key.units[at]
        elif role == SELECT:
            select[place] = row
        else:
            test[place] = row
    answers = read_labels(blend.custody / "answers.csv", "judging")
    whole = _whole(blend, meta["columns"], header, test)
    return Cut([answers[0], *held_out], answers, units, [answers[0], *select], whole)


def _whole(blend: Blend, columns: Row, header: Row, test: list[Row]) -> list[Row]:
    """The task's own submission: the sample's columns, in its order; what no one is asked for is as in the sample."""
    if columns == header:
        return [columns, *test]
    rest = blend.custody / "rest.csv"
    kept: Iterator[Row] = iter(list(read_rows(rest))[1:]) if rest.exists() else itertools.repeat([""] * len(columns))
    at = {name: place for place, name in enumerate(header)}
    rows = [
        [row[at[name]] if name in at else cell for name, cell in zip(columns, other, strict=True)]
        for row, other in zip(test, kept, strict=False)
    ]
    return [columns, *rows]


def answers_of(blend: Blend, role: str) -> tuple[list[Row], list[str]]:
    """The answers of a role's rows, header first, and the unit of each row, in the order of `cut`."""
    answers = read_labels(blend.custody / ("select.csv" if role == SELECT else "answers.csv"), "judging")
    units, key = [""] * (len(answers) - 1), _key(blend)
    for at, found in enumerate(key.roles):
        if found == role:
            units[key.places[at]] = key.units[at]
    return answers, units


@dataclass(frozen=True)
class _Key:
    """What every row of the shown sample is, column by column: there may be ten million of them. `originals` are the
    ids of test rows in the task's own sample, where they are others."""

    ids: list[str]
    roles: list[str]
    places: array[int]
    units: list[str]
    originals: dict[int, str]


def _meta(custody: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((custody / "blend.json").read_text(encoding="utf-8"))
    return meta


def _key(blend: Blend) -> _Key:
    return _read_key(blend.custody / "key.csv")


@lru_cache(1)
def _read_key(path: Path) -> _Key:
    names, roles, places, units, *others = read_columns(path)
    originals = {at: name for column in others for at, name in enumerate(column) if name}
    intern = sys.intern
    return _Key(names, list(map(intern, roles)), array("q", map(int, places)), list(map(intern, units)), originals)


def _format(meta: dict[str, Any], key: _Key) -> Format:
    return Format(
        columns=(meta["id"], *meta["targets"]),
        id=meta["id"],
        targets=tuple(meta["targets"]),
        ids=key.ids,
        numbers=meta["metric"]["needs"] != "labels",
        may_be_missing=meta["may_be_missing"],
    )


# ------------------------------------------------------------------------------------------------ making it appear


def _appear(task: Task, seed: int, deal: Deal, fingerprint: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_abandoned(folder)
    building = folder.with_name(f".{folder.name}.building-{os.getpid()}")
    building.mkdir(mode=0o700)
    try:
        (building / "public").mkdir()
        (building / "custody").mkdir(mode=0o700)
        store = folder.parent / ".files"
        filled = fill(task, seed, deal, building / "public", building / "custody", store)
        plant(building / "custody" / "answers.csv", fingerprint)
        meta = {**_spoken_of(task), **asdict(filled), **asdict(deal), "seed": seed, "fingerprint": fingerprint}
        _write_private(building / "custody" / "blend.json", json.dumps(meta, indent=1, sort_keys=True) + "\n")
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
    file = task.metric.file
    return {
        "task": task.id,
        "columns": read_header(task.submission.sample),
        "id": task.submission.id,
        "targets": list(task.submission.targets),
        "may_be_missing": task.submission.may_be_missing,
        "metric": {**asdict(task.metric), "file": str(file) if file else None},
    }


def _fingerprint(task: Task, seed: int, deal: Deal) -> str:
    """Changes when the data, the metric, the recipe or the seed do: a blend must not be mistaken for another's."""
    state: list[Any] = [seed, asdict(deal), _spoken_of(task), asdict(task.labels) if task.labels else None]
    state.append(asdict(task.recipe))
    content = {task.submission.sample, *([task.labels.file] if task.labels else [])}
    for path in sorted(task.public.rglob("*")):
        if not path.is_file():
            continue
        state.append([path.relative_to(task.public).as_posix(), path.stat().st_size])
        if path in content or path.suffix.lower() == ".csv":
            with path.open("rb") as stream:
                state.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashlib.sha256(json.dumps(state, default=_relative(task.public)).encode()).hexdigest()


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
        if not is_as_shown(path.lstat()):  # what is linked is so already, and may not be ours to change
            path.chmod(0o755 if path.is_dir() else 0o444)
            os.utime(path, (MOMENT, MOMENT))
    (folder / "public").chmod(0o755)
    os.utime(folder / "public", (MOMENT, MOMENT))
    (folder / "custody").chmod(0o700)
    folder.chmod(0o711)


def _write_private(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
