"""How a blend's tables come about: rows leave the train file, take the shape of test rows and are mixed in.

Raises `TableError` or `TooFewRows` for data that cannot be blended; `blending` turns them into the user's words.
"""

from __future__ import annotations

import math
import os
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.cells import Positions, Row, TableError, as_number, read_header, read_rows, write_rows
from tasks.checking import number
from tasks.splitting import draw_groups, draw_rows, order

if TYPE_CHECKING:
    from tasks.spec import Labels, Task

MOMENT = 946_684_800
"""The one modification time of every file of a blend: dates would tell which rows moved (seconds since 1970)."""

HELD_OUT, TEST = "held_out", "test"
KEY_HEADER = ["id", "role", "row", "unit"]
TELLTALE = 0.1


@dataclass(frozen=True)
class Filled:
    """How many rows a blend holds of each kind, and what people should know about it."""

    held_out_rows: int
    test_rows: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Train:
    """What must be known of the labelled rows to choose among them; `labels` is None where a label is missing."""

    header: Row
    ids: list[str]
    labels: list[str | None]
    units: list[str]


@dataclass(frozen=True)
class _Test:
    """The rows to predict: `places[i]` is the row of the sample submission that test row i answers to."""

    path: Path
    header: Row
    rows: list[Row]
    places: list[int]


def fill(task: Task, seed: int, public: Path, custody: Path) -> Filled:
    """Write the public files and the custody's key.csv and answers.csv into two empty folders.

    key.csv has a row per row of the shown sample: its id, its role, its row in answers.csv or in the task's own
    sample, and the unit it belongs to. Raises TableError, TooFewRows, OSError.
    """
    sample = _read_sample(task)
    replaced: set[Path] = set()
    answers: list[Row] = []
    notes: tuple[str, ...] = ()
    id_at = sample[0].index(task.submission.id)
    key = [[row[id_at], TEST, str(at), ""] for at, row in enumerate(sample[1:])]
    if task.labels is not None:
        if len(task.labels.targets) != len(task.submission.targets):
            raise TableError(
                "labels.target and submission.target must name the same number of columns, in the same order"
            )
        train = _scan(task.labels, task.submission.may_be_missing, task.metric.needs != "labels")
        test = _find_test(task, task.labels, train, sample)
        replaced = {task.labels.file, test.path, task.submission.sample}
        key, answers, notes = _mix(task, task.labels, seed, sample, train, test, public)
        _refuse_copies(task, task.labels, replaced, {row[0] for row in answers})
    _copy_others(task.public, replaced, public)
    write_rows(custody / "key.csv", [KEY_HEADER, *key], 0o600)
    write_rows(custody / "answers.csv", [[task.submission.id, *task.submission.targets], *answers], 0o600)
    return Filled(len(answers), len(key) - len(answers), notes)


# ------------------------------------------------------------------------------------------------ reading what is there


def _read_sample(task: Task) -> list[Row]:
    sample = list(read_rows(task.submission.sample))
    name = task.submission.sample.name
    for column in (task.submission.id, *task.submission.targets):
        if not sample or sample[0].count(column) != 1:
            raise TableError(f"{name} needs one column {column!r}")
    ids = [row[sample[0].index(task.submission.id)] for row in sample[1:]]
    if not ids:
        raise TableError(f"{name} has no rows")
    if not Positions(ids).unique:
        raise TableError(f"{name}: ids in column {task.submission.id!r} repeat; give every row its own")
    return sample


def _scan(labels: Labels, may_be_missing: bool, numbers: bool) -> _Train:
    rows = read_rows(labels.file)
    header = next(rows, [])
    wanted = [labels.id, *labels.targets, *([labels.group] if labels.group else [])]
    for column in wanted:
        if header.count(column) != 1:
            raise TableError(f"{labels.file.name} needs one column {column!r}; it has {', '.join(header) or 'none'}")
    at = [header.index(column) for column in wanted]
    targets = at[1 : 1 + len(labels.targets)]
    train = _Train(header, [], [], [])
    for row in rows:
        cells = [row[place] for place in targets]
        if numbers:
            _require_number(cells, labels, row[at[0]])
        known = may_be_missing or all(cell.strip() for cell in cells)
        train.ids.append(row[at[0]])
        train.labels.append("\x1f".join(cells) if known else None)
        train.units.append(row[at[-1]] if labels.group else "")
    return train


