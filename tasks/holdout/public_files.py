"""Write the public files that are not tables of rows: unchanged, moved with their rows, marked; or omit or refuse them.

With a written `blend:`, every public file must be listed in it: an unlisted file may be a second copy of the labels.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tasks.holdout.label_copies import HeldOutSample, describe_copy, sample_held_out
from tasks.holdout.link_files import link_files, link_rows
from tasks.holdout.sources import list_members
from tasks.io.archives import Unreadable, pack, read_texts
from tasks.io.csv_text import Row, TableError, read_header, read_rows, write_rows
from tasks.io.folder import list_names
from tasks.io.path_templates import PathPattern
from tasks.progress import counted

if TYPE_CHECKING:
    from tasks.holdout.load_inputs import TaskInputs
    from tasks.task import Task

TEXT_SUFFIXES = (".md", ".txt", ".csv", ".html", ".pdf")
"""Without a written recipe, files of these kinds are shown without a note: their text is searched for labels."""
UNLISTED_SUFFIXES = (".md",)
"""Files that a written recipe need not list: documentation for people."""

FileRef = tuple[str, str]
"""An archive (empty: none) and a file name in it."""
RowFields = tuple[Mapping[str, str], Mapping[str, str]]
"""A row's fields, and the same with renumbered values."""
PatternPair = tuple[PathPattern, PathPattern]
"""Where a row's file is among the training files, and where among those to predict."""


@dataclass(frozen=True)
class MovedRows:
    """The rows to predict, held out of train or of the test set; `draw` seeds the order in which files are written."""

    held_out: Sequence[RowFields]
    test: Sequence[RowFields]
    draw: str
    cells: Sequence[Row] = ()
    """The held-out rows as cells, without their labels."""


@dataclass
class _FilePlan:
    """The target of each file: `rows` for files of rows (None: not shown), `others` for files shown unchanged."""

    rows: dict[FileRef, FileRef | None] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def write_files(task: Task, inputs: TaskInputs, moved: MovedRows, public: Path, store: Path) -> tuple[str, ...]:
    """Write all files except the tables of rows. Returns notes on files shown by assumption. Raises TableError."""
    recipe = task.recipe
    patterns = [(PathPattern(before), PathPattern(after)) for before, after in recipe.files]
    targets = _row_file_targets(patterns, moved)
    archives = sorted({pattern.archive for pair in patterns for pattern in pair if pattern.archive})
    plan, unlisted = _FilePlan(), list[str]()
    for name in list_other_files(task, inputs, archives):
        if ("", name) in targets or _matches(patterns, "", name):
            plan.rows["", name] = targets.pop(("", name), ("", name))
        else:
            (plan.others if recipe.is_static(name) else unlisted).append(name)
    for archive in archives:
        for name in list_members(task.public / archive):
            ref = (archive, name)
            if ref not in targets and not _matches(patterns, archive, name):
                raise TableError(f"`blend:` does not list {archive}!{name}: add it to `files:`")
            plan.rows[ref] = targets.pop(ref, ref)
    if targets:
        archive, name = next(iter(targets))
        raise TableError(f"{archive + '!' if archive else ''}{name} is missing, and a row refers to it")
    shown, notes = _check_unlisted(task, inputs, moved, unlisted)
    plan.others += shown
    _write_planned(task, plan, moved, public, store)
    _write_side_tables(task, moved, public)
    _write_marked_tables(task, moved, public)
    return notes


def list_other_files(task: Task, inputs: TaskInputs, archives: Sequence[str]) -> list[str]:
    """The public files that are not written elsewhere and not omitted."""
    recipe = task.recipe
    written = {name for name, _ in recipe.side} | {name for name, _ in recipe.also_mark} | set(archives)
    rewritten = [path for path in inputs.replaced if path.is_relative_to(task.public)]
    written |= {path.relative_to(task.public).as_posix() for path in rewritten} | {task.submission.shown}
    return [name for name in inputs.files if name not in written and not recipe.is_omitted(name)]


