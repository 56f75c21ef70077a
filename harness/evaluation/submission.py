"""The finale and what leads to it: a valid submission in the run folder at every moment, and the files people read.

All of it is derived from the journal and the evaluations' files, so any of it can be written again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from context import memory
from harness.budget import Why
from harness.run import Run
from runs.events.registry import RunEnded, SubmissionChosen
from runs.journal import read_events
from runs.state import Evaluation
from runs.versions.refs import refs_of
from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED
from runs.views.report import write_report
from runs.views.summary import write_results, write_summary
from sandboxes.base import read_log


def begin_with_sample(run: Run, sample: Path) -> None:
    """Make the sample submission the first submission of record, so that there is one from the first minute on."""
    content = sample.read_bytes()
    write_atomically(run.folder / "evaluations" / "sample.csv", content)
    run.record(SubmissionChosen(evaluation="", sha256=_sha(content), why="the sample, until there is better"))
    restore_submission(run)


def choose(run: Run, evaluation: Evaluation, why: str) -> None:
    """Make an evaluation's submission the one of record. Doing it twice changes nothing."""
    chosen = run.state.chosen
    if chosen is not None and chosen.evaluation == evaluation.id:
        return
    content = _submission_path(run, evaluation.id).read_bytes()
    run.record(SubmissionChosen(evaluation=evaluation.id, sha256=_sha(content), why=why))
    restore_submission(run)


def restore_submission(run: Run) -> None:
    """Put the submission of record back where a crash, or anybody, left something else."""
    run.versions.set_refs(refs_of(run.state))
    chosen = run.state.chosen
    path = run.folder / "submission.csv"
    if chosen is None or (path.is_file() and _sha(path.read_bytes()) == chosen.sha256):
        return
    write_atomically(path, _submission_path(run, chosen.evaluation).read_bytes())


def finish(run: Run, why: Why) -> None:
    """End the run: the best submission is of record, the reports are written."""
    best = run.state.best
    if best is not None and "record" not in run.state.decisions:
        choose(run, best, "best score on held-out rows" if best.score is not None else "latest valid one")
    restore_submission(run)
    if not run.state.ended:
        run.record(RunEnded(why=why))
    write_reports(run)


def write_reports(run: Run) -> None:
    """Write everything people read, anew: when a run ends or pauses."""
    write_standing(run)
    write_report(run.folder, run.state, read_events(run.folder))


def write_standing(run: Run) -> None:
    """Write the files people tail while a run goes on, from its state alone."""
    for attempt in run.state.attempts:
        if attempt.ended and not (run.folder / "attempts" / f"{attempt.number:03d}" / "notes.md").exists():
            keep_attempt(run, attempt.number)
    write_atomically(run.folder / "memory.md", f"{_marks(run)}{memory.render_memory(run.state)}\n".encode())
    write_results(run.folder, run.state)
    write_summary(run.folder, run.state)


def keep_attempt(run: Run, number: int) -> None:
    """Keep what an attempt left behind: its best submission, its scores, its log and its notes."""
    attempt = run.state.attempts[number - 1]
    folder = run.folder / "attempts" / f"{number:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    done = [e for e in run.state.evaluations_in(number) if e.status]
    scored = [e for e in done if e.score is not None]
    scores = [{"evaluation": e.id, "status": e.status, "score": e.score, "noise": e.noise} for e in done]
    record = {"labels_protected": run.created.protects_labels, "evaluations": scores}
    write_atomically(folder / "score.json", json.dumps(record, indent=1).encode())
    if scored:
        best = (min if run.state.lower_is_better else max)(scored, key=lambda e: e.score or 0.0)
        path = _submission_path(run, best.id)
        if path.exists():
            write_atomically(folder / "submission.csv.gz", gzip.compress(path.read_bytes(), mtime=0))
    if done:
        write_atomically(folder / "output.log", read_log(run.sandbox, done[-1].started.job))
    write_atomically(folder / "notes.md", f"{_marks(run)}{memory.render_entry(run.state, attempt)}\n".encode())


def _marks(run: Run) -> str:
    """What must stand above any scores: that they cannot be trusted, that no LLM made them."""
    created = run.created
    told = [] if created.protects_labels else [f"**{LABELS_UNPROTECTED}**: the sandbox could not hide the answers"]
    told += [f"**{DEMO_MODEL}**"] if created.is_demo else []
    return f"{'; '.join(told)}\n\n" if told else ""


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Replace a file whole: whoever reads it sees the old or the new one. `content` may come piece by piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _submission_path(run: Run, evaluation: str) -> Path:
    name = Path(evaluation) / "submission.csv" if evaluation else Path("sample.csv")
    return run.folder / "evaluations" / name


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
