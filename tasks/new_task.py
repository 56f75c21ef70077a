"""A task made of one table: private rows split off, a description to fill in, a recipe for the blend; and what was
guessed on the way."""

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
from tasks.config.yaml_with_lines import TaskError
from tasks.holdout.splitters import Folds, TooFewRows, assign_folds, assign_group_folds, choose_fold_count, order
from tasks.io.csv_text import Row, as_number, write_rows
from tasks.metrics.registry import METRICS
from tasks.new_task_checks import can_be_scored, check_columns, check_metric, check_target, read_table

SHARE = 4
"""One of so many parts of the rows becomes private."""
FEWEST = 80
CLASSES = 20
ID = "row_id"
FEW = 10
"""A class with fewer private rows than this makes a score that is mostly chance."""


@dataclass(frozen=True)
class TaskRequest:
    """What was asked for; None where it is to be guessed. `into` is the folder to make."""

    data: Path
    target: str
    into: Path | None = None
    id: str | None = None
    metric: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class CreatedTask:
    """The folder that was made, and sentences about what was guessed."""

    folder: Path
    guesses: tuple[str, ...]


def make_task(wish: TaskRequest) -> CreatedTask:
    """Make a task folder of a table; it appears whole. Raises TaskError."""
    if wish.metric is not None and wish.metric not in METRICS:
        raise TaskError(f"--metric {wish.metric} does not exist. Write one of: {', '.join(METRICS)}.")
    header, rows = read_table(wish.data, wish.target)
    check_columns(wish.data, header, {"--target": wish.target, "--id": wish.id, "--group": wish.group})
    guesses: list[str] = []
    at = header.index(wish.target)
    known = [row for row in rows if row[at].strip()]
    if len(known) < len(rows):
        guesses.append(f"left out {len(rows) - len(known)} rows whose {wish.target} is empty")
    if len(known) < FEWEST:
        raise TaskError(f"{wish.data}: {len(known)} rows have a {wish.target}, and at least {FEWEST} are needed.")
    folder = wish.into or Path(re.sub(r"[^A-Za-z0-9._-]+", "-", wish.data.stem).strip("-._") or "task")
    if folder.exists():
        raise TaskError(f"{folder}: is there already. Remove it, or name another folder with --into.")
    if not re.match(ID_PATTERN, folder.name):
        raise TaskError(f"{folder}: a task is called like its folder; use letters, digits, '.', '_' and '-'.")
    kinds = {row[at].strip() for row in known}
    check_target(wish.data, wish.target, kinds)
    metric = wish.metric or _guess_metric([row[at] for row in known], wish.target, guesses)
    check_metric(wish.data, wish.target, metric, kinds)
    header, known, name = _with_ids(wish, header, known, guesses)
    guesses += _advice(wish, header, known, name)
    is_private = _split(wish, metric, header, known, guesses)
    _appear(wish, folder, metric, header, known, name, is_private)
    return CreatedTask(folder, tuple(guesses))


def _guess_metric(cells: Sequence[str], target: str, guesses: list[str]) -> str:
    classes = Counter(cell.strip() for cell in cells)
    numbers = all(as_number(cell) is not None for cell in classes)
    if numbers and {as_number(cell) for cell in classes} == {0, 1}:
        metric, why = "roc_auc", "is 0 or 1"
    elif numbers and len(classes) > CLASSES:
        metric, why = "rmse", f"holds {len(classes)} different numbers"
    else:
        metric, why = "accuracy", f"has {len(classes)} classes"
        if len(classes) > len(cells) / 2:
            guesses.append(f"{target} is text and hardly repeats: as classes, most cannot be predicted")
    guesses.append(f"metric {metric}, because {target} {why} (say otherwise with --metric)")
    return metric


def _with_ids(wish: TaskRequest, header: Row, rows: Sequence[Row], guesses: list[str]) -> tuple[Row, list[Row], str]:
    """The table with a column of ids: the one named, or a new one of random numbers. An id is never guessed."""
    if wish.id is not None:
        ids = [row[header.index(wish.id)] for row in rows]
        if len(set(ids)) < len(ids) or "" in ids:
            raise TaskError(f"{wish.data}: the ids in {wish.id} repeat or are empty; leave --id out to have new ones.")
        return header, list(rows), wish.id
    name = ID if ID not in header else f"{ID}_new"
    numbers = order(9 * len(rows), f"ids of {wish.data.stem}")
    guesses.append(f"new ids in {name} (name a column with --id to keep its own)")
    return [name, *header], [[str(len(rows) + numbers[at]), *row] for at, row in enumerate(rows)], name


def _advice(wish: TaskRequest, header: Row, rows: Sequence[Row], ids: str) -> list[str]:
    """What columns may mean for the split; told, never done unasked."""
    told = []
    if len(header) < 3:
        told.append(f"there is no column to predict {wish.target} from")
    again = len(rows) - len(
        {tuple(cell for cell, name in zip(row, header, strict=True) if name != ids) for row in rows}
    )
    if again:
        told.append(f"{again} rows are copies of others, and copies may end up on both sides of a split")
    for at, name in enumerate(header):
        cells = [row[at] for row in rows]
        if all(re.match(r"\d{4}[-/]\d{2}", cell) for cell in cells[:100]) and name != wish.target:
            told.append(f"{name} looks like a time; if new rows will be later ones, add `time: {name}` to blend.split")
        count = len(set(cells))
        if wish.group is None and 20 < count <= len(cells) / 2 and as_number(cells[0]) is None and name != wish.target:
            told.append(f"{name} repeats; if its rows belong together, say --group {name}")
    return told


