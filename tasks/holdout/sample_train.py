"""A public folder with a share of the training rows, for a cheap first look at a solution."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.holdout.link_files import link_files
from tasks.holdout.sources import FILES, FileNames, Table, labelled_source, list_candidates
from tasks.holdout.splitters import shuffled_indices
from tasks.io.csv_text import Row, TableError
from tasks.io.folder import list_names
from tasks.io.path_templates import PathPattern

if TYPE_CHECKING:
    from tasks.task import Labels, Task

MOST_CLASSES = 50
"""With more different labels, rows are drawn at random instead of class by class."""


def sample_public(task: Task, public: Path, out: Path, share: float, seed: int) -> None:
    """Make `out` a copy of a split's public folder that keeps a share of its training rows, at least one a class.

    Rows of one group stay together. Does nothing if `out` exists. Raises TableError if rows cannot be left out.
    """
    if out.exists():
        return
    if task.labels is None:
        raise TableError("this task names no training rows, so none can be left out: evaluate without `sample`")
    source = labelled_source(task, task.labels)
    draft = out.with_name(f".{out.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    if isinstance(source, Table) and all(path.is_relative_to(task.public) for path in source.paths):
        shown = source.moved(lambda path: public / path.relative_to(task.public))
        removed = _removed(task, task.labels, shown.header, list(shown.rows()), share, seed)
        _link(public, draft, {path.relative_to(public).as_posix() for path in shown.paths})
        shown.write_without(lambda path: _made(draft / path.relative_to(public)), removed)
    elif isinstance(source, FileNames):
        pattern = PathPattern(source.name.removeprefix(FILES))
        if pattern.archive:
            raise TableError("training files in an archive cannot be left out: evaluate without `sample`")
        matches = {name: pattern.match(name) for name in sorted(list_candidates(public, pattern))}
        names = [name for name, fields in matches.items() if fields is not None]
        rows = [[fields[field] for field in source.header] for fields in matches.values() if fields is not None]
        _link(public, draft, {names[n] for n in _removed(task, task.labels, source.header, rows, share, seed)})
    else:
        raise TableError("the training rows of this task cannot be left out: evaluate without `sample`")
    draft.rename(out)


def _removed(task: Task, labels: Labels, header: Row, rows: Sequence[Row], share: float, seed: int) -> Collection[int]:
    """The numbers of the rows to leave out."""
    unit = labels.group or task.recipe.unit
    group_at = header.index(unit) if unit and unit in header else None
    label_at = header.index(labels.targets[0]) if labels.targets[0] in header else None
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row[group_at] if group_at is not None else str(number), []).append(number)
    classes: dict[str, list[list[int]]] = {}
    for group in groups.values():
        classes.setdefault(rows[group[0]][label_at] if label_at is not None else "", []).append(group)
    if len(classes) > MOST_CLASSES:
        classes = {"": list(groups.values())}
    kept = {
        number
        for name, members in sorted(classes.items())
        for index in shuffled_indices(len(members), f"{seed}:sample:{name}")[: max(1, round(share * len(members)))]
        for number in members[index]
    }
    return {number for number in range(len(rows)) if number not in kept}


def _link(public: Path, out: Path, left_out: Collection[str]) -> None:
    names = [name for name in list_names(public) if name not in left_out]
    link_files(public, out, names, out.parent / ".files")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
