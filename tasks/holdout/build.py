"""Build the files of a split: rows leave the training files, take the form of test rows and are mixed in.

Raises `TableError` or `TooFewRows` for unsuitable data; `blend` turns them into messages for the user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.holdout.choose_rows import choose_held_out
from tasks.holdout.load_inputs import Sample, TaskInputs, fields_of, load_inputs, read_sample
from tasks.holdout.public_files import MovedRows, list_other_files, write_all_files, write_files
from tasks.holdout.rename_ids import rename_ids
from tasks.holdout.split import Split
from tasks.holdout.splitters import shuffled_indices
from tasks.holdout.time_blocks import time_blocks
from tasks.io.archives import pack
from tasks.io.csv_text import Row, TableError, as_number, open_writer, write_rows
from tasks.io.path_templates import Template
from tasks.metrics.ranking import order_auc, reveals_class
from tasks.progress import report

if TYPE_CHECKING:
    from tasks.task import Labels, Task

HELD_OUT, SELECT, TEST = "held_out", "select", "test"
KEY_HEADER = ["role", "row", "unit", "original"]
MIN_GROUPS = 3
"""Fewer groups cannot be resampled; then rows are."""


@dataclass(frozen=True)
class BlendSummary:
    """The number of rows of each role, the number of folds (0: a single split), and notes for people.

    `labelled_rows` counts the rows that can be held out.
    """

    held_out_rows: int
    select_rows: int
    test_rows: int
    labelled_rows: int
    folds: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ShownRow:
    """One row to predict: of the test set (`sample_rows` are its rows in the task's sample), or held out of train.

    `row` has the cells of the test table; `fields` are the row's fields, `named` the same with renumbered values.
    """

    role: str
    row: Row
    fields: dict[str, str]
    named: dict[str, str]
    unit: str
    sample_rows: Sequence[int] = ()


def build_files(
    task: Task, seed: int, split: Split, public: Path, private_labels: Path, store: Path, salt: str
) -> BlendSummary:
    """Write the public files and the private ids.csv, key.csv, answers.csv and select.csv into two empty folders.

    ids.csv has the ids of the shown sample (apart, because a million ids alone are read fast). key.csv says what each
    of them is: its role, its row in answers.csv (or in select.csv, or in the task's own sample), its unit, and its id
    in the task's own sample if that differs. `store` is for files that cannot be linked from where they are. `salt`
    seeds the order of the rows to predict and their new ids: whoever could repeat these shuffles could tell held-out
    rows from test rows.
    Raises TableError, TooFewRows, OSError.
    """
    if task.labels is None:
        return _build_unchanged(task, public, private_labels, store)
    inputs = load_inputs(task, task.labels)
    report("choosing the rows to hold out")
    held_out = choose_held_out(task, task.labels, inputs.train, seed, split)
    draw = f"{seed}{split.name}"
    secret_draw = f"{draw}:{salt}"

    def target_of(path: Path) -> Path:
        target = public / path.relative_to(task.public)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    order = _order_train(task, inputs, draw) if held_out.plan.cv_folds else None
    names = rename_ids(task, task.labels, inputs, list_other_files(task, inputs, ()), secret_draw) if order else {}
    edit = _id_editor(inputs.train.source.header, inputs.encoder.id.single_field, names)
    report("writing the tables")
    moved = inputs.train.source.write_without(target_of, held_out.roles, order, edit)
    units = [*_test_units(task, inputs), *_held_out_units(task, task.labels, inputs, held_out.roles, moved)]
    shown = list(_renumber(task, inputs, _order_units(task, units, secret_draw), names))
    if inputs.test.source is not None:
        inputs.test.source.write(target_of, (each.row for each in shown))
    counts, firsts = _write_tables(task, inputs, shown, public, private_labels)
    moved_rows = MovedRows(
        held_out=[(each.fields, each.named) for each in shown if each.role != TEST],
        test=[(each.fields, each.named) for each in shown if each.role == TEST],
        draw=secret_draw,
        cells=[each.row for each in shown if each.role != TEST],
    )
    notes = write_files(task, inputs, moved_rows, public, store)
    notes = (*_varying_columns(task, inputs), *inputs.notes, *held_out.notes, *notes, *_order_leak(firsts))
    return BlendSummary(
        counts[HELD_OUT], counts[SELECT], counts[TEST], held_out.labelled, held_out.plan.cv_folds, notes
    )


def _build_unchanged(task: Task, public: Path, private_labels: Path, store: Path) -> BlendSummary:
    """The files of a task without labels: nothing is held out, everything is shown."""
    sample = read_sample(task)
    write_all_files(task, public, store)
    _write_rest(sample, private_labels)
    key = ([TEST, str(row), "", ""] for row in range(len(sample.ids)))
    write_rows(private_labels / "ids.csv", [["id"], *([name] for name in sample.ids)], 0o600)
    write_rows(private_labels / "key.csv", [KEY_HEADER, *key], 0o600)
    for name in ("answers.csv", "select.csv"):
        write_rows(private_labels / name, [[task.submission.id, *task.submission.targets]], 0o600)
    return BlendSummary(0, 0, len(sample.ids), 0, 0, ())


# --------------------------------------------------------------------------------------------------- rows to predict


def _test_units(task: Task, inputs: TaskInputs) -> Iterator[list[ShownRow]]:
    """The task's own rows to predict, grouped by unit, in the order of the test table."""
    header, source, unit = inputs.test.header, inputs.test.source, task.recipe.unit
    units: dict[str, list[ShownRow]] = {}
    for number, (row, sample_rows) in enumerate(zip(inputs.test.rows, inputs.test.sample_rows, strict=True)):
        fields = fields_of(header, row, source, inputs.used)
        key = fields[unit] if unit else str(number)
        units.setdefault(key, []).append(ShownRow(TEST, row, fields, fields, "", sample_rows))
    yield from units.values()


def _held_out_units(
    task: Task, labels: Labels, inputs: TaskInputs, roles: Mapping[int, str], moved: Mapping[int, Row]
) -> Iterator[list[ShownRow]]:
    """The held-out rows in the form of test rows, grouped by unit."""
    train, unit = inputs.train, task.recipe.unit
    header = train.source.header
    is_subset = set(inputs.test.header) <= set(header)
    test_columns = [header.index(name) for name in inputs.test.header] if is_subset else []
    held_groups = {train.groups[number] for number in roles} if labels.group else set()
    groups = train.groups if len(held_groups) >= MIN_GROUPS else []
    time = task.recipe.time if not (labels.group or unit) else None
    blocks = time_blocks(train.times, time, roles) if time else {}
    units: dict[str, list[ShownRow]] = {}
    for number in sorted(roles):
        fields = fields_of(header, moved[number], train.source, inputs.used)
        if groups:
            resampled = groups[number]
        elif unit:
            resampled = train.units[number]
        else:
            resampled = blocks.get(number, "") if inputs.encoder.is_plain else str(number)
        cells = [moved[number][column] for column in test_columns]
        row = ShownRow(roles[number], cells, fields, fields, resampled)
        units.setdefault(train.units[number] if unit else str(number), []).append(row)
    yield from units.values()


def _order_train(task: Task, inputs: TaskInputs, draw: str) -> list[int] | None:
    """The numbers of the training rows in a random order, different for each fold; None if their order has a meaning.

    Otherwise a row's place would identify it on every fold, and labels could be memorized by it. Rows of a unit stay
    together.
    """
    if task.recipe.time or (task.recipe.renumber and task.recipe.renumber.order):
        return None
    rows_of: dict[str, list[int]] = {}
    for number in range(len(inputs.train.labels)):
        rows_of.setdefault(inputs.train.units[number] if task.recipe.unit else str(number), []).append(number)
    units = list(rows_of.values())
    return [number for index in shuffled_indices(len(units), f"{draw}:train") for number in units[index]]


def _order_units(task: Task, units: list[list[ShownRow]], draw: str) -> list[list[ShownRow]]:
    """The units in the order in which they are shown: random, or as the recipe sorts them."""
    mixed = [units[index] for index in shuffled_indices(len(units), f"{draw}:mix")]
    sort_by = task.recipe.renumber.order if task.recipe.renumber else ""
    return sorted(mixed, key=lambda unit: Template(sort_by).fill(unit[0].fields)) if sort_by else mixed


def _id_editor(header: Row, column: str, names: Mapping[str, str]) -> Callable[[Row], Row] | None:
    """A function that gives a row its new id; None if ids are kept."""
    if not names:
        return None
    index = header.index(column)
    return lambda row: [*row[:index], names[row[index]], *row[index + 1 :]]


def _renumber(
    task: Task, inputs: TaskInputs, units: list[list[ShownRow]], names: Mapping[str, str]
) -> Iterator[ShownRow]:
    """The rows one by one, with new ids (`names`), or with new numbers if the recipe gives them."""
    renumber = task.recipe.renumber
    header, column = inputs.test.header, inputs.encoder.id.single_field
    edit = _id_editor(header, column, names)
    if edit:
        for unit in units:
            for each in unit:
                yield replace(each, row=edit(each.row), named={**each.fields, column: names[each.fields[column]]})
        return
    for number, unit in enumerate(units):
        if renumber is None:
            yield from unit
            continue
        name = renumber.form.replace("{i}", str(renumber.start + number))
        for each in unit:
            row = [name if column == renumber.field else cell for column, cell in zip(header, each.row, strict=False)]
            yield replace(each, row=row, named={**each.fields, renumber.field: name})


# ------------------------------------------------------------------------------------------------------ the tables

Write = Callable[[Iterable[Sequence[str]]], None]


def _write_tables(
    task: Task, inputs: TaskInputs, shown: Sequence[ShownRow], public: Path, private_labels: Path
) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Write sample, ids, key and answers. Returns the rows of each role, and (first id, role) of each row."""
    sample = inputs.sample
    counts: Counter[str] = Counter(dict.fromkeys((HELD_OUT, SELECT, TEST), 0))
    firsts: list[tuple[str, str]] = []
    answers_header = [task.submission.id, *task.submission.targets]
    target, archive = _sample_path(task, public)
    _write_rest(sample, private_labels)
    with ExitStack() as files:

        def open_table(path: Path, header: Row, mode: int = 0o600) -> Write:
            write = files.enter_context(open_writer(path, mode))
            write([header])
            return write

        to_sample = open_table(target, sample.header, 0o644)
        to_ids = open_table(private_labels / "ids.csv", ["id"])
        to_key = open_table(private_labels / "key.csv", KEY_HEADER)
        to_answers = {
            HELD_OUT: open_table(private_labels / "answers.csv", answers_header),
            SELECT: open_table(private_labels / "select.csv", answers_header),
        }
        for each in shown:
            ids, key = _ids_and_key(inputs, each, counts[each.role])
            to_key(key)
            if each.role != TEST:
                cells = inputs.encoder.cells(each.fields)
                to_answers[each.role]([name, *encoded] for name, encoded in zip(ids, cells, strict=True))
            counts[each.role] += len(ids)
            firsts.append((ids[0], each.role))
            to_ids([name] for name in ids)
            row, id_at = _sample_cells(task, inputs, each), sample.id_at
            to_sample([*row[:id_at], name, *row[id_at + 1 :]] for name in ids)
    if archive:
        pack(archive, [(archive.name.removesuffix(".zip"), lambda: target.open("rb"))], deflated=True)
        target.unlink()
    _refuse_repeated(sample, firsts, inputs)
    return counts, firsts


def _ids_and_key(inputs: TaskInputs, shown: ShownRow, start: int) -> tuple[list[str], list[Row]]:
    """The ids of a row in the shown sample, and their lines of key.csv; `start` counts earlier rows of its role."""
    if shown.role != TEST:
        ids = list(inputs.encoder.ids(shown.fields, shown.named))
        return ids, [[shown.role, str(start + index), shown.unit, ""] for index in range(len(ids))]
    original = [inputs.sample.ids[sample_row] for sample_row in shown.sample_rows]
    is_renamed = shown.named is not shown.fields
    ids = list(inputs.encoder.ids(shown.fields, shown.named)) if is_renamed else original
    return ids, [
        [TEST, str(sample_row), "", before if before != name else ""]
        for name, sample_row, before in zip(ids, shown.sample_rows, original, strict=True)
    ]


def _refuse_repeated(sample: Sample, firsts: Sequence[tuple[str, str]], inputs: TaskInputs) -> None:
    names = [name for name, _ in firsts]
    if len(set(names)) < len(names) and len(set(sample.ids)) == len(sample.ids) and not inputs.train.groups:
        name = Counter(names).most_common(1)[0][0]
        raise TableError(f"two rows to predict would have the id {name!r}: add `renumber:` to `blend:`")


def _sample_path(task: Task, public: Path) -> tuple[Path, Path | None]:
    """The path the shown sample is written to, and the archive it is then packed into, if it is shown in one."""
    sample = task.submission.sample
    inside = sample.is_relative_to(task.public)
    name = sample.relative_to(task.public).as_posix() if inside else task.submission.shown or sample.name
    target = public / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if name.lower().endswith(".zip"):
        return target.with_name(f".{target.name}.rows"), target
    return target, None


def _sample_cells(task: Task, inputs: TaskInputs, shown: ShownRow) -> Row:
    """The cells of a row of the shown sample, except its id.

    They are constants, except columns that the recipe fills and columns copied from the row to predict: anything else
    that varies would distinguish held-out rows.
    """
    fills, targets = dict(task.recipe.fill), task.submission.targets
    return [
        shown.fields[fills[name]]
        if name in fills
        else shown.named[name]
        if inputs.sample.rest and name not in targets and name in inputs.test.header
        else common
        for name, common in zip(inputs.sample.header, inputs.sample.common, strict=True)
    ]


def _write_rest(sample: Sample, private_labels: Path) -> None:
    """Keep the task's own sample if it has columns besides id and targets: they are submitted unchanged."""
    if sample.rest:
        write_rows(private_labels / "rest.csv", [sample.header, *sample.rest], 0o600)


def _varying_columns(task: Task, inputs: TaskInputs) -> tuple[str, ...]:
    known = {name for name, _ in task.recipe.fill} | set(inputs.test.header)
    varied = [name for name in inputs.sample.varied if name in task.submission.targets or name not in known]
    varied = [name for name in varied if name not in dict(task.recipe.fill) and name != task.submission.id]
    if not varied:
        return ()
    return (f"the sample submission varies in {', '.join(varied)}; agents see its most common value instead",)


def _order_leak(firsts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """A note if the order of ids distinguishes held-out rows from test rows (AUC of ranks; 0.5 means it does not)."""
    numbers = [as_number(name) for name, _ in firsts]
    if any(value is None for value in numbers):
        ranked = sorted(firsts)
    else:
        ranked = [first for _, first in sorted(zip(numbers, firsts, strict=True), key=lambda pair: pair[0] or 0)]
    is_held_out = [role != TEST for _, role in ranked]
    if not reveals_class(is_held_out):
        return ()
    area, _ = order_auc(is_held_out)
    return (
        f"ids distinguish held-out rows from test rows (rank AUC {area:.2f}); draw the ids of train and test from one "
        "range",
    )
