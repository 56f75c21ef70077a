"""Make a task from train, test and sample tables: the answers of the test rows are unknown, so nothing is private."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import TaskError
from tasks.holdout.splitters import MIN_LABELLED, shuffled_indices
from tasks.io.columns import Columns, write_columns
from tasks.io.csv_text import as_number, is_missing
from tasks.io.hashing import hash_of_cells
from tasks.metrics.metric import METRICS, Metric
from tasks.metrics.ranking import reveals_class
from tasks.new_task.advice import advice_on
from tasks.new_task.check_target import check_metric, check_target
from tasks.new_task.choose_metric import choose_metric, empty_is_an_answer
from tasks.new_task.column_types import Column, apply_types, check_times, describe_types, find_types
from tasks.new_task.description import describe_task
from tasks.new_task.find_tables import Tables, note_left_tables
from tasks.new_task.match_tables import Matched, match_tables
from tasks.new_task.media import Media, copy_media, describe_media, note_left_files, note_telling_media
from tasks.new_task.private_rows import keep_true_claims
from tasks.new_task.read_parts import Parts, read_parts, sample_of
from tasks.new_task.request import CreatedTask, Findings, Progress, TaskRequest
from tasks.new_task.sample_cells import sample_cells
from tasks.new_task.targets import Target, form_of, keep_labelled, number_words
from tasks.new_task.write_folder import folder_to_make, new_folder, task_sections, task_yaml

MAX_STEP = 20
"""Every second to every twentieth row may be a test row."""


@dataclass(frozen=True)
class Origin:
    """Where the tables come from: Kaggle's name of the competition (empty: not from there), title and description."""

    kaggle: str = ""
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class _Plan:
    """Everything that was decided about a task before its folder is written."""

    request: TaskRequest
    read: Matched
    target: Target
    metric: Metric
    features: Mapping[str, Column]
    media: Media
    origin: Origin


def make_from_tables(
    request: TaskRequest,
    tables: Tables,
    name: str,
    findings: Findings,
    say: Progress,
    parts: Parts | None = None,
    origin: Origin = Origin(),
) -> CreatedTask:
    """Make a task folder called like `name`; `parts` are the tables, if they are read already. Raises TaskError."""
    folder = folder_to_make(request.into, name)
    parts = parts or read_parts(request, tables, findings, say)
    sample = parts.sample or sample_of(request, parts.test, parts.labels(request))
    read = match_tables(request, tables, parts.train, parts.test, sample, findings)
    request = _with_id_name(request, read)
    say("looking at the columns", 0, 0)
    read = _prepare(request, tables, read, findings)
    metric, target, train = _metric_and_form(request, read, parts.sample is None, findings)
    for label, cells in zip(target.predicted, target.cells(train), strict=True):
        check_metric(tables.train, label, metric, set(cells))
    columns = find_types(train, request.types)
    describe_types({one: column for one, column in columns.items() if one != read.id}, len(train), findings)
    features = {one: column for one, column in columns.items() if one in read.test.header and one != read.id}
    findings.facts.append(f"{len(read.test):,} rows are to be predicted, whose answers are not there")
    findings.advice += advice_on(train, read.id, features, read.labels, request)
    findings.advice += [] if parts.media.kinds else note_left_files(tables.train.parent)
    findings.advice += note_left_tables(tables)
    read = replace(read, train=train, predicted=target.predicted)
    read = replace(read, sample=_valid_sample(read, target, metric, findings))
    say("writing the task", 0, 0)
    _write(folder, _Plan(request, read, target, metric, features, parts.media, origin), findings, say)
    return CreatedTask(folder, findings)


def _prepare(request: TaskRequest, tables: Tables, read: Matched, findings: Findings) -> Matched:
    """The tables with corrected types and labelled training rows only. Raises TaskError."""
    train, test = _with_types(request, tables, read)
    if not empty_is_an_answer(request):
        train, _ = keep_labelled(train, read.labels, findings)
    if len(train) < MIN_LABELLED:
        raise TaskError(f"{tables.train}: {len(train)} rows have labels, and at least {MIN_LABELLED} are needed.")
    for label in read.labels:
        kind = "category" if empty_is_an_answer(request) else request.types.get(label)
        check_target(tables.train, label, train.column(label), findings, kind)
    if request.time:
        check_times(train.column(request.time), request.time, str(tables.train))
    return replace(read, train=train, test=test)