def _matches(patterns: Sequence[PatternPair], archive: str, name: str) -> bool:
    """Whether a file in an archive (empty: in public itself) has the name of some row's file."""
    return any(
        bool(pattern) and pattern.archive == archive and pattern.match(name) is not None
        for pair in patterns
        for pattern in pair
    )


def _row_file_targets(patterns: Sequence[PatternPair], moved: MovedRows) -> dict[FileRef, FileRef | None]:
    """The target of each file of a row to predict."""
    targets: dict[FileRef, FileRef | None] = {}
    for before, after in patterns:
        for fields, named in moved.held_out:
            targets[before.archive, before.fill(fields)] = (after.archive, after.fill(named)) if after else None
        for fields, named in moved.test if after else ():
            targets[after.archive, after.fill(fields)] = (after.archive, after.fill(named))
    return targets


def _write_planned(task: Task, plan: _FilePlan, moved: MovedRows, public: Path, store: Path) -> None:
    targets = sorted([*(target for target in plan.rows.values() if target), *(("", name) for name in plan.others)])
    for first, second in itertools.pairwise(targets):
        if first == second:
            raise TableError(f"two files would be called {first[1]}: add `renumber:` to `blend:`")
    unpacked = {before[1]: after[1] for before, after in plan.rows.items() if after and not before[0]}
    held = {PathPattern(before).fill(fields) for before, _ in task.recipe.files for fields, _ in moved.held_out}
    link_rows(task.public, public, unpacked, store, moved.draw, held & set(unpacked))
    link_files(task.public, public, plan.others, store)
    for archive in sorted({after[0] for after in plan.rows.values() if after and after[0]}):
        entries = [(before, after[1]) for before, after in plan.rows.items() if after and after[0] == archive]
        _write_archive(task.public, _with_folder(public / archive), entries)


def _write_archive(source: Path, target: Path, entries: Sequence[tuple[FileRef, str]]) -> None:
    archives = {name: zipfile.ZipFile(source / name) for name in {before[0] for before, _ in entries}}
    try:

        def opener(ref: FileRef) -> Callable[[], IO[bytes]]:
            return lambda: archives[ref[0]].open(ref[1])

        pack(target, [(name, opener(before)) for before, name in entries])
    finally:
        for archive in archives.values():
            archive.close()


def _write_marked_tables(task: Task, moved: MovedRows, public: Path) -> None:
    """Write the tables that mark rows to predict, with the held-out rows marked."""
    for name, mark in task.recipe.also_mark:
        held_out, header = {fields[mark.key] for fields, _ in moved.held_out}, read_header(task.public / name)
        if any(header.count(column) != 1 for column in (mark.key, *dict(mark.cells))):
            columns = ", ".join((mark.key, *dict(mark.cells)))
            raise TableError(f"{name} must have each of the columns {columns} exactly once")
        key, cells = header.index(mark.key), {header.index(column): cell for column, cell in mark.cells}
        rows = read_rows(task.public / name)
        marked = (
            [cells.get(column, cell) for column, cell in enumerate(row)] if row[key] in held_out else row
            for row in rows
        )
        write_rows(_with_folder(public / name), marked)


def _write_side_tables(task: Task, moved: MovedRows, public: Path) -> None:
    """Write the tables that describe rows, without the held-out rows."""
    for name, column in task.recipe.side:
        header = read_header(task.public / name)
        if header.count(column) != 1:
            raise TableError(f"{name} must have exactly one column {column!r}")
        held_out, key = {fields[column] for fields, _ in moved.held_out}, header.index(column)
        rows = read_rows(task.public / name)
        write_rows(_with_folder(public / name), (row for row in rows if row[key] not in held_out))


# --------------------------------------------------------------------------------------------------- unlisted files


