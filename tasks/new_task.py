"""Make a task from one table: private rows, a description to complete, a `blend:` section, and the assumptions made."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.config.schema import ID_PATTERN
from tasks.errors import TaskError
from tasks.holdout.splitters import (
    Folds,
    TooFewRows,
    assign_folds,
    assign_group_folds,
    choose_fold_count,
    shuffled_indices,
)
from tasks.io.csv_text import Row, as_number, is_missing, write_rows
from tasks.metrics.registry import METRICS
from tasks.new_task_checks import can_be_scored, check_columns, check_metric, check_target, read_table

PRIVATE_FOLDS = 4
"""One of this many folds becomes private."""
MIN_ROWS = 80
MAX_CLASSES = 20
ID = "row_id"
RARE_ROWS = 10
"""With fewer private rows of a class than this, chance dominates the score."""


@dataclass(frozen=True)
class TaskRequest:
    """The user's request; None means the value is inferred. `into` is the folder to make."""

    data: Path
    target: str
    into: Path | None = None
    id: str | None = None
    metric: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class CreatedTask:
    """The folder that was made, and sentences about what was inferred."""

    folder: Path
    assumptions: tuple[str, ...]


def make_task(request: TaskRequest) -> CreatedTask:
    """Make a task folder from a table; it appears complete, by rename. Raises TaskError."""
    if request.metric is not None and request.metric not in METRICS:
        raise TaskError(f"--metric {request.metric} does not exist. Write one of: {', '.join(METRICS)}.")
    header, rows = read_table(request.data, request.target)
    check_columns(request.data, header, {"--target": request.target, "--id": request.id, "--group": request.group})
    assumptions: list[str] = []
    target_at = header.index(request.target)
    is_empty = _emptiness([row[target_at] for row in rows])
    labelled = [row for row, empty in zip(rows, is_empty, strict=True) if not empty]
    if len(labelled) < len(rows):
        words = sorted({row[target_at].strip() for row, empty in zip(rows, is_empty, strict=True) if empty} - {""})
        which = f" or {', '.join(words)}" if words else ""
        assumptions.append(f"left out {len(rows) - len(labelled)} rows whose {request.target} is empty{which}")
    if len(labelled) < MIN_ROWS:
        raise TaskError(
            f"{request.data}: {len(labelled)} rows have a {request.target}, and at least {MIN_ROWS} are needed."
        )
    folder = _folder_to_make(request)
    kinds = {row[target_at].strip() for row in labelled}
    check_target(request.data, request.target, kinds)
    metric = request.metric or _infer_metric([row[target_at] for row in labelled], request.target, assumptions)
    check_metric(request.data, request.target, metric, kinds)
    header, labelled, name = _with_ids(request, header, labelled, assumptions)
    assumptions += _advice(request, header, labelled, name)
    is_private = _split(request, metric, header, labelled, assumptions)
    _write_folder(request, folder, metric, header, labelled, name, is_private)
    return CreatedTask(folder, tuple(assumptions))


def _emptiness(cells: Sequence[str]) -> list[bool]:
    """Which cells have no label: empty ones, and in a column of numbers also the words for missing values."""
    is_missing_word = [is_missing(cell) for cell in cells]
    others = {cell for cell, missing in zip(cells, is_missing_word, strict=True) if not missing}
    are_numbers = bool(others) and all(as_number(cell) is not None for cell in others)
    return is_missing_word if are_numbers else [not cell.strip() for cell in cells]


def _folder_to_make(request: TaskRequest) -> Path:
    folder = request.into or Path(re.sub(r"[^A-Za-z0-9._-]+", "-", request.data.stem).strip("-._") or "task")
    if folder.exists():
        raise TaskError(f"{folder}: already exists. Remove it, or name another folder with --into.")
    if not re.match(ID_PATTERN, folder.name):
        raise TaskError(
            f"{folder}: the folder's name is the task id. With --into, name one of letters, digits, '.', '_' and '-'."
        )
    return folder