def _with_types(request: TaskRequest, tables: Tables, read: Matched) -> tuple[Columns, Columns]:
    """Train and test with corrected types; a column of both is rewritten in the same way."""
    train, test = read.train, read.test
    apply_types(train.take([]), request.types, str(tables.train))  # refuses names that are not columns
    for name, kind in request.types.items():
        both = [*train.column(name), *(test.column(name) if name in test.header else ())]
        cells = apply_types(Columns([name], [both]), {name: kind}, str(tables.train)).column(name)
        train = train.with_column(name, cells[: len(train)])
        test = test.with_column(name, cells[len(train) :]) if name in test.header else test
    return train, test


def _with_id_name(request: TaskRequest, read: Matched) -> TaskRequest:
    """The request with the sample's name of the id, where --group or --time names it as train does."""
    group, time = (
        read.id if name and name not in read.train.header else name for name in (request.group, request.time)
    )
    return replace(request, group=group, time=time)


# ------------------------------------------------------------------------------------------------------ metric and form


def _metric_and_form(
    request: TaskRequest, read: Matched, is_own_sample: bool, findings: Findings
) -> tuple[Metric, Target, Columns]:
    """The metric, how labels become cells of the sample, and the training rows, with 0 and 1 where it needs them.

    A sample of ours gets the columns that the metric needs.
    """
    train = read.train
    if len(read.labels) == 1 and len(read.predicted) > 1:
        guess = "log_loss, because the sample has a column for each class"
        metric = choose_metric(train, read.labels, request, findings) if request.metric else METRICS["log_loss"]
        if not request.metric:
            findings.guesses.append(f"metric {guess} (choose another with --metric)")
        unknown = sorted(set(train.column(read.labels[0])) - set(read.predicted))
        if unknown:
            raise TaskError(
                f"the labels of {read.labels[0]} ({', '.join(unknown[:6])}) are not the columns of the sample "
                f"({', '.join(read.predicted[:6])}). Name another --target, or the sample that belongs to train."
            )
        _note_missing_classes(read, metric, findings)
        return metric, Target(read.labels, read.predicted, "onehot"), train
    if len(read.labels) != len(read.predicted):
        raise TaskError(
            f"{len(read.labels)} targets are named, and the sample has {len(read.predicted)} columns for them."
        )
    words = set(read.sample.column(read.predicted[0])) - {""}
    if request.metric is None and len(read.labels) == 1 and _are_labels(train.column(read.labels[0]), words):
        metric = METRICS["accuracy"]
        findings.guesses.append("metric accuracy, because the sample has labels (choose another with --metric)")
    else:
        metric = choose_metric(train, read.labels, request, findings)
    request = _with_positive(request, metric, train, read)
    if metric.answers == "binary" and (len(read.labels) > 1 or metric.needs == "labels"):
        train = number_words(train, read.labels, request, findings)
    target = form_of(train, read.labels, metric, request, findings)
    if is_own_sample:
        return metric, target, train
    if target.answer == "onehot":
        raise TaskError(
            f"--metric {metric.name} needs a column for each label of {read.labels[0]}, and the sample has one column."
        )
    return metric, replace(target, predicted=read.predicted), train


def _note_missing_classes(read: Matched, metric: Metric, findings: Findings) -> None:
    """A fact about columns of the sample whose class no training row has. Raises TaskError if they cannot be scored."""
    present = set(read.train.column(read.labels[0]))
    missing = [name for name in read.predicted if name not in present]
    if missing and metric.needs_varied_answers:
        raise TaskError(
            f"no training row has the class of the sample's column {missing[0]!r}, and {metric.name} needs rows with "
            "and without each. Choose another --metric, such as log_loss."
        )
    if missing:
        findings.facts.append(f"no training row has the class of {', '.join(missing[:6])}, columns of the sample")


def _with_positive(request: TaskRequest, metric: Metric, train: Columns, read: Matched) -> TaskRequest:
    """The request with the label that the sample's column is called like, as `spam` of the labels spam and ham."""
    kinds = set(train.column(read.labels[0]))
    if request.positive is not None or metric.answers != "binary" or len(read.labels) > 1 or len(kinds) != 2:
        return request
    words = re.split(r"[\W_]+", read.predicted[0].casefold())
    called = [kind for kind in kinds if as_number(kind) is None and kind.casefold() in words]
    return replace(request, positive=called[0]) if len(called) == 1 else request


def _are_labels(cells: Sequence[str], shown: set[str]) -> bool:
    """Whether the sample shows both labels of two, or words: then labels are asked for, and no probabilities."""
    kinds = set(cells)
    known = {cell for cell in shown if not is_missing(cell)}
    return len(kinds) == 2 and bool(known) and known <= kinds and (len(known) == 2 or as_number(min(known)) is None)


