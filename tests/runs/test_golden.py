"""Each view of one run equals its golden file. `UPDATE_GOLDEN=1` rewrites the files; review the diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from run_stories import small_run, stamp

from runs.events.registry import Decided, Event, Paused, PlanMade, Resumed, RunEnded, SubmissionChosen, Warned
from runs.state import fold
from runs.views.report import report
from runs.views.summary import results_tsv
from runs.views.transcript import transcript

GOLDEN = Path(__file__).parent / "golden"


def whole_run() -> list[Event]:
    """Two attempts, an interruption, and a final choice that does not submit the best evaluation."""
    plan = PlanMade(folds=5, labelled_rows=900, seconds=30.0, allowance=600.0, kept_back=60.0, why="900 labelled rows")
    before: list[Event] = [plan, Paused(why="stopped by Ctrl-C")]
    after: list[Event] = [
        Resumed(harness_version="0.1", torn=True),
        Warned(message="slow disk"),
        Decided(step="finalists", chosen="e1 e2", why="of 2"),
        Decided(step="fresh", chosen="e2", why="best of 2 on fresh folds", numbers={"judged": {"e1": 0.9, "e2": 0.95}}),
        SubmissionChosen(evaluation="e2", sha256="d" * 64, why="best of 2 on fresh folds"),
        Decided(step="record", chosen="e2", why="best of 2 on fresh folds"),
        RunEnded(why="attempts"),
    ]
    run = small_run()
    run += [stamp(event, len(run) + index) for index, event in enumerate(before)]
    return [*run, *(stamp(event, len(run) + index, 5.0) for index, event in enumerate(after))]


@pytest.mark.parametrize("name", ["transcript.md", "transcript_full.md", "report.md", "results.tsv"])
def test_view_equals_its_golden_file(name: str) -> None:
    events = whole_run()
    text = {
        "transcript.md": lambda: "".join(transcript(events)),
        "transcript_full.md": lambda: "".join(transcript(events[:20], full=True)),
        "report.md": lambda: report(fold(events), events),
        "results.tsv": lambda: results_tsv(fold(events)),
    }[name]()
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text(), "review the change, then run the test with UPDATE_GOLDEN=1"