def _infer_metric(cells: Sequence[str], target: str, assumptions: list[str]) -> str:
    classes = Counter(cell.strip() for cell in cells)
    numbers = all(as_number(cell) is not None for cell in classes)
    if numbers and {as_number(cell) for cell in classes} == {0, 1}:
        metric, reason = "roc_auc", "is 0 or 1"
    elif numbers and len(classes) > MAX_CLASSES:
        metric, reason = "rmse", f"has {len(classes)} different numbers"
    else:
        metric, reason = "accuracy", f"has {len(classes)} classes"
        if len(classes) > len(cells) / 2:
            assumptions.append(f"{target} is text with few repeated values: most classes cannot be predicted")
    assumptions.append(f"metric {metric}, because {target} {reason} (choose another with --metric)")
    return metric


def _with_ids(
    request: TaskRequest, header: Row, rows: Sequence[Row], assumptions: list[str]
) -> tuple[Row, list[Row], str]:
    """The table with an id column: the one named, or a new one of random numbers. An id column is never inferred."""
    if request.id is not None:
        ids = [row[header.index(request.id)] for row in rows]
        if len(set(ids)) < len(ids) or "" in ids:
            raise TaskError(
                f"{request.data}: the ids in {request.id} repeat or are empty. Leave --id out to get new ids."
            )
        return header, list(rows), request.id
    name = ID if ID not in header else f"{ID}_new"
    numbers = shuffled_indices(9 * len(rows), f"ids of {request.data.stem}")
    assumptions.append(f"new ids in {name} (to keep a column of ids, name it with --id)")
    return [name, *header], [[str(len(rows) + numbers[index]), *row] for index, row in enumerate(rows)], name


def _advice(request: TaskRequest, header: Row, rows: Sequence[Row], ids: str) -> list[str]:
    """Hints about columns that may matter for the split; nothing is changed."""
    hints = []
    if len(header) < 3:
        hints.append(f"there is no column to predict {request.target} from")
    copies = len(rows) - len(
        {tuple(cell for cell, name in zip(row, header, strict=True) if name != ids) for row in rows}
    )
    if copies:
        hints.append(f"{copies} rows are copies of others, and copies may end up on both sides of a split")
    for index, name in enumerate(header):
        cells = [row[index] for row in rows]
        if all(re.match(r"\d{4}[-/]\d{2}", cell) for cell in cells[:100]) and name != request.target:
            hints.append(
                f"{name} looks like a time; if the model will predict later rows, add `time: {name}` to blend.split"
            )
        count = len(set(cells))
        if (
            request.group is None
            and 20 < count <= len(cells) / 2
            and as_number(cells[0]) is None
            and name != request.target
        ):
            hints.append(f"{name} has repeated values; if rows with one value belong together, use --group {name}")
    return hints


def _split(request: TaskRequest, metric: str, header: Row, rows: Sequence[Row], assumptions: list[str]) -> list[bool]:
    """Which rows become private. Raises TaskError if a run could then not hold out or score any of the others."""
    labels = [row[header.index(request.target)] for row in rows]
    groups = [row[header.index(request.group)] for row in rows] if request.group else None
    try:
        is_private = [fold == 0 for fold in _folds(labels, groups, PRIVATE_FOLDS, _seed(request))]
        left = [row for row, private in enumerate(is_private) if not private]
        rest = [labels[row] for row in left]
        left_groups = groups and [groups[row] for row in left]
        folds = _folds(rest, left_groups, choose_fold_count(len(rest)), "0:held out")
    except TooFewRows:
        raise TaskError(
            f"{request.data}: the groups in {request.group} are too few or too large: some groups become private, and "
            "runs hold out some of the others. Name another column with --group, or leave it out."
        ) from None
    private = [label for label, kept in zip(labels, is_private, strict=True) if kept]
    held: dict[int, list[str]] = defaultdict(list)
    for label, fold in zip(rest, folds, strict=True):
        if fold is not None:
            held[fold].append(label)
    if not all(can_be_scored(metric, cells) for cells in (private, *held.values())):
        raise TaskError(f"{request.data}: {_too_rare(request, metric, labels, len(held))}")
    assumptions += _note_rare_class(request.target, labels, private)
    return is_private