def _require_number(cells: Sequence[str], labels: Labels, name: str) -> None:
    for cell in cells:
        try:
            if math.isinf(number(cell)):
                raise ValueError
        except ValueError:
            raise TableError(
                f"{labels.file.name}: the label {cell!r} of row {name!r} is not a number, and the metric needs numbers"
            ) from None


def _find_test(task: Task, labels: Labels, train: _Train, sample: list[Row]) -> _Test:
    """The one CSV of public with the labels file's columns but for the targets."""
    columns = set(train.header) - set(labels.targets)
    shapes = [columns, columns - {labels.group}]
    others = {labels.file, task.submission.sample}
    found = [path for path in _tables(task.public) if path not in others and set(read_header(path)) in shapes]
    expected = ", ".join(name for name in train.header if name in columns)
    if len(found) != 1:
        names = ", ".join(path.relative_to(task.public).as_posix() for path in found) or "none"
        raise TableError(
            f"one CSV in {task.public.name}/ must have the columns of {labels.file.name} without the targets "
            f"({expected}), and that is the test file; found: {names}. Tasks without such a file are not supported "
            "with labels: leave `labels` out, and scores are self-reported"
        )
    header, *rows = read_rows(found[0])
    id_at, sample_id_at = header.index(labels.id), sample[0].index(task.submission.id)
    ids = [row[id_at] for row in rows]
    if not Positions(train.ids + ids).unique:
        raise TableError(
            f"ids in column {labels.id!r} must be unique over {labels.file.name} and {found[0].name} together"
        )
    positions = Positions([row[sample_id_at] for row in sample[1:]])
    places = [place for name in ids if (place := positions.find(name)) is not None]
    if sorted(places) != list(range(len(sample) - 1)) or len(places) != len(ids):
        raise TableError(f"{task.submission.sample.name} and {found[0].name} must have the same ids, each once")
    return _Test(found[0], header, rows, places)


# ------------------------------------------------------------------------------------------------ mixing and writing


def _mix(
    task: Task, labels: Labels, seed: int, sample: list[Row], train: _Train, test: _Test, public: Path
) -> tuple[list[Row], list[Row], tuple[str, ...]]:
    """Write the three tables; the rows of key and answers, and notes."""
    draw = f"{seed}:held out"
    if labels.group:
        taken = draw_groups(train.units, train.labels, draw)
    else:
        taken = draw_rows(train.labels, draw, labels.stratify)
    moved = _write_train(labels.file, public / labels.file.relative_to(task.public), taken)
    shape = [train.header.index(name) for name in test.header]
    columns = [train.header.index(name) for name in (labels.id, *labels.targets)]
    units = [train.units[at] for at in sorted(taken)]
    id_at = sample[0].index(task.submission.id)
    blank, notes = _blank(sample, id_at)
    mixed, shown, key = [test.header], [sample[0]], []
    for place in order(len(test.rows) + len(moved), f"{seed}:mix"):
        held = place - len(test.rows)
        if held < 0:
            at = test.places[place]
            mixed.append(test.rows[place])
            key.append([sample[at + 1][id_at], TEST, str(at), ""])
        else:
            mixed.append([moved[held][column] for column in shape])
            key.append([moved[held][columns[0]], HELD_OUT, str(held), units[held]])
        shown.append([*blank[:id_at], key[-1][0], *blank[id_at + 1 :]])
    write_rows(_made(public / test.path.relative_to(task.public)), mixed)
    write_rows(_made(public / task.submission.sample.relative_to(task.public)), shown)
    answers = [[row[column] for column in columns] for row in moved]
    return key, answers, (*notes, *_telltale(key))


