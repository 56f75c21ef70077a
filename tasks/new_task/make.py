"""Make a task from the user's request, step by step: read, find the target, choose private rows, write the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import TaskError
from tasks.holdout.splitters import shuffled_indices
from tasks.io.columns import Columns, write_columns
from tasks.io.hashing import hash_of_cells
from tasks.metrics.metric import Metric
from tasks.new_task.advice import advice_on
from tasks.new_task.check_target import check_metric, check_target, same_spelling
from tasks.new_task.choose_metric import choose_metric, empty_is_an_answer
from tasks.new_task.column_types import Column, apply_types, describe_types, find_types
from tasks.new_task.description import describe_task
from tasks.new_task.find_tables import Tables, find_tables, refuse_folder
from tasks.new_task.from_tables import make_from_tables, renumber_ids
from tasks.new_task.media import (
    LABEL,
    Media,
    copy_media,
    describe_media,
    find_media,
    note_telling_media,
    read_class_folders,
)
from tasks.new_task.private_rows import keep_true_claims, private_rows
from tasks.new_task.read_data import read_table
from tasks.new_task.read_parts import Parts, read_parts
from tasks.new_task.request import CreatedTask, Findings, Progress, TaskRequest
from tasks.new_task.sample_cells import sample_cells
from tasks.new_task.targets import Target, expand, form_of, keep_labelled, number_words
from tasks.new_task.write_folder import folder_to_make, new_folder, task_sections, task_yaml

MIN_ROWS = 80
ID = "row_id"


def make_task(request: TaskRequest, say: Progress = lambda step, done, total: None) -> CreatedTask:
    """Make a task folder; it appears complete, by rename. Raises TaskError."""
    findings = Findings()
    if request.train or request.test or request.sample:
        return _from_parts(request, findings, say)
    if request.data is None:
        raise TaskError("Name the data: a table, a folder of images, or --train, --test and --sample.")
    return (
        _from_folder(request, request.data, findings, say)
        if request.data.is_dir()
        else _from_file(request, request.data, findings, say)
    )


def _from_parts(request: TaskRequest, findings: Findings, say: Progress) -> CreatedTask:
    """A task from parts that are named one by one; test rows with labels become the private ones."""
    if request.data is not None or request.train is None or not (request.test or request.sample):
        raise TaskError(
            "--train, --test and --sample belong together, without DATA: give --train and at least one of the others, "
            "or DATA alone."
        )
    tables, name = Tables(request.train, request.test, request.sample), _stem(request.train.absolute().parent)
    parts = read_parts(request, tables, findings, say)
    if parts.sample is None and parts.test_has(targets := parts.labels(request)):
        request = replace(request, data=request.train, target=targets, into=request.into or Path(f"{name}-task"))
        return _from_labelled_parts(request, tables, parts, findings, say)
    return make_from_tables(request, tables, f"{name}-task", findings, say, parts)


def _from_labelled_parts(
    request: TaskRequest, tables: Tables, parts: Parts, findings: Findings, say: Progress
) -> CreatedTask:
    """A task whose private rows are the test rows. Raises TaskError if test lacks a column."""
    names = parts.train.header
    if missing := [name for name in names if name not in parts.test.header]:
        raise TaskError(f"{tables.test}: has no column {missing[0]!r}, which {tables.train.name} has. Add it.")
    table = Columns(names, [[*parts.train.column(name), *parts.test.column(name)] for name in names])
    findings.facts.append(f"the rows of {tables.test_name} have labels, and are the private ones")
    is_private = [False] * len(parts.train) + [True] * len(parts.test)
    return _from_rows(request, tables.train, table, parts.media, findings, say, is_private)


def _from_folder(request: TaskRequest, data: Path, findings: Findings, say: Progress) -> CreatedTask:
    """A task from a folder of files by class, or from one with train, test and sample tables."""
    say(f"looking into {data.name}", 0, 0)
    name = f"{data.absolute().name}-task"
    if (tables := find_tables(data)) is not None:
        return make_from_tables(request, tables, name, findings, say)
    table, media = read_class_folders(data, findings) or refuse_folder(data)
    request = replace(request, target=request.targets or (LABEL,), into=request.into or Path(name))
    return _from_rows(request, data, table, media, findings, say)


def _from_file(request: TaskRequest, data: Path, findings: Findings, say: Progress) -> CreatedTask:
    """A task from one table of labelled rows."""
    say(f"reading {data.name}", 0, 0)
    table = read_table(data, findings, [*request.targets, *filter(None, (request.id, request.group, request.time))])
    if not request.targets:
        has = ", ".join(table.header[:20])
        raise TaskError(f"{data}: name the column to predict with --target. Its columns are: {has}.")
    table, media = find_media(table, data.parent, request.targets, findings)
    return _from_rows(request, data, table, media, findings, say)


def _from_rows(
    request: TaskRequest,
    data: Path,
    table: Columns,
    media: Media,
    findings: Findings,
    say: Progress,
    is_private: Sequence[bool] = (),
) -> CreatedTask:
    """A task from labelled rows, some of whose cells may be paths of files; `is_private` says which rows are private.

    Without it, they are chosen.
    """
    folder = folder_to_make(request.into, _stem(data))
    check_columns(data, table, request)
    say("looking at the columns", 0, 0)
    table, kept, targets = _prepare(request, data, table, findings)
    is_private = [is_private[row] for row in kept] if is_private else ()
    metric = choose_metric(table, targets, request, findings)
    if metric.answers == "binary" and (len(targets) > 1 or metric.needs == "labels"):
        table = number_words(table, targets, request, findings)
    target = form_of(table, targets, metric, request, findings)
    for name, cells in zip(target.predicted, target.cells(table), strict=True):
        check_metric(data, target.labels[0] if target.answer != "same" else name, metric, set(cells))
    table, id_name = _with_ids(request, data, table, target, findings)
    _refuse_clash(data, id_name, target)
    columns = find_types(table, request.types)
    described = {name: column for name, column in columns.items() if name != id_name or request.id}
    describe_types(described, len(table), findings)
    findings.advice += advice_on(table, id_name, described, targets, request)
    say("choosing private rows", 0, 0)
    is_private = private_rows(table, target, metric, request, findings, is_private)
    say("writing the task", 0, 0)
    features = {name: column for name, column in described.items() if name not in target.labels}
    plan = _Plan(request, target, metric, id_name, media, features, is_private)
    _write(folder, plan, table, findings, say)
    return CreatedTask(folder, findings)


@dataclass(frozen=True)
class _Plan:
    """Everything that was decided about a task before its folder is written."""

    request: TaskRequest
    target: Target
    metric: Metric
    id: str
    media: Media
    features: Mapping[str, Column]
    is_private: Sequence[bool]


def _stem(data: Path) -> str:
    """The name of a file without its suffixes, such as `.csv.gz`."""
    name = data.name.partition("!")[0]
    for _ in range(2):
        stem, _, suffix = name.rpartition(".")
        name = stem if stem and 1 < len(suffix) <= 7 and not suffix[0].isdigit() else name
    return name


def check_columns(data: Path, table: Columns, request: TaskRequest) -> None:
    """Refuse a header with repeated, missing or too few names."""
    header = table.header
    if repeated := [column for column, count in Counter(header).items() if count > 1]:
        raise TaskError(f"{data}: {repeated[0]!r} is the name of more than one column. Give each column its own name.")
    options = [("--id", request.id), ("--group", request.group), ("--time", request.time)]
    for option, column in [*(("--target", target) for target in request.targets), *options]:
        if column is not None and column not in header:
            has = ", ".join(header[:20]) or "no columns"
            raise TaskError(f"{data}: {option} {column} is not a column. Its columns are: {has}.")
        if column is not None and option != "--target" and column in request.targets:
            raise TaskError(f"{data}: {option} {column} is a target too. Name another column.")
    if twice := [target for target, count in Counter(request.targets).items() if count > 1]:
        raise TaskError(f"{data}: --target {twice[0]} is given twice. Name each target once.")
    if len(header) == 1:
        raise TaskError(f"{data}: has only the column {header[0]}: there is nothing to predict it from.")


def _prepare(
    request: TaskRequest, data: Path, table: Columns, findings: Findings
) -> tuple[Columns, Sequence[int], tuple[str, ...]]:
    """The labelled rows with corrected types, their numbers in the table, and the target columns."""
    table = apply_types(table, request.types, str(data))
    kept: Sequence[int] = range(len(table))
    if not empty_is_an_answer(request):
        table, kept = keep_labelled(table, request.targets, findings)
    if not len(table):
        raise TaskError(
            f"{data}: no row has a {' and a '.join(request.targets)}. Name another --target. Formulas of a workbook "
            "count once it is saved with their results."
        )
    if len(table) < MIN_ROWS:
        names = " and a ".join(request.targets)
        raise TaskError(f"{data}: {len(table)} rows have a {names}, and at least {MIN_ROWS} are needed.")
    for name in request.targets if request.separator is None and not request.order else ():
        table = same_spelling(table, name, findings) if request.types.get(name) != "category" else table
    table, targets = expand(table, request, findings)
    for name in targets:
        kind = "category" if empty_is_an_answer(request) else request.types.get(name)
        check_target(data, name, table.column(name), findings, kind)
    return table, kept, targets


def _with_ids(
    request: TaskRequest, data: Path, table: Columns, target: Target, findings: Findings
) -> tuple[Columns, str]:
    """The table with an id column: the one named, or a new one of random numbers. An id column is never inferred."""
    if request.id is not None:
        ids = table.column(request.id)
        if len(set(ids)) < len(ids) or "" in ids:
            raise TaskError(f"{data}: the ids in {request.id} repeat or are empty. Leave --id out to get new ids.")
        return table, request.id
    name = ID if ID not in table.header else f"{ID}_new"
    count = len(table)
    numbers = shuffled_indices(9 * count, f"ids: {_secret(table, target)}")[:count]
    findings.guesses.append(f"new ids in {name} (to keep a column of ids, name it with --id)")
    columns = [table.column_at(index) for index in range(len(table.header))]
    return Columns([name, *table.header], [[str(count + number) for number in numbers], *columns]), name


def _secret(table: Columns, target: Target) -> str:
    """A seed from all labels. Whoever knew the seed could find the original rows, whose order may tell their labels."""
    return hash_of_cells(map(table.column, target.labels))


def _refuse_clash(data: Path, id_name: str, target: Target) -> None:
    if id_name in target.predicted:
        raise TaskError(
            f"{data}: a label is called {id_name!r}, like the column of ids. Name another column with --id."
        )


def _write(folder: Path, plan: _Plan, table: Columns, findings: Findings, say: Progress) -> None:
    target = plan.target
    order = shuffled_indices(len(table), f"order: {_secret(table, target)}")
    with new_folder(folder) as draft:
        findings.advice += note_telling_media(table, plan.media, target.labels)
        table, static = copy_media(table, plan.media, order, draft / "public", findings, say)
        train, test = (
            table.take([row for row in order if plan.is_private[row] == private]) for private in (False, True)
        )
        ids, answers = test.column(plan.id), target.cells(test)
        shown = [name for name in table.header if name not in target.labels]
        sample = [[cell] * len(ids) for cell in sample_cells(target, plan.metric, train)]
        (draft / "private").mkdir(mode=0o700)
        tables = {
            "public/train.csv": train,
            "public/test.csv": Columns(shown, [test.column(name) for name in shown]),
            "public/sample_submission.csv": Columns([plan.id, *target.predicted], [ids, *sample]),
            "private/answers.csv": Columns([plan.id, *target.predicted], [ids, *answers]),
        }
        for path, one in tables.items():
            write_columns(draft / path, one)
        more = list(describe_media(draft / "public", plan.media))
        told = keep_true_claims(plan.request, train, test, findings)
        text = describe_task(told, target, plan.metric, plan.features, len(table), more)
        (draft / "description.md").write_text(text, encoding="utf-8")
        sections = task_sections(plan.request, target, plan.metric, plan.id)
        sections["data"] = {"public": "public/", "private": "private/"}
        renumber = renumber_ids(plan.id, train.column(plan.id), ids, findings) if plan.request.id else None
        sections["blend"] = {**sections["blend"], "renumber": renumber, "static": list(static) or None}
        (draft / "task.yaml").write_text(task_yaml({"id": folder.name, **sections}), encoding="utf-8")
