"""An overview of a task's data for the model, made by code: tables, images, other files.

It reads nothing but the folder that the agent sees as ./data, so it can tell no more than a command of the agent could.
Runs in a child process, since any library may fail on a file from somewhere else; it is written once, beside the split.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data_facts import facts_of_task
from tasks.holdout.blend import Blend
from tasks.io.atomic import open_durable
from tasks.io.folder import list_names
from tasks.subprocesses import Reply, bound_memory, run_isolated, serve
from tasks.task import Task, load_task

if TYPE_CHECKING:
    import pandas as pd

SECONDS = 90.0
MAX_BYTES = 4_500
"""At most 1,500 tokens, of three bytes at least."""
ROWS = 100_000
"""Rows of a table that are read."""
TABLES, TABLE_BYTES = 6, 4_000_000_000
COLUMN_STEPS = (30, 16, 8, 4, 2)
"""Columns that are described of each table; fewer where the overview gets too long."""
CLASSES, VALUES, FOLDERS = 12, 4, 12
IMAGES_READ = 60
IMAGES = frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm"))
LONG_TEXT = 30
"""From this mean length on, a column is text, and its lengths tell more than its values."""
NAME, FACTS_NAME = "overview.md", "facts.json"


def overview_of(task: Task, blend: Blend) -> str:
    """The overview of a split's data as Markdown; made once and kept. Raises `ChildFailed`."""
    _make(task, blend)
    return (blend.folder / NAME).read_text(encoding="utf-8")


def facts_of(task: Task, blend: Blend) -> list[str]:
    """Names of the facts (`tasks.data_facts`) that hold for the same tables. Raises `ChildFailed`."""
    _make(task, blend)
    return [str(name) for name in json.loads((blend.folder / FACTS_NAME).read_text(encoding="utf-8"))]


def _make(task: Task, blend: Blend) -> None:
    if all((blend.folder / name).exists() for name in (NAME, FACTS_NAME)):
        return
    request = {"task": str(task.path.absolute()), "public": str(blend.public.absolute())}
    reply = run_isolated("tasks.data_overview", request, SECONDS)
    for name, text in ((NAME, str(reply["text"])), (FACTS_NAME, json.dumps(reply["facts"]))):
        with open_durable(blend.folder / name) as stream:
            stream.write(text)


# ------------------------------------------------------------------------------------------------- in the child process


def render_overview(public: Path, targets: Sequence[str], sample: str) -> str:
    """The overview, within `MAX_BYTES`."""
    return _render(public, targets, read_tables(public, sample))


def read_tables(public: Path, sample: str) -> dict[str, pd.DataFrame]:
    """The tables that are described, by their names: largest first, those at the top before those in folders."""
    tables = [path for path in _files(public) if _is_table(path) and path.relative_to(public).as_posix() != sample]
    tables = sorted(tables, key=lambda path: (len(path.relative_to(public).parts), -path.stat().st_size))[:TABLES]
    return {path.relative_to(public).as_posix(): frame for path in tables if (frame := _read(path)) is not None}


def _files(public: Path) -> list[Path]:
    return [public / name for name in list_names(public)]


def _render(public: Path, targets: Sequence[str], frames: Mapping[str, pd.DataFrame]) -> str:
    files = _files(public)
    others = list(_describe_others(public, [path for path in files if not _is_table(path)]))
    text = ""
    for most in COLUMN_STEPS:
        parts = list(_describe_tables(frames, targets, most))
        text = "\n\n".join(["## Data overview (computed by the harness from ./data)", *parts, *others])
        if len(text.encode()) <= MAX_BYTES:
            break
    return _cut(text)


def _cut(text: str) -> str:
    if len(text.encode()) <= MAX_BYTES:
        return text
    kept = text.encode()[: MAX_BYTES - 40].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n(the rest is left out)"


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv") and path.stat().st_size <= TABLE_BYTES


