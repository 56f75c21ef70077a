"""The submission of record, valid at every moment, and the files people read in a run folder.

All of them are derived from the journal and the evaluations' files, so each can be written again.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from context import memory
from harness.budget import Why
from harness.run import Run
from runs.events.registry import Part, RunEnded, SubmissionChosen
from runs.files import replace_file, sha256_hex
from runs.journal import read_events
from runs.serialization import with_finite_numbers
from runs.state import Evaluation
from runs.versions.refs import refs_of
from runs.views.format import DEMO_MODEL, LABELS_UNPROTECTED, printable_lines
from runs.views.report import write_report
from runs.views.summary import write_results, write_summary
from sandboxes.base import read_log


def begin_with_sample(run: Run, sample: Path) -> None:
    """Make the sample the submission of record, so that there is one from the first minute on."""
    content = sample.read_bytes()
    _replace(run.folder / "evaluations" / "sample.csv", content)
    run.record(
        SubmissionChosen(evaluation="", sha256=sha256_hex(content), why="the sample, until there is a better one")
    )
    restore_submission(run)


def choose(run: Run, evaluation: Evaluation, why: str) -> None:
    """Make an evaluation's submission the one of record. Doing it twice changes nothing."""
    with run.publishing:
        chosen = run.state.chosen
        if chosen is not None and chosen.evaluation == evaluation.id:
            return
        content = _submission_path(run, evaluation.id).read_bytes()
        sha256, parts = sha256_hex(content), parts_of(run.folder, evaluation)
        run.record(SubmissionChosen(evaluation=evaluation.id, sha256=sha256, why=why, parts=parts))
        restore_submission(run)


def parts_of(folder: Path, evaluation: Evaluation) -> list[Part]:
    """The results that an evaluation's submission is made of: that of the first fold, or those of all folds."""
    kept = folder / "evaluations" / evaluation.id
    count, first = evaluation.result.folds, kept / "fold0" / "submission.csv"
    if count > 1 and not (first.is_file() and first.read_bytes() == (kept / "submission.csv").read_bytes()):
        return [Part(evaluation=evaluation.id, split=f"fold{fold}") for fold in range(count)]
    return [Part(evaluation=evaluation.id)]


def choose_best(run: Run) -> None:
    """Make the submission of the best evaluation the one of record. Another lane may do so at the same time."""
    with run.publishing:
        best = run.state.best
        if best is not None:
            choose(run, best, "best score on held-out rows" if best.score is not None else "latest valid one")


def restore_submission(run: Run) -> None:
    """Restore the submission of record and the git refs after a crash, or if somebody changed the file."""
    with run.publishing:
        run.versions.set_refs(refs_of(run.state))
        chosen = run.state.chosen
        path = run.folder / "submission.csv"
        if chosen is None or (path.is_file() and sha256_hex(path.read_bytes()) == chosen.sha256):
            return
        _replace(path, _submission_path(run, chosen.evaluation).read_bytes())


def finish(run: Run, why: Why) -> None:
    """End the run: make the best submission the one of record and write the reports."""
    from runs.page.facts.kept import keep_page  # needed here only: a run starts without it

    if "record" not in run.state.decisions:
        choose_best(run)
    restore_submission(run)
    if not run.state.ended:
        run.record(RunEnded(why=why))
    write_reports(run)
    keep_page(run.folder)


def write_reports(run: Run) -> None:
    """Write all files people read; called when a run ends or pauses."""
    write_summaries(run)
    write_report(run.folder, run.state, read_events(run.folder))


def write_summaries(run: Run) -> None:
    """Write the files people follow during a run, from its state alone."""
    with run.publishing:
        for attempt in run.state.attempts:
            if attempt.ended and not (run.folder / "attempts" / f"{attempt.number:03d}" / "notes.md").exists():
                keep_attempt(run, attempt.number)
        _replace(run.folder / "memory.md", _notes(run, memory.render_memory(run.state)))
        write_results(run.folder, run.state)
        write_summary(run.folder, run.state)


def keep_attempt(run: Run, number: int) -> None:
    """Keep the results of an attempt: its best submission, scores, log and notes."""
    attempt = run.state.attempts[number - 1]
    folder = run.folder / "attempts" / f"{number:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    done = [e for e in run.state.evaluations_in(number) if e.status]
    scored = [e for e in done if e.score is not None]
    scores = [{"evaluation": e.id, "status": e.status, "score": e.score, "noise": e.noise} for e in done]
    record = {"labels_protected": run.created.protects_labels, "evaluations": scores}
    _replace(folder / "score.json", json.dumps(with_finite_numbers(record), indent=1).encode())
    if scored:
        best = (min if run.state.lower_is_better else max)(scored, key=lambda e: e.score or 0.0)
        path = _submission_path(run, best.id)
        if path.exists():
            _replace(folder / "submission.csv.gz", gzip.compress(path.read_bytes(), mtime=0))
    if done:
        _replace(folder / "output.log", read_log(run.sandbox, done[-1].started.job))
    _replace(folder / "notes.md", _notes(run, memory.render_entry(run.state, attempt)))


def _notes(run: Run, text: str) -> bytes:
    """Notes of the model as a file for people."""
    return f"{_warnings(run)}{printable_lines(text)}\n".encode(errors="replace")


def _warnings(run: Run) -> str:
    """Warnings above scores: labels unprotected, or no LLM made them."""
    created = run.created
    warnings = [] if created.protects_labels else [f"**{LABELS_UNPROTECTED}**: the sandbox could not hide the answers"]
    warnings += [f"**{DEMO_MODEL}**"] if created.is_demo else []
    return f"{'; '.join(warnings)}\n\n" if warnings else ""


def _replace(path: Path, content: bytes | Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content, is_durable=True)


def _submission_path(run: Run, evaluation: str) -> Path:
    name = Path(evaluation) / "submission.csv" if evaluation else Path("sample.csv")
    return run.folder / "evaluations" / name