def _valid_sample(read: Matched, target: Target, metric: Metric, findings: Findings) -> Columns:
    """The sample, with cells that the metric accepts: it is the first submission of every run."""
    sample = read.sample
    if missing := [name for name in target.predicted if name not in sample.header]:  # ours, which has no classes yet
        sample = Columns([read.id, *missing], [sample.column(read.id), *([""] * len(sample) for _ in missing)])
    defaults = sample_cells(target, metric, read.train)
    for name, default in zip(target.predicted, defaults, strict=True):
        cells = sample.column(name)
        bad = [
            cell for cell in set(cells) if is_missing(cell) or (metric.needs != "labels" and as_number(cell) is None)
        ]
        if bad:
            sample = sample.with_column(name, [default if cell in bad else cell for cell in cells])
            rows = sum(cell in bad for cell in cells)
            findings.facts.append(
                f"the sample submission got {default} in {name} of {rows:,} rows without a prediction"
            )
    return sample


def renumber_ids(
    name: str, train_ids: Sequence[str], test_ids: Sequence[str], findings: Findings
) -> dict[str, object] | None:
    """New ids for the rows to predict where the old ones tell held-out rows from test rows."""
    if not _tell_apart(train_ids, test_ids):
        return None
    findings.facts.append(
        f"{name} tells training rows from test rows: a run shows other ids, and submits the real ones"
    )
    return {name: "{i}", "start": 1}


def _tell_apart(train_ids: Sequence[str], test_ids: Sequence[str]) -> bool:
    """Whether the order of ids, their length or a remainder (every fifth row) says which are of test."""
    ids = [(name, False) for name in train_ids] + [(name, True) for name in test_ids]
    numbers = [as_number(name) for name, _ in ids]
    are_numbers = all(number is not None for number in numbers)
    order = sorted(range(len(ids)), key=lambda row: (numbers[row] or 0) if are_numbers else ids[row][0])
    if reveals_class([ids[row][1] for row in order]) or {*map(len, train_ids)}.isdisjoint(map(len, test_ids)):
        return True
    ends = [re.search(r"(\d{1,15})\D*$", name) for name, _ in ids]
    last = [int(end[1]) if end else 0 for end in ends]
    return any(
        {number % step for number in last[: len(train_ids)]}.isdisjoint(
            number % step for number in last[len(train_ids) :]
        )
        for step in range(2, MAX_STEP + 1)
    )


# -------------------------------------------------------------------------------------------------------------- writing


def _write(folder: Path, plan: _Plan, findings: Findings, say: Progress) -> None:
    read, request = plan.read, plan.request
    with new_folder(folder) as draft:
        train, test, static = _copy_files(plan, draft / "public", findings, say)
        for file, table in (("train", train), ("test", test), ("sample_submission", read.sample)):
            write_columns(draft / f"public/{file}.csv", table)
        more = list(describe_media(draft / "public", plan.media))
        told = keep_true_claims(request, train, test, findings)
        text = describe_task(told, plan.target, plan.metric, plan.features, len(train), more)
        (draft / "description.md").write_text(_head(plan.origin) + text, encoding="utf-8")
        sections = {"title": plan.origin.title or None, **task_sections(request, plan.target, plan.metric, read.id)}
        renumber = renumber_ids(read.id, train.column(read.id), test.column(read.id), findings)
        sections["blend"] = {**sections["blend"], "renumber": renumber, "static": static or None}
        text = task_yaml({"id": folder.name, **sections, "kaggle": plan.origin.kaggle or None})
        (draft / "task.yaml").write_text(text, encoding="utf-8")


def _copy_files(
    plan: _Plan, public: Path, findings: Findings, say: Progress
) -> tuple[Columns, Columns, tuple[str, ...]]:
    """Train and test with the new paths of their files, whose names do not tell in which of both they are."""
    train, test, names = plan.read.train, plan.read.test, list(plan.media.kinds)
    if not names:
        return train, test, ()
    findings.advice += note_telling_media(train, plan.media, plan.target.labels)
    both = Columns(names, [[*train.column(name), *test.column(name)] for name in names])
    order = shuffled_indices(len(both), f"order of files: {hash_of_cells(map(train.column, plan.target.labels))}")
    copied, static = copy_media(both, plan.media, order, public, findings, say)
    for name in names:
        cells = copied.column(name)
        train, test = train.with_column(name, cells[: len(train)]), test.with_column(name, cells[len(train) :])
    return train, test, static


def _head(origin: Origin) -> str:
    parts = [f"# {origin.title}" if origin.title else "", origin.description.strip()]
    return "".join(f"{part}\n\n" for part in parts if part)
