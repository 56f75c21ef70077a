"""Make a task from train, test and sample tables: the answers of the test rows are unknown, so nothing is private."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.errors import TaskError
from tasks.holdout.splitters import MIN_LABELLED, shuffled_indices
from tasks.io.columns import Columns, write_columns
from tasks.io.csv_text import as_number, is_missing
from tasks.metrics.metric import METRICS, Metric
from tasks.metrics.ranking import reveals_class
from tasks.new_task.advice import advice_on
from tasks.new_task.choose_metric import check_metric, check_target, choose_metric, empty_is_an_answer
from tasks.new_task.column_types import apply_types, check_times, describe_types, find_types
from tasks.new_task.description import describe_task
from tasks.new_task.find_tables import Tables
from tasks.new_task.media import note_left_files
from tasks.new_task.read_data import read_table
from tasks.new_task.request import CreatedTask, Findings, Progress, TaskRequest
from tasks.new_task.sample_cells import sample_cells
from tasks.new_task.targets import Target, form_of, keep_labelled, number_words
from tasks.new_task.write_folder import folder_to_make, new_folder, task_sections, task_yaml


@dataclass(frozen=True)
class Origin:
    """Where the tables come from: Kaggle's name of the competition (empty: not from there), title and description."""

    kaggle: str = ""
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class _Read:
    """The three tables, the id column, and the label columns with those that are predicted."""

    train: Columns
    test: Columns
    sample: Columns
    id: str
    labels: tuple[str, ...]
    predicted: tuple[str, ...]


def make_from_tables(
    request: TaskRequest, tables: Tables, name: str, say: Progress, origin: Origin = Origin()
) -> CreatedTask:
    """Make a task folder called like `name`. Raises TaskError."""
    findings = Findings()
    folder = folder_to_make(request.into, name)
    train, test, sample = _read(request, tables, findings, say)
    read = _match(request, tables, train, test, sample, findings)
    say("looking at the columns", 0, 0)
    train = apply_types(read.train, request.types, str(tables.train))
    if not empty_is_an_answer(request):
        train = keep_labelled(train, read.labels, findings)
    if len(train) < MIN_LABELLED:
        raise TaskError(f"{tables.train}: {len(train)} rows have labels, and at least {MIN_LABELLED} are needed.")
    for label in read.labels:
        check_target(tables.train, label, train.column(label), findings, request.types.get(label))
    metric, target, train = _metric_and_form(request, train, read, findings)
    shown = target.cells(train)
    for label, cells in zip(target.predicted, shown, strict=True):
        check_metric(tables.train, label, metric, set(cells))
    read = replace(read, train=train)
    columns = find_types(train, request.types)
    describe_types({one: column for one, column in columns.items() if one != read.id}, len(train), findings)
    features = {one: column for one, column in columns.items() if one in read.test.header and one != read.id}
    findings.facts.append(f"{len(read.test):,} rows are to be predicted, whose answers are not there")
    findings.advice += advice_on(train, read.id, {**features}, read.labels, request)
    findings.advice += note_left_files(tables.train.parent)
    renumber = _renumbering(read, findings)
    if request.time:
        check_times(train.column(request.time), request.time, str(tables.train))
    say("writing the task", 0, 0)
    sample = _valid_sample(read, target, metric, findings)
    with new_folder(folder) as draft:
        for file, table in (("train", train), ("test", read.test), ("sample_submission", sample)):
            write_columns(draft / f"public/{file}.csv", table)
        text = describe_task(request, target, metric, features, len(train))
        (draft / "description.md").write_text(_head(origin) + text, encoding="utf-8")
        sections = {"title": origin.title or None, **task_sections(request, target, metric, read.id)}
        sections["blend"] = {**sections["blend"], "renumber": renumber}
        text = task_yaml({"id": folder.name, **sections, "kaggle": origin.kaggle or None})
        (draft / "task.yaml").write_text(text, encoding="utf-8")
    return CreatedTask(folder, findings)