def _split(wish: TaskRequest, metric: str, header: Row, rows: Sequence[Row], guesses: list[str]) -> list[bool]:
    """Which rows become private; refused where a run could then hold none of the others out, or score none."""
    labels = [row[header.index(wish.target)] for row in rows]
    groups = [row[header.index(wish.group)] for row in rows] if wish.group else None
    try:
        is_private = [part == 0 for part in _dealt(labels, groups, SHARE, _draw(wish))]
        left = [at for at, private in enumerate(is_private) if not private]
        rest = [labels[at] for at in left]
        parts = _dealt(rest, groups and [groups[at] for at in left], choose_fold_count(len(rest)), "0:held out")
    except TooFewRows:
        raise TaskError(
            f"{wish.data}: the groups in {wish.group} are too few or too large: a part of them becomes private, and of "
            "the others a run holds a part out. Name another column with --group, or leave it out."
        ) from None
    private = [label for label, kept in zip(labels, is_private, strict=True) if kept]
    held: dict[int, list[str]] = defaultdict(list)
    for label, part in zip(rest, parts, strict=True):
        if part is not None:
            held[part].append(label)
    if not all(can_be_scored(metric, cells) for cells in (private, *held.values())):
        raise TaskError(f"{wish.data}: {_too_rare(wish, metric, labels, len(held))}")
    guesses += _rare(wish.target, labels, private)
    return is_private


def _dealt(labels: Sequence[str], groups: Sequence[str] | None, parts: int, draw: str) -> Folds:
    """Rows in parts as a run's blend deals them."""
    return (
        assign_group_folds(groups, labels, parts, draw) if groups else assign_folds(labels, parts, draw, stratify=True)
    )


def _draw(wish: TaskRequest) -> str:
    return f"private rows of {wish.data.stem}"


def _too_rare(wish: TaskRequest, metric: str, labels: Sequence[str], parts: int) -> str:
    label, count = Counter(labels).most_common()[-1]
    where = f"in {count} rows only" if not wish.group else f"in {count} rows, in too few groups of {wish.group}"
    return (
        f"{wish.target} is {label!r} {where}. {metric} needs different answers among the private rows, and in each of "
        f"the {parts} parts of the others that runs hold out. Add rows of it, or name another --metric."
    )


def _rare(target: str, labels: Sequence[str], private: Sequence[str]) -> list[str]:
    """A sentence on a class that hardly any private row is of."""
    classes = Counter(labels)
    if len(classes) > CLASSES:
        return []
    label = min(classes, key=lambda label: (private.count(label), label))
    few, of_all = private.count(label), len(private)
    told = f"{target} is {label!r} in only {few} of the {of_all} private rows: chance has a large part in the score"
    return [told] if few < FEW else []


def _appear(
    wish: TaskRequest, folder: Path, metric: str, header: Row, rows: list[Row], name: str, is_private: Sequence[bool]
) -> None:
    target_at, id_at = header.index(wish.target), header.index(name)
    places = order(len(rows), f"{_draw(wish)}: order")  # the table's own order may say something of the target
    test, train = ([rows[at] for at in places if is_private[at] == private] for private in (True, False))
    sample = _sample(metric, [row[target_at] for row in train])
    tables = {
        "public/train.csv": [header, *train],
        "public/test.csv": [[cell for at, cell in enumerate(row) if at != target_at] for row in [header, *test]],
        "public/sample_submission.csv": [[name, wish.target], *([row[id_at], sample] for row in test)],
        "private/answers.csv": [[name, wish.target], *([row[id_at], row[target_at]] for row in test)],
    }
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    try:
        for path, table in tables.items():
            (draft / path).parent.mkdir(exist_ok=True, mode=0o700 if "private" in path else 0o755)
            write_rows(draft / path, table)
        (draft / "description.md").write_text(_description(wish, metric), encoding="utf-8")
        (draft / "task.yaml").write_text(_yaml(wish, folder.name, metric, name), encoding="utf-8")
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


def _description(wish: TaskRequest, metric: str) -> str:
    return (
        f"# {wish.target}\n\nPredict `{wish.target}` for every row of `test.csv`. Rows of `train.csv` carry it.\n\n"
        f"Scored by {metric}: {METRICS[metric].doc}\n\n"
        "<!-- Say here what the columns mean and what the task is for. -->\n"
    )


def _yaml(wish: TaskRequest, id: str, metric: str, name: str) -> str:
    quoted = {key: _quoted(text) for key, text in (("id", name), ("target", wish.target), ("group", wish.group or ""))}
    split = f"{{group: {quoted['group']}}}" if wish.group else "{stratify: true}"
    return f"""id: {id}
description: description.md
metric: {metric}
data: {{public: public/, private: private/}}
submission: {{sample: public/sample_submission.csv, id: {quoted["id"]}, target: {quoted["target"]}}}
labels: {{file: public/train.csv, id: {quoted["id"]}, target: {quoted["target"]}}}
blend: {{test: public/test.csv, answer: same, split: {split}, plan: auto}}
"""


def _quoted(text: str) -> str:
    """A column's name as YAML text."""
    return json.dumps(text, ensure_ascii=False)