def _write_train(source: Path, target: Path, taken: Collection[int]) -> list[Row]:
    """Write the labels file without the rows taken, row by row because it may be large; those rows, in order."""
    moved: list[Row] = []

    def rest() -> Iterator[Row]:
        for at, row in enumerate(read_rows(source)):
            if at - 1 in taken:
                moved.append(row)
            else:
                yield row

    write_rows(_made(target), rest())
    return moved


def _blank(sample: list[Row], id_at: int) -> tuple[Row, tuple[str, ...]]:
    """The row of constants the shown sample is made of. One that varied would tell held-out rows apart."""
    counts = [Counter(row[column] for row in sample[1:]) for column in range(len(sample[0]))]
    varied = [sample[0][at] for at, count in enumerate(counts) if at != id_at and len(count) > 1]
    blank = [count.most_common(1)[0][0] for count in counts]
    if not varied:
        return blank, ()
    return blank, (
        f"the sample submission varies in {', '.join(varied)}; agents are shown its commonest value instead",
    )


def _telltale(key: Sequence[Row]) -> tuple[str, ...]:
    """A note where the order of the ids tells held-out rows from test rows (rank statistic; 0.5 is none)."""
    numbers = [as_number(row[0]) for row in key]
    if any(value is None for value in numbers):
        ranked = sorted(key, key=lambda row: row[0])
    else:
        ranked = [row for _, row in sorted(zip(numbers, key, strict=True), key=lambda pair: pair[0] or 0)]
    held = [rank for rank, row in enumerate(ranked) if row[1] == HELD_OUT]
    pairs = len(held) * (len(key) - len(held))
    area = (sum(held) - len(held) * (len(held) - 1) / 2) / pairs if pairs else 0.5
    # Three standard errors of the rank statistic under no difference, so that chance alone is not told.
    chance = 3 * math.sqrt((len(key) + 1) / 12 / pairs) if pairs else 1.0
    if abs(area - 0.5) <= max(TELLTALE, chance):
        return ()
    return (f"ids tell held-out rows from test rows (rank AUC {area:.2f}); give train and test ids from one range",)


# ------------------------------------------------------------------------------------------------ the other files


def _tables(public: Path) -> list[Path]:
    return sorted(path for path in public.rglob("*") if path.suffix.lower() == ".csv" and path.is_file())


def _refuse_copies(task: Task, labels: Labels, replaced: Collection[Path], held_out: Collection[str]) -> None:
    """No other file may plainly be a second copy of the labels that are held out."""
    for path in sorted(task.public.rglob("*")):
        if path in replaced or not path.is_file():
            continue
        if path.suffix.lower() == ".csv" and _tells(path, labels, held_out):
            raise TableError(f"{path.name} holds labels of rows of {labels.file.name} too; take it out of public")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [name.rpartition("/")[2] for name in archive.namelist()]
            if labels.file.name in names:
                raise TableError(f"{path.name} contains a copy of {labels.file.name}; take it out of public")


def _tells(path: Path, labels: Labels, held_out: Collection[str]) -> bool:
    rows = read_rows(path)
    header = next(rows, [])
    if labels.id not in header or not set(labels.targets) & set(header):
        return False
    at = header.index(labels.id)
    return any(row[at] in held_out for row in rows)


def _copy_others(source: Path, replaced: Collection[Path], target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_symlink() and path.is_dir():
            raise TableError(f"{path.name} is a link to a folder; put the folder itself into {source.name}/")
        if path.is_dir():
            place.mkdir(exist_ok=True, parents=True)
        elif not path.is_file():
            raise TableError(f"{path.name} is neither a file nor a folder")
        elif path not in replaced:
            _link_or_copy(path, _made(place))


def _link_or_copy(path: Path, place: Path) -> None:
    found = path.lstat()
    # Only a file that already is as a blend's files are: a link shares mode and date, and the owner's stay his.
    if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o444 and found.st_mtime == MOMENT:
        try:
            os.link(path, place)
            return
        except OSError:
            pass
    shutil.copyfile(path, place)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