def _check_unlisted(
    task: Task, inputs: TaskInputs, moved: MovedRows, names: Sequence[str]
) -> tuple[list[str], tuple[str, ...]]:
    """The unlisted files that are shown by assumption, and notes on them. Raises TableError for one that leaks labels.

    Hidden files are not shown: editors and systems leave them behind, and the user may not know about them.
    """
    hidden = [] if task.recipe.is_written else [name for name in names if name[0] == "." or "/." in name]
    shown = [name for name in names if name not in set(hidden)]
    known = _known_labels(inputs, moved) if shown else None
    if known is not None and (evidence := describe_copy(known, "\n".join(shown))):
        raise TableError(
            f"the names of public files reveal labels: {evidence}. Write in `blend: {{files: [...]}}` how they move"
        )
    for name in counted(shown, "looking for labels in the files"):
        _refuse_label_copy(task, inputs, known, name)
    assumed = [name for name in shown if Path(name).suffix.lower() not in TEXT_SUFFIXES]
    notes = []
    if assumed:
        notes.append(
            f"assumed that {_first_names(assumed)} contain no labels; confirm with `blend: {{static: [...]}}`, or omit "
            "them"
        )
    if hidden:
        notes.append(f"hidden files are not shown: {_first_names(hidden)}")
    return shown, tuple(notes)


def _known_labels(inputs: TaskInputs, moved: MovedRows) -> HeldOutSample | None:
    """What a second copy of the labels would contain of the held-out rows; None if none are held out."""
    fields = [fields for fields, _ in moved.held_out]
    id_of, targets = inputs.encoder.id, inputs.encoder.labels
    if not inputs.encoder.is_plain or not fields or not set(targets) <= set(fields[0]):
        return None
    labels = [[row[name] for row in fields] for name in targets]
    return sample_held_out([id_of.fill(row) for row in fields], labels, moved.cells, inputs.train.labels, moved.draw)


def _refuse_label_copy(task: Task, inputs: TaskInputs, known: HeldOutSample | None, name: str) -> None:
    """Raise TableError for an unlisted file that contains labels, or may contain them."""
    path = task.public / name
    if task.recipe.is_written and path.suffix.lower() not in UNLISTED_SUFFIXES:
        raise TableError(
            f"`blend:` does not list {name}: add it to `static:` if it contains no label of any training row, "
            "otherwise to `omit:`"
        )
    labels = inputs.train.source.name
    if path.suffix.lower() == ".csv" and _is_label_table(task, inputs, path):
        raise TableError(f"{path.name} also contains labels of rows of {labels}; remove it from public")
    if zipfile.is_zipfile(path) and labels in {member.rpartition("/")[2] for member in list_members(path)}:
        raise TableError(f"{path.name} contains a copy of {labels}; remove it from public")
    if known is None:
        return
    remedy = f"remove it from public, or write `blend: {{omit: [{name}]}}`"
    for content in read_texts(path, name):
        if isinstance(content, Unreadable):
            raise TableError(
                f"{content.name} cannot be read, so it may contain labels: {remedy}, or `static: [{name}]` if it "
                "contains none"
            )
        if evidence := describe_copy(known, content.text):
            raise TableError(f"{content.name} is a second copy of the labels of {labels} ({evidence}): {remedy}")


def _is_label_table(task: Task, inputs: TaskInputs, path: Path) -> bool:
    assert task.labels is not None
    header, key = read_header(path), inputs.encoder.id.single_field
    if key not in header or not set(task.labels.targets) & set(header):
        return False
    column = header.index(key)
    return any(hash(row[column]) in inputs.train.seen for row in read_rows(path))


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def write_all_files(task: Task, public: Path, store: Path) -> None:
    """Show every file except those omitted, with one date and mode. Raises TableError."""
    names = list_names(task.public, is_strict=True)
    link_files(task.public, public, [name for name in names if not task.recipe.is_omitted(name)], store)


def _with_folder(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