def _read(request: TaskRequest, tables: Tables, findings: Findings, say: Progress) -> list[Columns]:
    read = []
    for path in tables.paths:
        say(f"reading {path.name}", 0, 0)
        read.append(read_table(path, findings))
    for path, table in zip(tables.paths, read, strict=True):
        if len(set(table.header)) < len(table.header):
            twice = next(name for name in table.header if table.header.count(name) > 1)
            raise TaskError(f"{path}: {twice!r} is the name of more than one column. Give each column its own name.")
    for option, column in (("--group", request.group), ("--time", request.time)):
        if column is not None and column not in read[0].header:
            raise TaskError(f"{tables.train}: {option} {column} is not a column of it.")
    return read


# ------------------------------------------------------------------------------------------- which column is what


def _match(
    request: TaskRequest, tables: Tables, train: Columns, test: Columns, sample: Columns, findings: Findings
) -> _Read:
    """Find ids, labels and predicted columns. Raises TaskError for tables that do not fit together."""
    id_name = request.id or sample.header[0]
    test = _numbered(sample, test, id_name, tables, findings)
    if id_name not in sample.header or id_name not in test.header:
        raise TaskError(
            f"{tables.sample}: its first column {sample.header[0]!r} is no column of {tables.test.name}, so it is not "
            "the id. Name the id, which both have, with --id."
        )
    ids, wanted = sample.column(id_name), test.column(id_name)
    if len(set(ids)) < len(ids):
        raise TaskError(
            f"{tables.sample}: ids in {id_name} repeat. Rows with several predictions need a `blend:` section."
        )
    if set(ids) != set(wanted) or len(ids) != len(wanted):
        raise TaskError(
            f"{tables.sample}: has {len(ids):,} ids and {tables.test.name} {len(wanted):,}; they must be the same. "
            "Name the sample that belongs to this test table with --sample."
        )
    predicted = tuple(name for name in sample.header if name != id_name)
    train = _with_id(train, test, id_name, findings)
    labels = _labels(request, tables, train, test, id_name, predicted)
    features = set(train.header) - set(labels)
    if extra := [name for name in test.header if name not in features]:
        raise TaskError(
            f"{tables.test}: its column {extra[0]!r} is no feature of {tables.train.name}. Remove it, or name the "
            "tables that belong together."
        )
    if unused := [name for name in train.header if name not in (*test.header, *labels)]:
        findings.facts.append(f"only training rows have {', '.join(unused[:8])}")
    findings.guesses.append(f"ids are in {id_name}, labels in {', '.join(labels[:8])}")
    return _Read(train, test, sample, id_name, labels, predicted)


def _numbered(sample: Columns, test: Columns, id_name: str, tables: Tables, findings: Findings) -> Columns:
    """The test table with the ids of the sample, where these only count its rows."""
    if id_name in test.header or id_name not in sample.header or len(sample) != len(test):
        return test
    ids = sample.column(id_name)
    start = as_number(ids[0])
    counts = start in (0, 1) and all(as_number(cell) == number for number, cell in enumerate(ids, int(start or 0)))
    if not counts or any(set(test.column(name)) == set(ids) for name in test.header):
        return test
    findings.guesses.append(f"{tables.test.name} has no {id_name}: its rows are in the order of the sample")
    return Columns([id_name, *test.header], [ids, *(test.column(name) for name in test.header)])


def _with_id(train: Columns, test: Columns, id_name: str, findings: Findings) -> Columns:
    """The training table with ids: its own, or new ones that no row to predict has."""
    if id_name in train.header:
        return train
    count, taken = len(train), set(test.column(id_name))
    numbers = [str(number) for number in range(1, count + len(taken) + 1) if str(number) not in taken][:count]
    order = shuffled_indices(count, f"ids of {id_name}")
    findings.facts.append(f"training rows have no {id_name}: they got new ones")
    columns = [train.column(name) for name in train.header]
    return Columns([id_name, *train.header], [[numbers[place] for place in order], *columns])


def _labels(
    request: TaskRequest, tables: Tables, train: Columns, test: Columns, id_name: str, predicted: Sequence[str]
) -> tuple[str, ...]:
    """The label columns: those that are named, those of the sample, or the one that only training rows have."""
    known = set(train.header) - {id_name}
    if request.targets:
        if missing := [name for name in request.targets if name not in known]:
            raise TaskError(f"{tables.train}: --target {missing[0]} is not a column of it.")
        return request.targets
    if set(predicted) <= known:
        return tuple(predicted)
    only = [name for name in train.header if name in known and name not in test.header]
    fitting = [name for name in only if len(predicted) == 1 or {*map(str.strip, train.column(name))} <= set(predicted)]
    if len(fitting) == 1:
        return (fitting[0],)
    raise TaskError(
        f"{tables.sample}: its columns {', '.join(predicted[:6])} are not in {tables.train.name}, and it cannot be "
        f"told which column has the labels ({', '.join(only[:8]) or 'test has all of them'}). Name it with --target."
    )


