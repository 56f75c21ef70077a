"""The files of a blend that are no table of rows: shown, moved with their rows, marked, left out, or refused.

Every file of public needs a line that speaks for it: one that nobody thought of may be a second copy of the labels.
"""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tasks.holdout.link_files import FILE_TIME as FILE_TIME
from tasks.holdout.link_files import link_or_copy, link_rows
from tasks.holdout.sources import list_members
from tasks.io.archives import Unreadable, pack, read_texts
from tasks.io.csv_text import Row, TableError, read_header, read_rows, write_rows
from tasks.io.path_templates import PathPattern
from tasks.leakage.label_copies import Known, known_of, tells

if TYPE_CHECKING:
    from tasks.holdout.load_inputs import TaskInputs
    from tasks.task import Task

PLAIN = (".md", ".txt", ".csv", ".html", ".pdf")
"""Kinds of files that need no word in a recipe that is guessed: they are read as text, or people read them."""
SPOKEN = (".md",)
"""Kinds of files that need no word in any recipe: people read them."""

At = tuple[str, str]
"""An archive (empty: none) and a name in it."""


Named = tuple[Mapping[str, str], Mapping[str, str]]
"""A row's fields, and the same by new names."""


@dataclass(frozen=True)
class Moves:
    """The rows to predict, taken from train or not; `draw` seeds the order in which files are written."""

    held: Sequence[Named]
    test: Sequence[Named]
    draw: str
    rows: Sequence[Row] = ()
    """The held-out rows as cells, without their labels."""


@dataclass
class _Plan:
    """Where files go: `rows` those of rows (None: nowhere), `others` those shown as they are."""

    rows: dict[At, At | None] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def write_files(task: Task, book: TaskInputs, moves: Moves, public: Path, store: Path) -> tuple[str, ...]:
    """Write all files but the tables of rows; notes on those shown by a guess. Raises TableError."""
    recipe = task.recipe
    spots = [(PathPattern(before), PathPattern(after)) for before, after in recipe.files]
    moved = _moved(spots, moves)
    archives = sorted({spot.archive for pair in spots for spot in pair if spot.archive})
    written = {name for name, _ in recipe.side} | {name for name, _ in recipe.also_mark} | set(archives)
    written |= {path.relative_to(task.public).as_posix() for path in book.replaced if path.is_relative_to(task.public)}
    written |= {task.submission.shown} - {""}
    plan, unspoken = _Plan(), list[str]()
    names = [name for name in list_files(task.public) if name not in written and not recipe.is_omitted(name)]
    for name in names:
        if ("", name) in moved or any(
            not spot.archive and spot and spot.match(name) for pair in spots for spot in pair
        ):
            plan.rows["", name] = moved.pop(("", name), ("", name))
            continue
        (plan.others if recipe.is_static(name) else unspoken).append(name)
    for archive in archives:
        for name in list_members(task.public / archive):
            at = (archive, name)
            if at not in moved and not any(spot.archive == archive and spot.match(name) for p in spots for spot in p):
                raise TableError(f"no line of `blend:` speaks of {archive}!{name}: name it in `files:`")
            plan.rows[at] = moved.pop(at, at)
    if moved:
        archive, name = next(iter(moved))
        raise TableError(f"{archive + '!' if archive else ''}{name} is not there, and a row speaks of it")
    shown, notes = _unspoken(task, book, moves, unspoken)
    plan.others += shown
    _write(task, plan, moves, public, store)
    _write_side(task, moves, public)
    _mark(task, moves, public)
    return notes


def _moved(spots: Sequence[tuple[PathPattern, PathPattern]], moves: Moves) -> dict[At, At | None]:
    """Where the files of the rows to predict go."""
    found: dict[At, At | None] = {}
    for before, after in spots:
        for fields, named in moves.held:
            target = (after.archive, after.fill(named)) if after else None
            found[before.archive, before.fill(fields)] = target
        for fields, named in moves.test if after else ():
            found[after.archive, after.fill(fields)] = (after.archive, after.fill(named))
    return found


def _write(task: Task, plan: _Plan, moves: Moves, public: Path, store: Path) -> None:
    targets = sorted([*(target for target in plan.rows.values() if target), *(("", name) for name in plan.others)])
    for one, other in itertools.pairwise(targets):
        if one == other:
            raise TableError(f"two files would be called {one[1]}: say `renumber:` in `blend:`")
    plain = {before[1]: after[1] for before, after in plan.rows.items() if after and not before[0]}
    held = {PathPattern(before).fill(fields) for before, _ in task.recipe.files for fields, _ in moves.held}
    link_rows(task.public, public, plain, store, moves.draw, held & set(plain))
    for name in plan.others:
        link_or_copy(task.public / name, _made(public / name))
    for archive in sorted({after[0] for after in plan.rows.values() if after and after[0]}):
        entries = [(before, after[1]) for before, after in plan.rows.items() if after and after[0] == archive]
        _write_archive(task.public, _made(public / archive), entries)


def _write_archive(source: Path, target: Path, entries: Sequence[tuple[At, str]]) -> None:
    opened = {name: zipfile.ZipFile(source / name) for name in {before[0] for before, _ in entries}}
    try:

        def content(at: At) -> Callable[[], IO[bytes]]:
            return lambda: opened[at[0]].open(at[1])

        pack(target, [(name, content(before)) for before, name in entries])
    finally:
        for archive in opened.values():
            archive.close()


