"""What the model is told of a task, as Markdown: never thresholds, a leaderboard, private paths or held-out counts.

Everything said of data is read from the folder the model will see, so that a table with rows held out shows as it is
there.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from tasks.catalog import count_rows
from tasks.config.validate import read_header
from tasks.task import Task

MOST_COLUMNS = 12
MOST_ENTRIES = 60
MOST_FILES = 1000
COUNTED_BYTES = 200_000_000
"""Tables larger than this are not counted: the card must be there in seconds."""


def render_card(task: Task, public: Path) -> str:
    """The card of `task`, whose data the model sees at ./data and `public` holds."""
    return "\n\n".join([*_what(task), *_data(public), _submission(task), _rules(task)]) + "\n"


def data_files(public: Path) -> list[str]:
    """Names of the data files relative to ./data, sorted, at most a thousand."""
    return sorted(name for name, _ in _walk(public))[:MOST_FILES]


def _what(task: Task) -> list[str]:
    metric = task.metric
    direction = "Lower is better." if metric.lower_is_better else "Higher is better."
    doc = f" {metric.doc}" if metric.doc else ""
    description = task.description.strip()
    # Most descriptions open with their own title.
    title = [] if description.startswith("# ") else [f"# {task.title}"]
    return [*title, description, f"## How you are scored\n\n`{metric.name}`:{doc} {direction}"]


def _data(public: Path) -> list[str]:
    lines = [f"- {_entry(path)}" for path in sorted(public.iterdir()) if path.is_file() or path.is_dir()]
    if len(lines) > MOST_ENTRIES:
        more = len(lines) - MOST_ENTRIES
        lines = [*lines[:MOST_ENTRIES], f"- … and {more:,} more"]
    return ["## Files in ./data (read-only)", "\n".join(lines)]


def _entry(path: Path) -> str:
    if path.is_dir():
        sizes = [size for _, size in _walk(path)]
        return f"`{path.name}/`: {len(sizes):,} files, {_size(sum(sizes))}"
    size = path.stat().st_size
    table = _table(path, size) if path.suffix.lower() == ".csv" else ""
    return f"`{path.name}`: {table}{_size(size)}{_columns(path) if table else ''}"


def _table(path: Path, size: int) -> str:
    columns = len(_header(path))
    rows = count_rows(path) if size <= COUNTED_BYTES else None
    if not columns:
        return ""
    return f"{rows:,} rows x {columns:,} columns, " if rows is not None else f"{columns:,} columns, "


def _columns(path: Path) -> str:
    names = _header(path)
    shown = ", ".join(f"`{_short(name)}`" for name in names[:MOST_COLUMNS])
    more = len(names) - MOST_COLUMNS
    return f"; columns {shown}" + (f", … and {more:,} more" if more > 0 else "")


def _header(path: Path) -> list[str]:
    try:
        return read_header(path)
    except (OSError, UnicodeError, csv.Error):
        return []


def _short(name: str) -> str:
    name = " ".join(name.split()).replace("`", "'")
    return name if len(name) <= 40 else name[:39] + "…"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path.stat().st_size


def _submission(task: Task) -> str:
    form = task.submission
    columns = ", ".join(f"`{name}`" for name in (form.id, *form.targets[:MOST_COLUMNS]))
    more = len(form.targets) - MOST_COLUMNS
    columns += f", … and {more:,} more, as in the sample" if more > 0 else ""
    missing = "Predictions may be left empty." if form.may_be_missing else "No prediction may be left empty."
    return (
        "## What you hand in\n\n"
        f"`./submission.csv`, a CSV file with the columns {columns}: one row for each row of "
        f"`./data/{sample_name(task)}`, with the same ids. {missing}"
    )


def sample_name(task: Task) -> str:
    """The sample submission's path relative to ./data."""
    if task.submission.shown:
        return task.submission.shown
    sample, public = task.submission.sample, task.public
    return sample.relative_to(public).as_posix() if sample.is_relative_to(public) else sample.name


def _rules(task: Task) -> str:
    return (
        "## Rules\n\n"
        f"- Predict every row of `./data/{sample_name(task)}`.\n"
        "- Work in the current folder. Do not use the network.\n"
        "- What counts is the `submission.csv` that your code writes when `evaluate` runs it from a clean checkout of "
        "your files; a file that you made by hand or in an earlier command is not there."
    )