def _folds(labels: Sequence[str], groups: Sequence[str] | None, count: int, seed: str) -> Folds:
    """The fold of each row, assigned as in a run."""
    return (
        assign_group_folds(groups, labels, count, seed) if groups else assign_folds(labels, count, seed, stratify=True)
    )


def _seed(request: TaskRequest) -> str:
    return f"private rows of {request.data.stem}"


def _too_rare(request: TaskRequest, metric: str, labels: Sequence[str], fold_count: int) -> str:
    label, count = Counter(labels).most_common()[-1]
    where = f"in only {count} rows" if not request.group else f"in {count} rows, in too few groups of {request.group}"
    return (
        f"{request.target} is {label!r} {where}. {metric} needs different answers among the private rows and in "
        f"each of the {fold_count} folds of the others. Add rows of this class, or choose another --metric."
    )


def _note_rare_class(target: str, labels: Sequence[str], private: Sequence[str]) -> list[str]:
    """A note about a class with very few private rows."""
    classes = Counter(labels)
    if len(classes) > MAX_CLASSES:
        return []
    label = min(classes, key=lambda label: (private.count(label), label))
    few, total = private.count(label), len(private)
    note = f"{target} is {label!r} in only {few} of the {total} private rows: chance dominates the score"
    return [note] if few < RARE_ROWS else []


def _write_folder(
    request: TaskRequest, folder: Path, metric: str, header: Row, rows: list[Row], name: str, is_private: Sequence[bool]
) -> None:
    target_at, id_at = header.index(request.target), header.index(name)
    indices = shuffled_indices(len(rows), f"{_seed(request)}: order")  # the original order may reveal the target
    test, train = ([rows[index] for index in indices if is_private[index] == private] for private in (True, False))
    sample = _sample(metric, [row[target_at] for row in train])
    tables = {
        "public/train.csv": [header, *train],
        "public/test.csv": [[cell for index, cell in enumerate(row) if index != target_at] for row in [header, *test]],
        "public/sample_submission.csv": [[name, request.target], *([row[id_at], sample] for row in test)],
        "private/answers.csv": [[name, request.target], *([row[id_at], row[target_at]] for row in test)],
    }
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    try:
        for path, table in tables.items():
            (draft / path).parent.mkdir(exist_ok=True, mode=0o700 if "private" in path else 0o755)
            write_rows(draft / path, table)
        (draft / "description.md").write_text(_description(request, metric), encoding="utf-8")
        (draft / "task.yaml").write_text(_yaml(request, folder.name, metric, name), encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(folder.absolute())
    except OSError as error:
        raise TaskError(f"{folder}: cannot be written ({error.strerror}). Name another folder with --into.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sample(metric: str, cells: Sequence[str]) -> str:
    if METRICS[metric].needs == "labels":
        return Counter(cells).most_common(1)[0][0]
    return (
        "0.5"
        if METRICS[metric].needs == "scores"
        else sorted(cells, key=lambda cell: (len(cell), cell))[len(cells) // 2]
    )


def _description(request: TaskRequest, metric: str) -> str:
    return (
        f"# {request.target}\n\nPredict `{request.target}` for every row of `test.csv`. `train.csv` contains it.\n\n"
        f"Scored by {metric}: {METRICS[metric].doc}\n\n"
        "<!-- Describe what the columns mean and what the task is for. -->\n"
    )


def _yaml(request: TaskRequest, id: str, metric: str, name: str) -> str:
    quoted = {
        key: _quoted(text) for key, text in (("id", name), ("target", request.target), ("group", request.group or ""))
    }
    split = f"{{group: {quoted['group']}}}" if request.group else "{stratify: true}"
    return f"""id: {id}
description: description.md
metric: {metric}
data: {{public: public/, private: private/}}
submission: {{sample: public/sample_submission.csv, id: {quoted["id"]}, target: {quoted["target"]}}}
labels: {{file: public/train.csv, id: {quoted["id"]}, target: {quoted["target"]}}}
blend: {{test: public/test.csv, answer: same, split: {split}, plan: auto}}
"""


def _quoted(text: str) -> str:
    """A column's name as a quoted YAML string."""
    return json.dumps(text, ensure_ascii=False)
