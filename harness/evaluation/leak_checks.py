"""The leak sentinel at its two posts: before the first attempt over the data, at each evaluation over the solution."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from pathlib import Path

from harness.run import Run
from runs.events.registry import Warned
from tasks.holdout.blend import read_meta
from tasks.holdout.sources import labelled_source
from tasks.io.csv_text import TableError, read_rows
from tasks.io.path_templates import Template
from tasks.leakage.code import check_claim, check_code, check_table
from tasks.leakage.statistics import Finding
from tasks.leakage.tables import ROWS
from tasks.leakage.task import check_task_once
from tasks.task import Task, TaskError, load_task

SOURCE_BYTES, TABLE_BYTES, MOST_FILES = 300_000, 50_000_000, 200


def notes_on_task(run: Run, task: Task) -> str:
    """What the sentinel finds in the data: all of it goes on record, and what is fair comes back as card text."""
    found = check_task_once(task, run.blend.private_labels)
    for one in found:
        run.record(Warned(message=f"leak sentinel, {one.kind}: {one.message}"))
    fair = [f"- {one.kind}: {one.message}" for one in found if one.agent_may_see]
    return "\n\n## What the harness noticed in the data\n\n" + "\n".join(fair) if fair else ""


def check_solution(run: Run, workspace: Path, wrote: Path) -> list[Finding]:
    """What the files of a clean checkout give away; `wrote` is the submission they made, which is not looked at."""
    meta = read_meta(run.blend.private_labels)
    name, targets = meta["id"], meta["targets"]
    ids, train = _sample_ids(run, name), _train_ids(run.created.task_path)
    found: list[Finding] = []
    for path in islice(sorted(workspace.rglob("*")), MOST_FILES):
        is_data = {"data", ".jobs"} & set(path.relative_to(workspace).parts[:1])
        if path == wrote or is_data or path.is_symlink() or not path.is_file():
            continue
        size = path.stat().st_size
        if path.suffix == ".py" and size > SOURCE_BYTES:
            found.append(Finding("a table in the code", f"{path.name} has {size} bytes: source so long holds data"))
        elif path.suffix == ".py":
            found += check_code(path.read_text(encoding="utf-8", errors="replace"), ids, train, targets)
        elif path.suffix == ".csv" and size <= TABLE_BYTES:
            found += _brought_along(path, ids, name)
    return list(dict.fromkeys(found))


def warn(run: Run, evaluation: str, found: list[Finding], claimed: float | None, score: float, noise: float) -> None:
    """Put what was found on an evaluation on record, with what its own score says of itself."""
    for one in [*found, *check_claim(claimed, score, noise, run.created.lower_is_better)]:
        run.record(Warned(message=f"leak sentinel, evaluation {evaluation}, {one.kind}: {one.message}"))


def _brought_along(path: Path, ids: list[str], name: str) -> list[Finding]:
    try:
        return check_table(list(islice(read_rows(path), ROWS)), ids, name)
    except (TableError, OSError):
        return []


def _sample_ids(run: Run, name: str) -> list[str]:
    """Ids of rows to predict, as the agent sees them: enough of them to be recognised."""
    sample = Path(run.created.sample).name
    for path in run.blend.public.rglob(sample):
        try:
            header, *rows = islice(read_rows(path), ROWS)
            return [row[header.index(name)] for row in rows]
        except (TableError, OSError, ValueError):
            continue
    return []


@lru_cache(2)
def _train_ids(task_path: str) -> frozenset[str]:
    """Ids of labelled rows: those that the agent sees are held out on other folds."""
    try:
        task = load_task(Path(task_path))
        if task.labels is None:
            return frozenset()
        source, template = labelled_source(task, task.labels), Template(task.labels.id)
        at = {name: source.header.index(name) for name in template.names}
        rows = islice(source.rows(), ROWS)
        return frozenset(template.fill({name: source.plain(row[place]) for name, place in at.items()}) for row in rows)
    except (TaskError, TableError, OSError, ValueError, KeyError):
        return frozenset()
