"""How a blend comes about: rows leave the train files, take the shape of test rows and are mixed in.

Raises `TableError` or `TooFewRows` for data that cannot be blended; `blending` turns them into the user's words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.holdout.choose_rows import choose_held_out
from tasks.holdout.load_inputs import Sample, TaskInputs, fields_of, load_inputs, read_sample
from tasks.holdout.public_files import Moves, write_all_files, write_files
from tasks.holdout.recipe import Split
from tasks.holdout.splitters import order
from tasks.io.archives import pack
from tasks.io.csv_text import Row, TableError, as_number, open_writer, write_rows
from tasks.io.path_templates import Template
from tasks.leakage.order import order_auc, reveals_class

if TYPE_CHECKING:
    from tasks.task import Labels, Task

HELD_OUT, SELECT, TEST = "held_out", "select", "test"
KEY_HEADER = ["role", "row", "unit", "original"]
FEWEST_UNITS = 3


@dataclass(frozen=True)
class Filled:
    """How many rows a blend holds of each kind, how many folds its deal has (0: it is the only blend), and what
    people should know about it. `labelled_rows` counts the rows that may be held out."""

    held_out_rows: int
    select_rows: int
    test_rows: int
    labelled_rows: int
    folds: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """One row to predict: of the test set (`places` are its rows in the task's sample), or taken from train.

    `row` has the cells of the test table; `fields` are what the row says, `named` the same by new names.
    """

    role: str
    row: Row
    fields: dict[str, str]
    named: dict[str, str]
    unit: str
    places: Sequence[int] = ()


def fill(task: Task, seed: int, split: Split, public: Path, private_labels: Path, store: Path) -> Filled:
    """Write the public files and the custody's ids.csv, key.csv, answers.csv and select.csv into two empty folders.

    ids.csv has the ids of the shown sample (a million by themselves are read in no time), key.csv what each of them is:
    its role, its row in answers.csv (select.csv, the task's own sample), the unit it belongs to, and its id in the
    task's own sample where that is another. `store` is for files that cannot be linked from where they are.
    Raises TableError, TooFewRows, OSError.
    """
    if task.labels is None:
        return _as_it_is(task, public, private_labels)
    book = load_inputs(task, task.labels)
    held = choose_held_out(task, task.labels, book.train, seed, split)
    draw = f"{seed}{split.name}"

    def placed(path: Path) -> Path:
        target = public / path.relative_to(task.public)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    moved = book.train.source.write_without(placed, held.roles)
    units = [*_test_units(task, book), *_held_units(task, task.labels, book, held.roles, moved)]
    shown = list(_named(task, book, _ordered(task, units, draw)))
    if book.test.source is not None:
        book.test.source.write(placed, (one.row for one in shown))
    counts, firsts = _write_tables(task, book, shown, public, private_labels)
    moves = Moves(
        held=[(one.fields, one.named) for one in shown if one.role != TEST],
        test=[(one.fields, one.named) for one in shown if one.role == TEST],
        draw=draw,
        rows=[one.row for one in shown if one.role != TEST],
    )
    notes = write_files(task, book, moves, public, store)
    notes = (*_varied(task, book), *book.notes, *held.notes, *notes, *_telltale(firsts))
    return Filled(counts[HELD_OUT], counts[SELECT], counts[TEST], held.labelled, held.plan.folds, notes)


def _as_it_is(task: Task, public: Path, private_labels: Path) -> Filled:
    """The blend of a task without labels: nothing is held out, everything is shown."""
    sample = read_sample(task)
    write_all_files(task, public)
    _write_rest(sample, private_labels)
    write_rows(private_labels / "ids.csv", [["id"], *([name] for name in sample.ids)], 0o600)
    write_rows(
        private_labels / "key.csv", [KEY_HEADER, *([TEST, str(at), "", ""] for at in range(len(sample.ids)))], 0o600
    )
    for name in ("answers.csv", "select.csv"):
        write_rows(private_labels / name, [[task.submission.id, *task.submission.targets]], 0o600)
    return Filled(0, 0, len(sample.ids), 0, 0, ())


# --------------------------------------------------------------------------------------------- what is to be predicted


def _test_units(task: Task, book: TaskInputs) -> Iterator[list[Shown]]:
    """The task's own rows to predict, those of a unit together, in the order of the test table."""
    header, source, unit = book.test.header, book.test.source, task.recipe.unit
    units: dict[str, list[Shown]] = {}
    for at, (row, places) in enumerate(zip(book.test.rows, book.test.places, strict=True)):
        fields = fields_of(header, row, source, book.used)
        key = fields[unit] if unit else str(at)
        units.setdefault(key, []).append(Shown(TEST, row, fields, fields, "", places))
    yield from units.values()


def _held_units(
    task: Task, labels: Labels, book: TaskInputs, held: Mapping[int, str], moved: Mapping[int, Row]
) -> Iterator[list[Shown]]:
    """The rows taken from train, in the shape of test rows, those of a unit together."""
    train, unit = book.train, task.recipe.unit
    header = train.source.header
    shape = [header.index(name) for name in book.test.header] if set(book.test.header) <= set(header) else []
    # Too few groups cannot be resampled: then rows are.
    groups = train.groups if len({train.groups[at] for at in held} if labels.group else ()) >= FEWEST_UNITS else []
    units: dict[str, list[Shown]] = {}
    for at in sorted(held):
        fields = fields_of(header, moved[at], train.source, book.used)
        belongs = groups[at] if groups else train.units[at] if unit else "" if book.encoder.is_plain else str(at)
        one = Shown(held[at], [moved[at][column] for column in shape], fields, fields, belongs)
        units.setdefault(train.units[at] if unit else str(at), []).append(one)
    yield from units.values()


def _ordered(task: Task, units: list[list[Shown]], draw: str) -> list[list[Shown]]:
    """The units in the order in which they are shown: at random, or as the recipe counts them."""
    mixed = [units[at] for at in order(len(units), f"{draw}:mix")]
    by = task.recipe.renumber.order if task.recipe.renumber else ""
    return sorted(mixed, key=lambda unit: Template(by).fill(unit[0].fields)) if by else mixed


def _named(task: Task, book: TaskInputs, units: list[list[Shown]]) -> Iterator[Shown]:
    """The rows one by one, with new numbers where the recipe gives them."""
    renumber = task.recipe.renumber
    header = book.test.header
    for number, unit in enumerate(units):
        if renumber is None:
            yield from unit
            continue
        name = renumber.form.replace("{i}", str(renumber.start + number))
        for one in unit:
            row = [name if column == renumber.field else cell for column, cell in zip(header, one.row, strict=False)]
            yield replace(one, row=row, named={**one.fields, renumber.field: name})


# ------------------------------------------------------------------------------------------------------ the tables


def _write_tables(
    task: Task, book: TaskInputs, shown: Sequence[Shown], public: Path, private_labels: Path
) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Write sample, key and answers; how many rows of each role, and the id and role of each row's first one."""
    sample, renumbered = book.sample, task.recipe.renumber is not None
    counts: Counter[str] = Counter(dict.fromkeys((HELD_OUT, SELECT, TEST), 0))
    firsts: list[tuple[str, str]] = []
    header = [task.submission.id, *task.submission.targets]
    target, pack_as = _sample_place(task, public)
    _write_rest(sample, private_labels)
    with (
        open_writer(target) as to_sample,
        open_writer(private_labels / "ids.csv", 0o600) as to_ids,
        open_writer(private_labels / "key.csv", 0o600) as to_key,
        open_writer(private_labels / "answers.csv", 0o600) as to_answers,
        open_writer(private_labels / "select.csv", 0o600) as to_select,
    ):
        to_sample([sample.header])
        to_ids([["id"]])
        to_key([KEY_HEADER])
        to_answers([header])
        to_select([header])
        for one in shown:
            row = _blank(task, book, one)
            if one.role == TEST:
                old = [sample.ids[place] for place in one.places]
                ids = list(book.encoder.ids(one.fields, one.named)) if renumbered else old
                to_key(
                    [TEST, str(place), "", before if before != name else ""]
                    for name, place, before in zip(ids, one.places, old, strict=True)
                )
            else:
                ids = list(book.encoder.ids(one.fields, one.named))
                start = counts[one.role]
                to_key([one.role, str(start + at), one.unit, ""] for at in range(len(ids)))
                cells = book.encoder.cells(one.fields)
                answers = ([name, *found] for name, found in zip(ids, cells, strict=True))
                (to_answers if one.role == HELD_OUT else to_select)(answers)
            counts[one.role] += len(ids)
            firsts.append((ids[0], one.role))
            to_ids([name] for name in ids)
            at = sample.id_at
            to_sample([*row[:at], name, *row[at + 1 :]] for name in ids)
    if pack_as:
        pack(pack_as, [(pack_as.name.removesuffix(".zip"), lambda: target.open("rb"))], deflated=True)
        target.unlink()
    _refuse_repeated(sample, firsts, book)
    return counts, firsts


def _refuse_repeated(sample: Sample, firsts: Sequence[tuple[str, str]], book: TaskInputs) -> None:
    names = [name for name, _ in firsts]
    if len(set(names)) < len(names) and len(set(sample.ids)) == len(sample.ids) and not book.train.groups:
        name = Counter(names).most_common(1)[0][0]
        raise TableError(f"two rows to predict would have the id {name!r}: say `renumber:` in `blend:`")


def _sample_place(task: Task, public: Path) -> tuple[Path, Path | None]:
    """Where the shown sample is written, and the archive it is then packed into, if it is shown in one."""
    sample = task.submission.sample
    inside = sample.is_relative_to(task.public)
    name = sample.relative_to(task.public).as_posix() if inside else task.submission.shown or sample.name
    target = public / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if name.lower().endswith(".zip"):
        return target.with_name(f".{target.name}.rows"), target
    return target, None


def _blank(task: Task, book: TaskInputs, one: Shown) -> Row:
    """A row of the shown sample without its id: constants, but for what the recipe fills in and what a row to predict
    says itself. Anything else that varied would tell held-out rows apart."""
    fills, targets = dict(task.recipe.fill), task.submission.targets
    return [
        one.fields[fills[name]]
        if name in fills
        else one.named[name]
        if book.sample.rest and name not in targets and name in book.test.header
        else common
        for name, common in zip(book.sample.header, book.sample.common, strict=True)
    ]


def _write_rest(sample: Sample, private_labels: Path) -> None:
    """Keep the task's own sample where it has columns besides id and targets: they are handed in as they are."""
    if sample.rest:
        write_rows(private_labels / "rest.csv", [sample.header, *sample.rest], 0o600)


def _varied(task: Task, book: TaskInputs) -> tuple[str, ...]:
    known = {name for name, _ in task.recipe.fill} | set(book.test.header)
    varied = [name for name in book.sample.varied if name in task.submission.targets or name not in known]
    varied = [name for name in varied if name not in dict(task.recipe.fill) and name != task.submission.id]
    if not varied:
        return ()
    return (f"the sample submission varies in {', '.join(varied)}; agents are shown its commonest value instead",)


def _telltale(firsts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """A note where the order of the ids tells held-out rows from test rows (rank statistic; 0.5 is none)."""
    numbers = [as_number(name) for name, _ in firsts]
    if any(value is None for value in numbers):
        ranked = sorted(firsts)
    else:
        ranked = [one for _, one in sorted(zip(numbers, firsts, strict=True), key=lambda pair: pair[0] or 0)]
    kinds = [role != TEST for _, role in ranked]
    if not reveals_class(kinds):
        return ()
    area, _ = order_auc(kinds)
    return (f"ids tell held-out rows from test rows (rank AUC {area:.2f}); give train and test ids from one range",)