# ------------------------------------------------------------------------------------------------------ metric and form


def _metric_and_form(
    request: TaskRequest, train: Columns, read: _Read, findings: Findings
) -> tuple[Metric, Target, Columns]:
    """The metric, how labels become cells of the sample, and the training rows, with 0 and 1 where it needs them."""
    if len(read.labels) == 1 and len(read.predicted) > 1:
        guess = "log_loss, because the sample has a column for each class"
        metric = choose_metric(train, read.labels, request, findings) if request.metric else METRICS["log_loss"]
        if not request.metric:
            findings.guesses.append(f"metric {guess} (choose another with --metric)")
        unknown = sorted(set(train.column(read.labels[0])) - set(read.predicted))
        if unknown:
            raise TaskError(
                f"the label {unknown[0]!r} of {read.labels[0]} is no column of the sample. Name another --target."
            )
        return metric, Target(read.labels, read.predicted, "onehot"), train
    if len(read.labels) != len(read.predicted):
        raise TaskError(
            f"{len(read.labels)} targets are named, and the sample has {len(read.predicted)} columns for them."
        )
    words = set(read.sample.column(read.predicted[0]))
    if request.metric is None and len(read.labels) == 1 and _are_labels(train.column(read.labels[0]), words):
        metric = METRICS["accuracy"]
        findings.guesses.append("metric accuracy, because the sample has labels (choose another with --metric)")
    else:
        metric = choose_metric(train, read.labels, request, findings)
    if metric.answers == "binary" and (len(read.labels) > 1 or metric.needs == "labels"):
        train = number_words(train, read.labels, request, findings)
    target = form_of(train, read.labels, metric, request, findings)
    if target.answer == "onehot":
        raise TaskError(
            f"--metric {metric.name} needs a column for each label of {read.labels[0]}, and the sample has one column."
        )
    return metric, replace(target, predicted=read.predicted), train


def _are_labels(cells: Sequence[str], shown: set[str]) -> bool:
    """Whether the sample shows both labels of two, or words: then labels are asked for, and no probabilities."""
    kinds = set(cells)
    known = {cell for cell in shown if not is_missing(cell)}
    return len(kinds) == 2 and bool(known) and known <= kinds and (len(known) == 2 or as_number(min(known)) is None)


def _valid_sample(read: _Read, target: Target, metric: Metric, findings: Findings) -> Columns:
    """The sample, with cells that the metric accepts: it is the first submission of every run."""
    sample = read.sample
    defaults = sample_cells(target, metric, read.train)
    for name, default in zip(target.predicted, defaults, strict=True):
        cells = sample.column(name)
        bad = [
            cell for cell in set(cells) if is_missing(cell) or (metric.needs != "labels" and as_number(cell) is None)
        ]
        if bad:
            sample = sample.with_column(name, [default if cell in bad else cell for cell in cells])
            findings.facts.append(f"the sample has no prediction in {name} of some rows: they got {default}")
    return sample


def _renumbering(read: _Read, findings: Findings) -> dict[str, object] | None:
    """New ids for the rows to predict where the old ones tell held-out rows from test rows."""
    ids = [(name, False) for name in read.train.column(read.id)] + [(name, True) for name in read.test.column(read.id)]
    numbers = [as_number(name) for name, _ in ids]
    if all(number is not None for number in numbers):
        order = sorted(range(len(ids)), key=lambda row: numbers[row] or 0)
    else:
        order = sorted(range(len(ids)), key=lambda row: ids[row][0])
    if not reveals_class([ids[row][1] for row in order]):
        return None
    findings.facts.append(
        f"{read.id} tells training rows from test rows: a run shows other ids, and submits the real ones"
    )
    return {read.id: "{i}", "start": 1}


# -------------------------------------------------------------------------------------------------------------- writing


def _head(origin: Origin) -> str:
    parts = [f"# {origin.title}" if origin.title else "", origin.description.strip()]
    return "".join(f"{part}\n\n" for part in parts if part)
