"""Leak checks on a solution: its files and the score it prints. Runs in a child process, since the agent wrote them.

Every file of the checkout that the folds get is checked: code, and texts such as `params.json`. Tables reach no fold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.leakage.imports import used_files
from tasks.leakage.statistics import Finding
from tasks.subprocesses import ChildFailed, Reply, bound_memory, run_isolated, serve

SECONDS = 120.0
UNCHECKED = "not checked"
CODE_BYTES = 300_000
"""A longer file of code holds data."""
ROWS = 20_000
MIN_CLAIM_ERRORS = 4.0
"""Standard errors by which a printed score must exceed the harness's score to be reported."""
LARGE, TIMES = 10.0, 100.0
"""Two numbers have different units (as prices and their logs) if one is above LARGE and TIMES as large as the other."""
CLAIM = re.compile(
    r"(?:\bcv\b|\boof\b|valid\w{0,30}|hold-?out|score|accuracy|auc|rmse|mae|log_?loss|kappa|f1|r2)\D{0,24}?(-?\d+\.\d+)",
    re.IGNORECASE,
)
PRINTED_DICT = re.compile(r"\{[^{}\n]*\}")
"""A printed dict between the word and the number holds parameters, not a score."""


@dataclass(frozen=True)
class SolutionCheck:
    """Findings in a solution's files, and the numbers it printed that may be scores, oldest first."""

    findings: list[Finding] = field(default_factory=list)
    printed: list[float] = field(default_factory=list)

    def self_reported_score(self, score: float, lower_is_better: bool) -> float | None:
        """The last printed number that is comparable with the harness's `score`."""
        comparable = (number for number in reversed(self.printed) if may_be_score(number, score, lower_is_better))
        return next(comparable, None)


def check_solution(
    workspace: Path,
    submission: Path,
    blend: Path,
    task: Path,
    log: bytes,
    seconds: float = SECONDS,
    commands: Sequence[str] = (),
) -> SolutionCheck:
    """Check the files of a clean checkout and the end of its log, in a child process.

    `submission` is what the solution wrote and is skipped. Findings in files that no command uses come last. Files
    that cannot be checked in time and memory are a finding of kind `UNCHECKED`.
    """
    paths = {"workspace": workspace, "submission": submission, "blend": blend, "task": task}
    request: dict[str, Any] = {name: str(path.absolute()) for name, path in paths.items()}
    request |= {"log": log.decode(errors="replace"), "commands": list(commands)}
    try:
        reply = run_isolated("tasks.leakage.solution", request, seconds)
    except ChildFailed as failure:
        reason = str(failure).strip().splitlines()[-1][:200]
        message = f"the files of the solution could not be checked for leaks ({reason})"
        return SolutionCheck([Finding(UNCHECKED, message)])
    return SolutionCheck([Finding(**finding) for finding in reply["findings"]], reply["printed"])


def printed_scores(log: str) -> list[float]:
    """Numbers in a log that a pattern finds next to a word for a score."""
    return [float(number) for number in CLAIM.findall(PRINTED_DICT.sub("", log))]


def may_be_score(claimed: float, score: float, lower_is_better: bool) -> bool:
    """Whether a printed number may be a score of the same metric: not above 1 if the harness's score is a share, and
    not below 0 if it is a loss."""
    return not ((claimed < 0 <= score) if lower_is_better else (claimed > 1 >= score))


def check_claim(claimed: float | None, score: float, noise: float, lower_is_better: bool) -> list[Finding]:
    """Whether the score that a solution printed is far better than the harness's. Only people may see the finding."""
    if claimed is None or noise <= 0 or not may_be_score(claimed, score, lower_is_better):
        return []
    errors = (score - claimed if lower_is_better else claimed - score) / noise
    small, large = sorted((abs(claimed), abs(score)))
    if errors <= MIN_CLAIM_ERRORS or (large > LARGE and large > TIMES * small):
        return []
    message = f"the solution printed {claimed:g}, the held-out rows give {score:.4g} ± {noise:.2g}"
    return [Finding("self-reported too high", message, agent_may_see=False)]


