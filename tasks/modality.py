"""The modality of a task: what its data is, read from the files that the model sees. It decides which lessons apply."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path, PurePosixPath

from tasks.prompt_card import data_files, sample_name
from tasks.task import Task

TABULAR, TEXT, IMAGE, AUDIO = "tabular", "text", "image", "audio"
TIME_SERIES, SEGMENTATION = "time_series", "segmentation"
KINDS_OF_FILES = {
    IMAGE: {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm", ".nii"},
    AUDIO: {".wav", ".mp3", ".flac", ".ogg", ".aif", ".aiff", ".m4a"},
    TEXT: {".txt", ".md"},
    TABULAR: {".csv", ".tsv", ".parquet", ".feather"},
}
MIN_FILES = 20
"""So many images or recordings make a task one about images or sound."""
ROWS = 200
LONG_TEXT_WORDS = 8
"""Mean words of a cell from which a column is free text."""


def modality_of(task: Task, public: Path) -> str:
    """`tabular`, `text`, `image`, `audio`, `time_series` or `segmentation`; empty if the files do not tell."""
    files = data_files(public)
    counts = Counter(_kind(name) for name in files)
    media = max((IMAGE, AUDIO), key=lambda kind: counts[kind])
    if counts[media] >= MIN_FILES:
        return SEGMENTATION if media == IMAGE and _has_masks(task, files) else media
    if task.recipe.time is not None:
        return TIME_SERIES
    tables = [public / name for name in files if Path(name).suffix.lower() == ".csv" and name != sample_name(task)]
    if any(_has_free_text(table) for table in tables[:10]) or counts[TEXT] >= MIN_FILES:
        return TEXT
    return TABULAR if counts[TABULAR] else ""


def column_names(public: Path) -> set[str]:
    """Names of the columns of the tables at the top of a task's data."""
    return {name for table in sorted(public.glob("*.csv"))[:20] for name in next(iter(_rows(table)), [])}


def label_values(task: Task, most: int = 200) -> set[str]:
    """Labels that are words, as the sample submission and the labels name them: what no lesson may contain."""
    if task.labels is None or not task.labels.file.is_file():
        return set(task.submission.targets)
    rows = iter(_rows(task.labels.file))
    header = next(rows, [])
    places = [place for place, name in enumerate(header) if name in task.labels.targets]
    values: set[str] = set()
    for row in islice(rows, 100_000):
        values |= {row[place] for place in places if place < len(row) and not _is_number(row[place])}
        if len(values) > most:
            return set(task.submission.targets)
    return values | set(task.submission.targets)


def _kind(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return next((kind for kind, suffixes in KINDS_OF_FILES.items() if suffix in suffixes), "")


def _has_masks(task: Task, files: Iterable[str]) -> bool:
    if task.recipe.answer is not None and task.recipe.answer.kind == "pixels":
        return True
    return any("mask" in part.lower() for name in files for part in PurePosixPath(name).parts)


def _has_free_text(table: Path) -> bool:
    """Whether a column holds sentences rather than names or numbers."""
    rows = list(islice(_rows(table), ROWS + 1))[1:]
    width = max(map(len, rows), default=0)
    for place in range(width):
        cells = [row[place] for row in rows if place < len(row) and row[place].strip()]
        cells = [cell for cell in cells if not _is_number(cell)]
        if len(cells) >= max(5, len(rows) // 2):
            words = [len(cell.split()) for cell in cells if any(letter.isalpha() for letter in cell)]
            if words and sum(words) / len(cells) >= LONG_TEXT_WORDS:
                return True
    return False


def _rows(table: Path) -> Iterable[list[str]]:
    try:
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            yield from csv.reader(file)
    except (OSError, csv.Error):
        return


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