def _mark(task: Task, moves: Moves, public: Path) -> None:
    """Write the tables that mark rows to predict, the held-out ones marked."""
    for name, mark in task.recipe.also_mark:
        gone, header = {fields[mark.key] for fields, _ in moves.held}, read_header(task.public / name)
        if any(header.count(column) != 1 for column in (mark.key, *dict(mark.cells))):
            raise TableError(f"{name} needs the columns {', '.join((mark.key, *dict(mark.cells)))}, each once")
        at, cells = header.index(mark.key), {header.index(column): cell for column, cell in mark.cells}
        rows = read_rows(task.public / name)
        marked = (
            [cells.get(place, cell) for place, cell in enumerate(row)] if row[at] in gone else row for row in rows
        )
        write_rows(_made(public / name), marked)


def _write_side(task: Task, moves: Moves, public: Path) -> None:
    """Write the tables that speak of rows, without those that are held out."""
    for name, column in task.recipe.side:
        header = read_header(task.public / name)
        if header.count(column) != 1:
            raise TableError(f"{name} needs one column {column!r}")
        gone, at = {fields[column] for fields, _ in moves.held}, header.index(column)
        write_rows(_made(public / name), (row for row in read_rows(task.public / name) if row[at] not in gone))


# ------------------------------------------------------------------------------------------------ what nobody spoke of


def _unspoken(task: Task, book: TaskInputs, moves: Moves, names: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The files that are shown by a guess, and what people are told of it. Raises TableError for one that must not be.

    Hidden files are leavings of editors and systems: who lays a table out does not know that they are there.
    """
    hidden = [] if task.recipe.is_written else [name for name in names if name[0] == "." or "/." in name]
    shown = [name for name in names if name not in set(hidden)]
    known = _known(book, moves) if shown else None
    if known is not None and (says := tells(known, "\n".join(shown))):
        raise TableError(
            f"the names of files in public tell labels: {says}. Say in `blend: {{files: [...]}}` how they move"
        )
    for name in shown:
        _refuse_telling(task, book, known, name)
    guessed = [name for name in shown if Path(name).suffix.lower() not in PLAIN]
    notes = []
    if guessed:
        notes.append(
            f"guessed that {_some(guessed)} carry no label; say so in `blend: {{static: [...]}}`, or omit them"
        )
    if hidden:
        notes.append(f"hidden files are not shown: {_some(hidden)}")
    return shown, tuple(notes)


def _known(book: TaskInputs, moves: Moves) -> Known | None:
    """What a second copy of the labels would hold of the rows held out here; None where nothing is."""
    fields = [fields for fields, _ in moves.held]
    id_of, targets = book.encoder.id, book.encoder.labels
    if not book.encoder.is_plain or not fields or not set(targets) <= set(fields[0]):
        return None
    labels = [[one[name] for one in fields] for name in targets]
    return known_of([id_of.fill(one) for one in fields], labels, moves.rows, book.train.labels, moves.draw)


def _refuse_telling(task: Task, book: TaskInputs, known: Known | None, name: str) -> None:
    """Raises TableError for a file that no line speaks of and that tells labels, or may."""
    path = task.public / name
    if task.recipe.is_written and path.suffix.lower() not in SPOKEN:
        raise TableError(
            f"no line of `blend:` speaks of {name}: add it to `static:` if it carries no label of any training row, "
            "else to `omit:`"
        )
    labels = book.train.source.name
    if path.suffix.lower() == ".csv" and _is_table_of_labels(task, book, path):
        raise TableError(f"{path.name} holds labels of rows of {labels} too; take it out of public")
    if zipfile.is_zipfile(path) and labels in {inside.rpartition("/")[2] for inside in list_members(path)}:
        raise TableError(f"{path.name} contains a copy of {labels}; take it out of public")
    if known is None:
        return
    ways = f"take it out of public, or write `blend: {{omit: [{name}]}}`"
    for one in read_texts(path, name):
        if isinstance(one, Unreadable):
            raise TableError(
                f"{one.name} cannot be read, so nobody knows whether it holds labels: {ways}, or `static: [{name}]` "
                "there if it holds none"
            )
        if says := tells(known, one.text):
            raise TableError(f"{one.name} is a second copy of the labels of {labels} ({says}): {ways}")


def _is_table_of_labels(task: Task, book: TaskInputs, path: Path) -> bool:
    assert task.labels is not None
    header, key = read_header(path), book.encoder.id.single_field
    if key not in header or not set(task.labels.targets) & set(header):
        return False
    at = header.index(key)
    return any(hash(row[at]) in book.train.seen for row in read_rows(path))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def write_all_files(task: Task, public: Path) -> None:
    """Show every file but those omitted, of one date and mode. Raises TableError."""
    for name in list_files(task.public):
        if not task.recipe.is_omitted(name):
            link_or_copy(task.public / name, _made(public / name))


def list_files(folder: Path) -> list[str]:
    """The names of all files below a folder, in order. Raises TableError for what is no file."""
    found = []
    for parent, folders, names in os.walk(folder):
        for name in folders:
            if (Path(parent) / name).is_symlink():
                raise TableError(f"{name} is a link to a folder; put the folder itself into {folder.name}/")
        for name in names:
            path = Path(parent) / name
            if not path.is_file():
                raise TableError(f"{path.name} is neither a file nor a folder")
            found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
