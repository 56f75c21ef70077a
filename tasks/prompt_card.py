"""Render the task card for the model, as Markdown without thresholds, leaderboard, private paths or held-out counts.

Facts about data come from the folder that the model sees, so that tables without held-out rows are described as such.
"""

from __future__ import annotations

import csv
from pathlib import Path

from tasks.catalog import count_rows
from tasks.config.validate import read_header
from tasks.io.folder import list_names, scan
from tasks.task import Task

MAX_COLUMNS = 12
MAX_ENTRIES = 60
MAX_FILES = 1000
MAX_COUNTED_BYTES = 200_000_000
"""Rows of larger tables are not counted: the card must be ready in seconds."""


def render_card(task: Task, public: Path) -> str:
    """The card of a task; `public` is the folder that the model sees as ./data."""
    return "\n\n".join([*_goal(task), *_data(public), _submission(task), _rules(task)]) + "\n"


def data_files(public: Path) -> list[str]:
    """Names of the data files relative to ./data, sorted, at most a thousand."""
    return sorted(list_names(public))[:MAX_FILES]


def _goal(task: Task) -> list[str]:
    metric = task.metric
    direction = "Lower is better." if metric.lower_is_better else "Higher is better."
    doc = f" {metric.doc}" if metric.doc else ""
    description = task.description.strip()
    # Most descriptions start with their own title.
    title = [] if description.startswith("# ") else [f"# {task.title}"]
    return [*title, description, f"## How you are scored\n\n`{metric.name}`:{doc} {direction}"]


def _data(public: Path) -> list[str]:
    lines = [f"- {_entry(path)}" for path in sorted(public.iterdir()) if path.is_file() or path.is_dir()]
    if len(lines) > MAX_ENTRIES:
        more = len(lines) - MAX_ENTRIES
        lines = [*lines[:MAX_ENTRIES], f"- … and {more:,} more"]
    return ["## Files in ./data (read-only)", "\n".join(lines)]


def _entry(path: Path) -> str:
    if path.is_dir():
        sizes = [size for _, size in scan(path)]
        return f"`{path.name}/`: {len(sizes):,} files, {_size(sum(sizes))}"
    size = path.stat().st_size
    table = _table(path, size) if path.suffix.lower() == ".csv" else ""
    return f"`{path.name}`: {table}{_size(size)}{_columns(path) if table else ''}"


def _table(path: Path, size: int) -> str:
    columns = len(_header(path))
    rows = count_rows(path) if size <= MAX_COUNTED_BYTES else None
    if not columns:
        return ""
    return f"{rows:,} rows x {columns:,} columns, " if rows is not None else f"{columns:,} columns, "


def _columns(path: Path) -> str:
    names = _header(path)
    shown = ", ".join(f"`{_short(name)}`" for name in names[:MAX_COLUMNS])
    more = len(names) - MAX_COLUMNS
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


def _submission(task: Task) -> str:
    submission = task.submission
    columns = ", ".join(f"`{name}`" for name in (submission.id, *submission.targets[:MAX_COLUMNS]))
    more = len(submission.targets) - MAX_COLUMNS
    columns += f", … and {more:,} more, as in the sample" if more > 0 else ""
    missing = "Predictions may be left empty." if submission.may_be_missing else "No prediction may be left empty."
    return (
        "## Submission\n\n"
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
