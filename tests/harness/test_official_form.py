"""A submission that the official rule refuses is invalid at `evaluate` and never becomes the submission of record."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runs.events.registry import SubmissionChosen
from tasks.mlebench.graders import score_file
from tasks.mlebench.official_metrics import NOT_IN_RANGE, ROW_SUM
from tasks.mlebench.prepare import prepare
from tests.harness.judged_runs import evaluate_results, evaluated, evaluations, played
from tests.playing import only_run

sys.path.append(str(Path(__file__).parent.parent / "tasks" / "mlebench"))
from raw_files import raw

SAMPLE = """import csv
header, *rows = csv.reader(open("data/sample_submission.csv", newline=""))
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([header, *([row[0], *predict(at)] for at, row in enumerate(rows))])
"""
SPOOKY = "spooky-author-identification"


@pytest.mark.parametrize(
    ("name", "refused", "valid", "sentence"),
    [
        (SPOOKY, "[0.333, 0.333, 0.333]", "[0.5, 0.25, 0.25]", ROW_SUM),
        (SPOOKY, "[1.5, -0.25, -0.25]", "[0.2, 0.3, 0.5]", NOT_IN_RANGE),
        ("random-acts-of-pizza", "[at - 4]", "[at / 1000]", NOT_IN_RANGE),
    ],
)
def test_refused_submission_is_invalid_and_not_of_record(
    name: str, refused: str, valid: str, sentence: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    prepare(name, home, raw(name, tmp_path / "raw", is_large=True), lambda *_: None, accepts_differences=True)
    source = SAMPLE.replace("sample_submission", "sampleSubmission") if "pizza" in name else SAMPLE
    rules = (refused, valid, f"{refused}  # once more")
    steps = [evaluated(f"def predict(at): return {rule}\n{source}") for rule in rules]
    events = played(home, name, *steps)
    first, second, third = evaluations(events)
    assert (first.status, first.message) == (third.status, third.message) == ("invalid", sentence)
    assert second.status == "scored"
    chosen = {event.evaluation for event in events if isinstance(event, SubmissionChosen)}
    assert chosen <= {second.evaluation, ""}  # empty: combined over folds at the end
    answers = home / "data" / name / "prepared" / "private" / "test.csv"
    assert 0 <= score_file(name, only_run(home) / "submission.csv", answers) < 10
    assert sentence in evaluate_results(events)[0]