# ------------------------------------------------------------------------------------------------- in the child process


def check_files(
    workspace: Path, submission: Path, blend: Path, task: Path, commands: Sequence[str] = ()
) -> list[Finding]:
    """The findings in the files of a workspace, in this process; first those in files that the commands use."""
    from tasks.holdout.blend import load_blend, read_meta

    loaded = load_blend(blend)
    meta = read_meta(loaded.private_labels)
    ids = _sample_ids(loaded.public, meta["id"], task)
    known = _Known(ids, _train_ids(task, loaded.public), meta["targets"])
    files = {path.relative_to(workspace).as_posix(): path for path in _files(workspace, submission)}
    sources = {name: _read(path) for name, path in files.items() if path.suffix == ".py" and _is_short(path)}
    used = used_files(commands, sources, files)
    names = sorted(files, key=lambda name: name not in used)
    return list(dict.fromkeys(finding for name in names for finding in _check_file(files[name], name, known)))


@dataclass(frozen=True)
class _Known:
    """What a file is searched for: ids of rows to predict, ids of labelled rows, names of the target columns."""

    sample_ids: Sequence[str]
    train_ids: Collection[str]
    targets: Sequence[str]


def _files(workspace: Path, submission: Path) -> Iterator[Path]:
    for path in sorted(workspace.rglob("*")):
        is_data = path.relative_to(workspace).parts[0] in ("data", ".jobs")
        if path != submission and not is_data and not path.is_symlink() and path.is_file():
            yield path


def _is_short(path: Path) -> bool:
    return path.stat().st_size <= CODE_BYTES


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _check_file(path: Path, name: str, known: _Known) -> list[Finding]:
    from tasks.leakage.code import check_code, check_text

    if not _is_short(path):
        what = f"{name} has {path.stat().st_size} bytes: source so long holds data"
        return [Finding("a table in the code", what)] if path.suffix == ".py" else []
    text = _read(path)
    if path.suffix == ".py":
        return check_code(text, known.sample_ids, known.train_ids, known.targets, name)
    return check_text(text, name, known.sample_ids, known.train_ids)


def _sample_ids(public: Path, id_name: str, task: Path) -> list[str]:
    """Ids of rows to predict, as the agent sees them."""
    from tasks.io.csv_text import TableError, read_rows
    from tasks.task import load_task

    for path in public.rglob(load_task(task).submission.sample.name):
        try:
            header, *rows = islice(read_rows(path), ROWS)
            return [row[header.index(id_name)] for row in rows]
        except (TableError, OSError, ValueError):
            continue
    return []


def _train_ids(path: Path, public: Path) -> frozenset[str]:
    """Ids of labelled rows: those that the agent sees are held out on other folds. It may see them renamed."""
    from tasks.holdout.sources import Table, labelled_source
    from tasks.io.csv_text import TableError
    from tasks.io.path_templates import Template
    from tasks.task import TaskError, load_task

    try:
        task = load_task(path)
        if task.labels is None:
            return frozenset()
        source, template = labelled_source(task, task.labels), Template(task.labels.id)
        if isinstance(source, Table):
            source = source.moved(lambda path: public / path.relative_to(task.public))
        index = {name: source.header.index(name) for name in template.names}
        rows = islice(source.rows(), ROWS)
        return frozenset(template.fill({name: source.plain(row[at]) for name, at in index.items()}) for row in rows)
    except (TaskError, TableError, OSError, ValueError, KeyError):
        return frozenset()


def _perform(request: dict[str, Any]) -> Reply:
    bound_memory()
    workspace, submission, blend, task = (Path(request[name]) for name in ("workspace", "submission", "blend", "task"))
    findings = [asdict(finding) for finding in check_files(workspace, submission, blend, task, request["commands"])]
    return {"findings": findings, "printed": printed_scores(request["log"])}


if __name__ == "__main__":
    serve(_perform)
