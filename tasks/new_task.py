"""A task made of one table: private rows split off, a description to fill in, a recipe for the blend; and what was
guessed on the way."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.cells import Row, TableError, as_number, read_rows, write_rows
from tasks.marked_yaml import TaskError
from tasks.metrics import METRICS
from tasks.splitting import TooFewRows, deal_groups, deal_rows, order
from tasks.task_file import ID_PATTERN

SHARE = 4
"""One of so many parts of the rows becomes private."""
FEWEST = 80
CLASSES = 20
ID = "row_id"
SEPARATORS = ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"))
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?|[-+]?\d+,\d+")
"""Numbers that only people read as such: 1,234.5 and 0,5."""


@dataclass(frozen=True)
class TaskWish:
    """What was asked for; None where it is to be guessed. `into` is the folder to make."""

    data: Path
    target: str
    into: Path | None = None
    id: str | None = None
    metric: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Made:
    """The folder that was made, and sentences about what was guessed."""

    folder: Path
    guesses: tuple[str, ...]


def make_task(wish: TaskWish) -> Made:
    """Make a task folder of a table; it appears whole. Raises TaskError."""
    try:
        header, *rows = list(read_rows(wish.data)) or [[]]
    except (TableError, OSError, UnicodeError) as error:
        raise TaskError(f"{wish.data}: cannot be read as a table ({error}). Give a CSV file with a header.") from None
    _check_header(wish, header)
    _check_words(wish, header, rows)
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
    _check_target(wish, [row[at].strip() for row in known])
    metric = wish.metric or _guess_metric([row[at] for row in known], wish.target, guesses)
    header, known, name = _with_ids(wish, header, known, guesses)
    guesses += _advice(wish, header, known, name)
    _appear(wish, folder, metric, header, known, name)
    return Made(folder, tuple(guesses))


def _check_header(wish: TaskWish, header: Row) -> None:
    found = next((name for mark, name in SEPARATORS if len(header) == 1 and mark in header[0]), "")
    if found:
        raise TaskError(f"{wish.data}: is separated by {found}. Write it with commas.")
    if twice := [column for column, count in Counter(header).items() if count > 1]:
        raise TaskError(f"{wish.data}: {twice[0]!r} heads more than one column. Give each a name of its own.")
    for option, column in (("--target", wish.target), ("--id", wish.id), ("--group", wish.group)):
        if column is not None and header.count(column) != 1:
            has = ", ".join(header[:20]) or "no columns"
            raise TaskError(f"{wish.data}: {option} {column} is not one of its columns: {has}.")
    if wish.metric is not None and wish.metric not in METRICS:
        raise TaskError(f"--metric {wish.metric} does not exist. Write one of: {', '.join(METRICS)}.")


def _check_words(wish: TaskWish, header: Row, rows: Sequence[Row]) -> None:
    """Refuse bytes that are not UTF-8 before a task is made of them that no run would read."""
    for number, row in enumerate([header, *rows], 1):
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            raise TaskError(
                f"{wish.data}: row {number} is not UTF-8 text. Convert the file, as with `iconv -f LATIN1 -t UTF-8`."
            ) from None


def _check_target(wish: TaskWish, cells: Sequence[str]) -> None:
    """Refuse a target that no solution could be judged on."""
    kinds = set(cells)
    if len(kinds) == 1:
        raise TaskError(f"{wish.data}: {wish.target} is {cells[0]!r} in every row: there is nothing to predict.")
    if not all(THOUSANDS.fullmatch(cell) or as_number(cell) is not None for cell in kinds):
        return
    if any("," in cell for cell in kinds):
        raise TaskError(
            f"{wish.data}: {wish.target} holds numbers with commas, as {next(c for c in cells if ',' in c)!r}, "
            "which no metric reads as numbers. Write them plain, as 1234.5."
        )


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


def _with_ids(wish: TaskWish, header: Row, rows: Sequence[Row], guesses: list[str]) -> tuple[Row, list[Row], str]:
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


def _advice(wish: TaskWish, header: Row, rows: Sequence[Row], ids: str) -> list[str]:
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


def _appear(wish: TaskWish, folder: Path, metric: str, header: Row, rows: list[Row], name: str) -> None:
    target_at, id_at = header.index(wish.target), header.index(name)
    labels: list[str | None] = [row[target_at] for row in rows]
    draw = f"private rows of {wish.data.stem}"
    try:
        if wish.group:
            groups = [row[header.index(wish.group)] for row in rows]
            dealt = deal_groups(groups, labels, SHARE, draw)
        else:
            dealt = deal_rows(labels, SHARE, draw, stratify=True)
    except TooFewRows:
        raise TaskError(f"{wish.data}: the groups in {wish.group} are too few or too large to split.") from None
    places = order(len(rows), f"{draw}: order")  # the table's own order may say something of the target
    test, train = ([rows[at] for at in places if (dealt[at] == 0) == private] for private in (True, False))
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


def _description(wish: TaskWish, metric: str) -> str:
    return (
        f"# {wish.target}\n\nPredict `{wish.target}` for every row of `test.csv`. Rows of `train.csv` carry it.\n\n"
        f"Scored by {metric}: {METRICS[metric].doc}\n\n"
        "<!-- Say here what the columns mean and what the task is for. -->\n"
    )


def _yaml(wish: TaskWish, id: str, metric: str, name: str) -> str:
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
