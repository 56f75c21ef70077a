"""Write the folder of a new task: it appears complete, by rename, or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.config.schema import ID_PATTERN
from tasks.errors import TaskError
from tasks.metrics.metric import Metric
from tasks.new_task.request import TaskRequest
from tasks.new_task.targets import Target

_REPLACED = re.compile(r"[^A-Za-z0-9._-]+")


def folder_to_make(into: Path | None, name: str) -> Path:
    """The folder that is asked for, or one called like the data. Raises TaskError if it cannot be made."""
    folder = into or Path(_REPLACED.sub("-", name).strip("-._")[:64] or "task")
    if folder.exists():
        raise TaskError(f"{folder}: already exists. Remove it, or name another folder with --into.")
    if not re.match(ID_PATTERN, folder.name):
        raise TaskError(
            f"{folder}: the folder's name is the task id. With --into, name one of letters, digits, '.', '_' and '-'."
        )
    return folder


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` at the end of the block. Raises TaskError if it cannot be written."""
    target = folder.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=target.parent))
    except OSError as error:
        raise TaskError(f"{folder}: cannot be written ({error.strerror}). Name another folder with --into.") from None
    try:
        (draft / "public").mkdir()
        yield draft
        draft.chmod(0o755)
        draft.rename(target)
    except OSError as error:
        raise TaskError(f"{folder}: cannot be written ({error.strerror}). Name another folder with --into.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def task_yaml(lines: Mapping[str, object]) -> str:
    """A task.yaml with one line for each key; a dictionary or list is written in one line, and texts are quoted."""
    return "".join(f"{key}: {_flow(value)}\n" for key, value in lines.items() if value is not None)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        pairs = [f"{_key(key)}: {_flow(one)}" for key, one in value.items() if one is not None]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    """A key of ours as it is; a label or column of the data quoted."""
    return key if re.fullmatch(r"[a-z_]{2,}", key) and key not in WORDS else json.dumps(key, ensure_ascii=False)


WORDS = frozenset(["yes", "no", "on", "off", "true", "false", "null", "none"])
"""What YAML does not read as text."""


def one_or_list(names: Sequence[str]) -> object:
    """A single name by itself, several as a list."""
    return names[0] if len(names) == 1 else list(names)


def task_sections(request: TaskRequest, target: Target, metric: Metric, id_name: str) -> dict[str, Any]:
    """The keys of a task.yaml that follow from the target and the options, except the data."""
    answer: object = "same"
    if target.answer == "map":
        answer = {"map": {target.labels[0]: {label: int(cell) for label, cell in target.values}}}
    elif target.answer == "onehot":
        answer = {"onehot": target.labels[0]}
    split: dict[str, object] = {"group": request.group, "time": request.time}
    if not request.group and not request.time and metric.needs != "numbers":
        split["stratify"] = True
    may_be_missing = True if metric.answers == "masks" else None
    submission = {"sample": "public/sample_submission.csv", "id": id_name, "target": one_or_list(target.predicted)}
    return {
        "description": "description.md",
        "metric": metric.name,
        "data": {"public": "public/"},
        "submission": {**submission, "may_be_missing": may_be_missing},
        "labels": {"file": "public/train.csv", "id": id_name, "target": one_or_list(target.labels)},
        "blend": {"test": "public/test.csv", "answer": answer, "split": split, "plan": "auto"},
    }
