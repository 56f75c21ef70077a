"""Read train, test and sample, each a table or a folder of files, and find the files that their rows name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError
from tasks.io.columns import Columns
from tasks.io.csv_text import is_missing
from tasks.modality import TEXT
from tasks.new_task.find_tables import Tables
from tasks.new_task.match_names import same_name
from tasks.new_task.media import LABEL, Media, find_files, kind_of, read_class_folders, read_folder
from tasks.new_task.read_data import read_table
from tasks.new_task.request import Findings, Progress, TaskRequest

OWN_ID = "row_id"
ABSOLUTE = Path("/")


@dataclass(frozen=True)
class Parts:
    """The tables as read; cells of the columns in `media` are absolute paths. Without `sample`, none is given."""

    train: Columns
    test: Columns
    sample: Columns | None
    media: Media

    def labels(self, request: TaskRequest) -> tuple[str, ...]:
        """The targets that are named, or the column that must be it. Raises TaskError."""
        if request.targets:
            return request.targets
        only = [name for name in self.train.header if name not in self.test.header]
        only = only or [name for name in self.train.header if not self.test_has([name])]
        if self.media.kinds and LABEL in self.train.header:
            only = [LABEL]
        if len(only) != 1:
            raise TaskError("Name the column to predict with --target, or a sample submission with --sample.")
        return tuple(only)

    def test_has(self, names: Sequence[str]) -> bool:
        """Whether a row of test has cells in all these columns."""
        if not set(names) <= set(self.test.header):
            return False
        return any(not any(map(is_missing, cells)) for cells in zip(*map(self.test.column, names), strict=True))


def read_parts(request: TaskRequest, tables: Tables, findings: Findings, say: Progress) -> Parts:
    """Read the three tables. Without a test table its rows are those of the sample. Raises TaskError."""
    sample = _read_table(tables.sample, findings, say) if tables.sample else None
    train, kinds = _read_train(tables.train, findings, say)
    if tables.labels is not None:
        train = _with_labels(train, _read_table(tables.labels, findings, say), tables.labels.name, findings)
    if tables.test is not None and tables.test.is_dir():
        train, kinds = _with_files_of_folder(tables.train, train, kinds)
        test = _read_test_folder(tables.test, train, next(iter(kinds), TEXT), sample, findings)
    else:
        test = _read_table(tables.test, findings, say) if tables.test else _rows_of_sample(request, sample)
        folders = (tables.train.parent, (tables.test or tables.sample or tables.train).parent)
        train, test, kinds = _join_files(train, test, sample, kinds, folders, findings)
    if tables.test is None and not kinds:
        raise TaskError(
            f"{tables.train.parent}: has no test table, and the ids of the sample name no files. Name the rows to "
            "predict with --test, or a single table instead of the folder."
        )
    for option, column in (("--group", request.group), ("--time", request.time)):
        if column is not None and column not in train.header:
            raise TaskError(f"{tables.train}: {option} {column} is not a column of it.")
    return Parts(train, test, sample, Media(ABSOLUTE, kinds))


def sample_of(request: TaskRequest, test: Columns, labels: Sequence[str]) -> Columns:
    """A sample without predictions, with the ids that are named, those of files, or the numbers of the rows."""
    if request.id and request.id not in test.header:
        raise TaskError(
            f"--id {request.id} is not a column of the rows to predict. Their columns are: "
            f"{', '.join(test.header[:20])}. Leave --id out to get new ids."
        )
    name = request.id or ("id" if test.header[0] == "id" else OWN_ID)
    ids = test.column(name) if name in test.header else [str(number) for number in range(1, len(test) + 1)]
    return Columns([name, *labels], [ids, *([""] * len(ids) for _ in labels)])


# -------------------------------------------------------------------------------------------------------------- reading


def _read_table(path: Path, findings: Findings, say: Progress) -> Columns:
    say(f"reading {path.name}", 0, 0)
    table = read_table(path, findings)
    if len(set(table.header)) < len(table.header):
        twice = next(name for name in table.header if table.header.count(name) > 1)
        raise TaskError(f"{path}: {twice!r} is the name of more than one column. Give each column its own name.")
    return table


def _read_train(path: Path, findings: Findings, say: Progress) -> tuple[Columns, dict[str, str]]:
    """The labelled rows of a table or of a folder by class, and which columns are paths."""
    if not path.is_dir():
        return _read_table(path, findings, say), {}
    say(f"looking into {path.name}", 0, 0)
    found = read_class_folders(path, findings)
    if found is None:
        raise TaskError(
            f"{path}: has no subfolder of files for each class. Name a table of labelled rows with --train."
        )
    return _absolute(*found)


def _with_labels(train: Columns, labels: Columns, name: str, findings: Findings) -> Columns:
    """Train with the columns of a table of labels, joined by its first column; as it is where that does not fit."""
    key, *columns = labels.header
    place = {one: row for row, one in enumerate(labels.column(key))}
    if key not in train.header or set(columns) & set(train.header) or set(train.column(key)) != set(place):
        return train
    if len(place) < len(labels):
        return train
    joined = labels.take([place[one] for one in train.column(key)])
    findings.facts.append(f"joined {', '.join(columns[:8])} of {name} by {key}")
    cells = [*map(train.column, train.header), *map(joined.column, columns)]
    return Columns([*train.header, *columns], cells)


def _absolute(table: Columns, media: Media) -> tuple[Columns, dict[str, str]]:
    for name in media.kinds:
        table = table.with_column(name, [str((media.base / cell).absolute()) for cell in table.column(name)])
    return table, dict(media.kinds)


def _with_files_of_folder(path: Path, train: Columns, kinds: dict[str, str]) -> tuple[Columns, dict[str, str]]:
    """The training rows with a column of paths, which a table must name."""
    if path.is_dir():
        return train, kinds
    found = _files_of(train, path.parent, "train")
    if len(found) != 1:
        raise TaskError(f"{path}: no column of it names the files of the training rows. Add their paths.")
    (paths,) = found.values()
    kind = kind_of(paths[0])
    return _with_files(train, kind, path.parent, paths), {kind: kind}


def _read_test_folder(path: Path, train: Columns, kind: str, sample: Columns | None, findings: Findings) -> Columns:
    """The files of a folder as rows, with labels if its subfolders are classes of train and there is no sample."""
    told = Findings()
    labelled = read_class_folders(path, told) if sample is None and LABEL in train.header else None
    if labelled is not None:
        labels, known = set(labelled[0].column(LABEL)), set(train.column(LABEL))
        if labels <= known:
            findings.facts += told.facts
            return _absolute(*labelled)[0]
        if labels & known:
            raise TaskError(
                f"{path}: train has no class {min(labels - known)!r}, as there is here. Remove this subfolder, or add "
                "the class to train."
            )
        findings.guesses.append(f"the subfolders of {path.name} are not labels: train has no such classes")
    samples = [sample.column(name) for name in sample.header] if sample is not None else []
    return read_folder(path, kind, samples)


def _rows_of_sample(request: TaskRequest, sample: Columns | None) -> Columns:
    assert sample is not None
    name = request.id if request.id and request.id in sample.header else sample.header[0]
    return Columns([name], [sample.column(name)])


# ---------------------------------------------------------------------------------------------------------------- files


def _join_files(
    train: Columns,
    test: Columns,
    sample: Columns | None,
    kinds: dict[str, str],
    folders: tuple[Path, Path],
    findings: Findings,
) -> tuple[Columns, Columns, dict[str, str]]:
    """Both tables with paths where columns of both name files. An id that does so stays, beside a column of paths."""
    in_test = _files_of(test, folders[1], "test")
    if kinds:
        if len(in_test) == 1:
            (paths,) = in_test.values()
            test = _with_files(test, next(iter(kinds)), folders[1], paths)
        return train, test, kinds
    in_train = _files_of(train, folders[0], "train")
    pairs = [(name, one) for name in in_train if (one := same_name(name, list(in_test)))]
    if not pairs and len(in_train) == len(in_test) == 1:
        pairs = [(next(iter(in_train)), next(iter(in_test)))]
    for name, one in pairs:
        kind = kind_of(in_train[name][0])
        ids = set(test.column(one))
        is_id = sample is not None and any(set(sample.column(each)) == ids for each in sample.header)
        column = name if not is_id else kind if kind not in train.header else f"{kind}_file"
        train = _with_files(train, column, folders[0], in_train[name])
        test = _with_files(_renamed(test, one, column) if not is_id else test, column, folders[1], in_test[one])
        kinds[column] = kind
        findings.facts.append(f"{name} names {kind} files, whose paths are in {column}")
    return train, test, kinds


def _files_of(table: Columns, folder: Path, part: str) -> dict[str, list[str]]:
    """The paths of the files that the columns of a table name."""
    found = {name: find_files(table.column(name), name, folder, part) for name in table.header}
    return {name: paths for name, paths in found.items() if paths}


def _with_files(table: Columns, column: str, folder: Path, paths: Sequence[str]) -> Columns:
    """The table with absolute paths in a column, which may be new."""
    cells = [str((folder / path).absolute()) for path in paths]
    if column in table.header:
        return table.with_column(column, cells)
    return Columns([*table.header, column], [*(table.column(name) for name in table.header), cells])


def _renamed(table: Columns, name: str, new: str) -> Columns:
    return Columns([new if one == name else one for one in table.header], [table.column(one) for one in table.header])