def _read(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        return pd.read_csv(
            path, sep=separator, nrows=ROWS, low_memory=False, on_bad_lines="skip", encoding_errors="replace"
        )
    except (ValueError, OSError):  # pandas raises kinds of ValueError for a file that is not a table
        return None


# --------------------------------------------------------------------------------------------------------------- tables


def _describe_tables(frames: Mapping[str, pd.DataFrame], targets: Sequence[str], most: int) -> Iterator[str]:
    """Each table; of one whose columns another one has (test beside train), only what differs. Targets come first."""
    ordered = sorted(frames, key=lambda name: not set(targets) <= set(frames[name].columns))
    for place, name in enumerate(ordered):
        frame = frames[name]
        like = next((one for one in ordered[:place] if set(frame.columns) <= set(frames[one].columns)), None)
        if like is None:
            yield _describe_table(name, frame, targets, most)
        else:
            yield _describe_similar(name, frame, like, frames[like])


def _describe_similar(name: str, frame: pd.DataFrame, like: str, other: pd.DataFrame) -> str:
    without = [_plain(column) for column in other.columns if column not in frame.columns]
    missing_columns = f" without {', '.join(f'`{column}`' for column in without[:VALUES])}" if without else ""
    lines = [f"`{_plain(name)}`: {len(frame):,} rows; the columns of `{_plain(like)}`{missing_columns}"]
    differing = [column for column in frame.columns if _differs(frame[column], other[column])]
    lines += [f"- here `{_plain(column)}`: {_describe_column(frame[column])}" for column in differing[:CLASSES]]
    return "\n".join(lines)


def _differs(values: pd.Series[Any], others: pd.Series[Any]) -> bool:
    """Whether a column has another kind, or a share of missing cells that differs by more than 2 points."""
    if not len(values) or not len(others):
        return False
    return abs(values.isna().mean() - others.isna().mean()) > 0.02 or _is_number(values) != _is_number(others)


def _describe_table(name: str, frame: pd.DataFrame, targets: Sequence[str], most: int) -> str:
    first = f"the first {ROWS:,} rows of " if len(frame) >= ROWS else ""
    lines = [f"{first}`{_plain(name)}`: {len(frame):,} rows x {len(frame.columns):,} columns"]
    own = [column for column in frame.columns if column in targets]
    if own and len(own) == len(targets):
        lines += [f"- target `{_plain(column)}`: {_describe_target(frame[column])}" for column in own[:CLASSES]]
        lines += [f"- {len(own) - CLASSES} more targets"] if len(own) > CLASSES else []
    columns = [column for column in frame.columns if column not in own]
    lines += [f"- `{_plain(column)}`: {_describe_column(frame[column])}" for column in columns[:most]]
    if rest := columns[most:]:
        lines.append(f"- {len(rest)} more columns: {_describe_kinds(frame[rest])}")
    if len(frame):
        row = frame.head(1).astype(object).iloc[0]
        cells = [f"{_plain(column)}={_plain(value)}" for column, value in row.items()]
        lines.append(f"- first row: {', '.join(cells[:most])}{' ...' if len(cells) > most else ''}")
    return "\n".join(lines)


def _describe_target(values: pd.Series[Any]) -> str:
    distinct = int(values.nunique())
    missing = _missing(values)
    if distinct > CLASSES and _is_number(values):
        points = values.quantile([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
        shown = ", ".join(f"{point:.5g}" for point in points)
        return f"quantiles 0, 5, 25, 50, 75, 95, 100 %: {shown}{missing}"
    return f"{distinct} values: {_shares(values, CLASSES)}{missing}"


def _describe_column(values: pd.Series[Any]) -> str:
    missing, distinct = _missing(values), int(values.nunique())
    if not distinct:
        return "empty"
    if _is_number(values):
        kind = "integer" if bool((values.dropna() % 1 == 0).all()) else "number"
        low, middle, high = (_figure(value, kind) for value in (values.min(), values.median(), values.max()))
        return f"{kind}, {low} to {high}, median {middle}, {distinct:,} distinct{missing}"
    text = values.dropna().astype(str)
    lengths = text.str.len()
    if lengths.mean() > LONG_TEXT:
        return (
            f"text of {lengths.min()} to {lengths.max():,} characters, median {lengths.median():.0f}, "
            f"{distinct:,} distinct{missing}"
        )
    shown = f": {_shares(values, VALUES)}" if distinct <= len(values) / 3 else f", such as {_plain(text.iloc[0])}"
    return f"category, {distinct:,} distinct{shown}{missing}"


def _figure(value: float, kind: str) -> str:
    return f"{value:.0f}" if kind == "integer" and abs(value) < 1e12 else f"{value:.5g}"


def _describe_kinds(frame: pd.DataFrame) -> str:
    numbers = sum(_is_number(frame[column]) for column in frame.columns)
    missing = float(frame.isna().to_numpy().mean()) if len(frame) else 0.0
    return f"{numbers} of numbers, {len(frame.columns) - numbers} of others, {missing:.1%} of their cells missing"


def _is_number(values: pd.Series[Any]) -> bool:
    return values.dtype.kind in "iuf"


def _missing(values: pd.Series[Any]) -> str:
    share = float(values.isna().mean()) if len(values) else 0.0
    return f", {share:.1%} missing" if share else ""


def _shares(values: pd.Series[Any], most: int) -> str:
    counts = values.value_counts(normalize=True)
    shown = [f"{_plain(value)} ({share:.1%})" for value, share in counts.head(most).items()]
    return ", ".join(shown) + (", ..." if len(counts) > most else "")


def _plain(value: object) -> str:
    text = " ".join(str(value).split()).replace("`", "'")
    return text if len(text) <= 40 else f"{text[:39]}…"


# ---------------------------------------------------------------------------------------------------------- other files


def _describe_others(public: Path, files: Sequence[Path]) -> Iterator[str]:
    """Files that are not tables, by folder at the top and suffix."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        parts = path.relative_to(public).parts
        groups.setdefault((parts[0] if len(parts) > 1 else ".", path.suffix.lower()), []).append(path)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))
    for (folder, suffix), paths in largest[:FOLDERS]:
        if len(paths) > 1:
            yield "\n".join(_describe_group(public, folder, suffix, paths))


def _describe_group(public: Path, folder: str, suffix: str, paths: Sequence[Path]) -> Iterator[str]:
    size = sum(path.stat().st_size for path in paths) / len(paths)
    kind = suffix or "without suffix"
    yield f"`{_plain(folder)}/`: {len(paths):,} files {kind}, {size / 1000:,.1f} kB each on average"
    if suffix in IMAGES and (images := describe_images(paths)):
        yield f"- {images}"
    if suffix in (".txt", ".json", ".html"):
        yield f"- {min(p.stat().st_size for p in paths):,} to {max(p.stat().st_size for p in paths):,} bytes each"
    below = Counter(path.relative_to(public).parts[1] for path in paths if len(path.relative_to(public).parts) > 2)
    if below:
        shown = ", ".join(f"{_plain(name)} {count:,}" for name, count in below.most_common(CLASSES))
        yield f"- {len(below)} folders in it: {shown}{', ...' if len(below) > CLASSES else ''}"


def describe_images(paths: Sequence[Path]) -> str:
    """Sizes and modes of some images, spread over all."""
    from PIL import Image

    sizes: list[tuple[int, int]] = []
    modes: Counter[str] = Counter()
    for path in paths[:: max(1, len(paths) // IMAGES_READ)][:IMAGES_READ]:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
                modes[image.mode] += 1
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    if not sizes:
        return ""
    widths, heights = sorted(width for width, _ in sizes), sorted(height for _, height in sizes)
    common = Counter(sizes).most_common(1)[0]
    return (
        f"{len(sizes)} read: width {widths[0]} to {widths[-1]}, height {heights[0]} to {heights[-1]}, "
        f"{common[0][0]}x{common[0][1]} in {common[1]}; modes {', '.join(modes)}"
    )


def _perform(request: dict[str, Any]) -> Reply:
    from tasks.prompt_card import sample_name

    task = load_task(Path(request["task"]))
    public = Path(request["public"])
    frames = read_tables(public, sample_name(task))
    return {"text": _render(public, task.submission.targets, frames), "facts": facts_of_task(task, frames)}


if __name__ == "__main__":
    bound_memory()
    serve(_perform)
