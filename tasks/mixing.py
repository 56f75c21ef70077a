"""How a blend's tables come about: rows leave the train file, take the shape of test rows and are mixed in.

Raises `TableError` or `TooFewRows` for data that cannot be blended; `blending` turns them into the user's words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.cells import Row, as_number, read_rows, write_rows
from tasks.public_files import copy_others, refuse_copies, unspoken
from tasks.recipe import Deal, Plan, plan_parts, roles
from tasks.sources import Test, Train, find_test, read_sample, scan
from tasks.splitting import deal_groups, deal_rows, deal_times, order

if TYPE_CHECKING:
    from tasks.spec import Labels, Task

HELD_OUT, SELECT, TEST = "held_out", "select", "test"
KEY_HEADER = ["id", "role", "row", "unit"]
TELLTALE = 0.1


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
class _Held:
    """Rows that leave the train file: their places in it, each with its role; and how they were dealt."""

    roles: dict[int, str]
    plan: Plan
    labelled: int


def fill(task: Task, seed: int, deal: Deal, public: Path, custody: Path) -> Filled:
    """Write the public files and the custody's key.csv, answers.csv and select.csv into two empty folders.

    key.csv has a row per row of the shown sample: its id, its role, its row in answers.csv (select.csv, the task's
    own sample), and the unit it belongs to. Raises TableError, TooFewRows, OSError.
    """
    sample = read_sample(task)
    replaced: set[Path] = set()
    answers: dict[str, list[Row]] = {HELD_OUT: [], SELECT: []}
    notes: tuple[str, ...] = ()
    id_at = sample[0].index(task.submission.id)
    key = [[row[id_at], TEST, str(at), ""] for at, row in enumerate(sample[1:])]
    held = None
    if task.labels is not None:
        train = scan(task, task.labels, sample)
        test = find_test(task, task.labels, train, sample)
        replaced = {task.labels.file, test.path, task.submission.sample}
        held = _hold_out(task, task.labels, train, seed, deal)
        key, answers, notes = _mix(task, task.labels, f"{seed}{deal.name}", sample, train, test, held, public)
        known = {name for name, label in zip(train.ids, train.labels, strict=True) if label is not None}
        refuse_copies(task, task.labels, replaced, known)
        notes = (*notes, *unspoken(task, replaced))
    copy_others(task, replaced, public)
    write_rows(custody / "key.csv", [KEY_HEADER, *key], 0o600)
    header = [task.submission.id, *task.submission.targets]
    for name, role in (("answers.csv", HELD_OUT), ("select.csv", SELECT)):
        write_rows(custody / name, [header, *answers[role]], 0o600)
    told, kept = len(answers[HELD_OUT]), len(answers[SELECT])
    labelled, folds = (held.labelled, held.plan.folds) if held else (0, 0)
    return Filled(told, kept, len(key) - told - kept, labelled, folds, notes)


def _hold_out(task: Task, labels: Labels, train: Train, seed: int, deal: Deal) -> _Held:
    labelled = sum(label is not None for label in train.labels)
    plan = plan_parts(task.recipe, labelled)
    draw = f"{seed}:fresh {deal.draw}" if deal.draw else f"{seed}:held out"
    if task.recipe.time:
        dealt = deal_times(train.moments, train.labels, plan.parts, draw)
    elif labels.group:
        dealt = deal_groups(train.units, train.labels, plan.parts, draw)
        most = 1 + max(part for part in dealt if part is not None)
        plan = replace(plan, parts=most, folds=min(plan.folds, most))
    else:
        dealt = deal_rows(train.labels, plan.parts, draw, labels.stratify)
    wanted = roles(plan, deal)
    taken = {at: wanted[part] for at, part in enumerate(dealt) if part is not None and part in wanted}
    return _Held(taken, plan, labelled)


# ------------------------------------------------------------------------------------------------ mixing and writing


def _mix(
    task: Task, labels: Labels, draw: str, sample: list[Row], train: Train, test: Test, held: _Held, public: Path
) -> tuple[list[Row], dict[str, list[Row]], tuple[str, ...]]:
    """Write the three tables; the rows of key and answers, and notes."""
    moved = _write_train(labels.file, public / labels.file.relative_to(task.public), held.roles)
    shape = [train.header.index(name) for name in test.header]
    places = sorted(held.roles)
    answers, numbers = _answers(task, train, places, held.roles)
    id_at = sample[0].index(task.submission.id)
    blank, notes = _blank(sample, id_at)
    mixed, shown, key = [test.header], [sample[0]], []
    for place in order(len(test.rows) + len(moved), f"{draw}:mix"):
        taken = place - len(test.rows)
        if taken < 0:
            at = test.places[place]
            mixed.append(test.rows[place])
            key.append([sample[at + 1][id_at], TEST, str(at), ""])
        else:
            source = places[taken]
            mixed.append([moved[taken][column] for column in shape])
            key.append([train.ids[source], held.roles[source], str(numbers[taken]), train.units[source]])
        shown.append([*blank[:id_at], key[-1][0], *blank[id_at + 1 :]])
    write_rows(_made(public / test.path.relative_to(task.public)), mixed)
    write_rows(_made(public / task.submission.sample.relative_to(task.public)), shown)
    return key, answers, (*notes, *train.notes, *_telltale(key))


def _answers(
    task: Task, train: Train, places: Sequence[int], held: Mapping[int, str]
) -> tuple[dict[str, list[Row]], list[int]]:
    """The rows of answers by role, and for each place the number of its row there."""
    answers: dict[str, list[Row]] = {HELD_OUT: [], SELECT: []}
    numbers = []
    for place in places:
        rows, cells = answers[held[place]], train.cells[place]
        if train.classes:
            cells = tuple("1" if name == cells[0].strip() else "0" for name in train.classes)
        numbers.append(len(rows))
        rows.append([train.ids[place], *cells])
    return answers, numbers


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
    held = [rank for rank, row in enumerate(ranked) if row[1] != TEST]
    pairs = len(held) * (len(key) - len(held))
    area = (sum(held) - len(held) * (len(held) - 1) / 2) / pairs if pairs else 0.5
    # Three standard errors of the rank statistic under no difference, so that chance alone is not told.
    chance = 3 * math.sqrt((len(key) + 1) / 12 / pairs) if pairs else 1.0
    if abs(area - 0.5) <= max(TELLTALE, chance):
        return ()
    return (f"ids tell held-out rows from test rows (rank AUC {area:.2f}); give train and test ids from one range",)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
