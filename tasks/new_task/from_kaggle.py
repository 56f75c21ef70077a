"""Make a task from a live competition on Kaggle: download it, find its tables, and use its metric."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from tasks.errors import TaskError
from tasks.kaggle import Kaggle, LiveCompetition
from tasks.metrics.registry import find_metric
from tasks.new_task.find_tables import Tables, find_tables, refuse_folder
from tasks.new_task.from_tables import Origin, make_from_tables
from tasks.new_task.request import CreatedTask, Findings, Progress, TaskRequest

MAX_UNPACKED = 200 << 30
NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,98}")


def make_from_kaggle(request: TaskRequest, name: str, home: Path, kaggle: Kaggle, say: Progress) -> CreatedTask:
    """Download a competition into `home`/kaggle/NAME, where it is found again, and make a task. Raises TaskError."""
    name = name.rstrip("/").rpartition("/")[2]
    if not NAME.fullmatch(name):
        raise TaskError(
            f"--kaggle {name}: is not the name of a competition. It is the last part of the competition's address."
        )
    say(f"asking Kaggle about {name}", 0, 0)
    live = kaggle.competition(name)
    if live is not None and live.takes_code_only:
        raise TaskError(
            f"{name}: takes only notebooks that run on Kaggle, and no submission files. A run cannot be submitted to "
            f"it. Use its data with --train, --test and --sample after downloading them at kaggle.com/c/{name}/data."
        )
    request = replace(request, metric=request.metric or _metric_of(name, live))
    say(f"downloading {name}.zip", 0, 0)
    archive = kaggle.download(name, home / "kaggle" / name, shows=False)
    files = _unpack(archive, say)
    title = live.title if live else name
    origin = Origin(name, title, f"{live.description}\n\nkaggle.com/c/{name}" if live else "")
    return make_from_tables(request, _tables(request, files), name, Findings(), say, origin=origin)


def _tables(request: TaskRequest, files: Path) -> Tables:
    """The tables, of which each may be named relative to the competition's files."""
    train, test, sample = (files / path if path else None for path in (request.train, request.test, request.sample))
    if train and sample:
        return Tables(train, test, sample)
    found = find_tables(files) or refuse_folder(files)
    return Tables(train or found.train, test or found.test, sample or found.sample)


def _metric_of(name: str, live: LiveCompetition | None) -> str:
    """Our name of Kaggle's metric. Raises TaskError if it is unknown: a wrong one would mislead the whole run."""
    kaggles = live.metric if live else ""
    metric = find_metric(kaggles) if kaggles else None
    if metric is not None:
        return metric.name
    says = f"is scored by {kaggles!r}, which is not known here" if kaggles else "does not tell its metric"
    raise TaskError(
        f"{name}: {says}. Read kaggle.com/c/{name}/overview/evaluation, and name the metric, or the nearest one, with "
        "--metric. `harness tasks --metrics` lists all metrics."
    )


def _unpack(archive: Path, say: Progress) -> Path:
    """The folder with the files of an archive, unpacked once."""
    files = archive.with_name("files")
    if files.is_dir():
        return files
    say(f"unpacking {archive.name}", 0, 0)
    draft = Path(tempfile.mkdtemp(prefix=".files.", dir=archive.parent))
    try:
        with zipfile.ZipFile(archive) as opened:
            size = sum(member.file_size for member in opened.infolist())
            if size > min(MAX_UNPACKED, shutil.disk_usage(draft).free):
                raise TaskError(
                    f"{archive}: unpacks to {size / 1e9:,.1f} GB, which do not fit on this disk. Free some space."
                )
            opened.extractall(draft)
        draft.rename(files)
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise TaskError(
            f"{archive}: cannot be unpacked ({error}). Delete it, and run the same command again."
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return files
