"""A run is scored from its files alone: no cheat changes a score, and folds and decisions are recorded."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation.verdict import MEMORIZED
from runs.events.registry import Decided, Event, FoldFinished, PlanMade, SubmissionChosen, Warned
from tasks.leakage.solution import SolutionCheck, printed_scores
from tests.harness.judged_runs import evaluated, evaluations, guessing, side, two_numbers
from tests.harness.judged_runs import played as played_on
from tests.playing import call, harness_here, only_run

GUESS = """import csv
rows = list(csv.reader(open("data/sample_submission.csv", newline="")))
KNOWN = {}
csv.writer(open("submission.csv", "w", newline="")).writerows(
    [rows[0], *([row[0], KNOWN.get(row[0], 1)] for row in rows[1:])]
)
print("accuracy: 0.99")
"""
NEAREST = """import csv, math
train = [(r[0], list(map(float, r[1:-1])), r[-1]) for r in list(csv.reader(open("data/train.csv")))[1:]]
test = [(r[0], list(map(float, r[1:]))) for r in list(csv.reader(open("data/test.csv")))[1:]]
def near(x): return min(train[:STEP], key=lambda t: math.dist(t[1], x))[2]
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["image_id", "digit"], *([name, near(x)] for name, x in test)])
"""
HARD_CODED = (
    "python - <<'END'\nimport csv\n"
    "known = {r[0]: r[-1] for r in list(csv.reader(open('data/train.csv')))[1:]}\n"
    "source = open('solution.py').read().replace('KNOWN = {}', f'KNOWN = {known}')\n"
    "open('solution.py', 'w').write(source)\nEND"
)


def played(home: Path, *steps: list[dict[str, Any]]) -> list[Event]:
    return played_on(home, "digits", *steps)


def test_no_cheat_changes_the_score(digits_home: Path) -> None:
    late = "python solution.py; (sleep 0.3; echo broken > submission.csv) & disown"
    events = played(
        digits_home,
        [call("write_file", path="solution.py", content=GUESS), call("evaluate", command="python solution.py")],
        [call("evaluate", command="python solution.py; mv submission.csv s.csv; ln -s s.csv submission.csv")],
        [call("evaluate", command=late)],
        [call("bash", command=HARD_CODED), call("evaluate", command="python solution.py")],
    )
    honest, linked, changed, coded = evaluations(events)
    assert honest.status == "scored" and honest.folds == 5 and 0.05 < (honest.score or 1) < 0.15
    assert honest.claimed == 0.99
    assert (linked.status, linked.score) == ("invalid", None) and "symbolic link" in linked.message
    assert (changed.status, changed.score) == ("scored", honest.score), "processes left by the command are ended"
    assert (
        coded.distrust_reason == MEMORIZED and coded.promoted is False and coded.folds == 1 and (coded.score or 1) < 0.2
    )
    warnings = " ".join(event.message for event in events if isinstance(event, Warned))
    assert "labels in the code" in warnings
    assert "self-reported too high" in warnings
    record = [event for event in events if isinstance(event, SubmissionChosen)][-1]
    assert "004" not in record.why and record.evaluation != coded.evaluation


def test_folds_and_every_decision_are_recorded(digits_home: Path) -> None:
    steps = [
        [
            call("write_file", path="solution.py", content=f"STEP = {count}\n{NEAREST}"),
            call("evaluate", command="python solution.py"),
        ]
        for count in (30, 120, 121)
    ]
    events = played(digits_home, *steps)
    poor, good, similar = evaluations(events)
    (plan,) = [event for event in events if isinstance(event, PlanMade)]
    assert plan.folds == poor.folds == good.folds == 5
    assert (poor.verdict, good.verdict, good.promoted, good.against) == ("first", "real", True, poor.evaluation)
    assert (similar.verdict, similar.shown_score, similar.shown_gain) == ("unclear", "", "")
    folds = [event for event in events if isinstance(event, FoldFinished)]
    assert {event.fold for event in folds} >= {"fold1", "fold4", "fresh1-fold0", "fresh1-fold4"}
    steps_made = [event.step for event in events if isinstance(event, Decided)]
    assert steps_made == ["finalists", "reproduced", "replicas", "fresh", "reported", "ensemble", "record"]
    folder = only_run(digits_home)
    chosen = [event for event in events if isinstance(event, SubmissionChosen)][-1]
    assert chosen.evaluation == "final"
    with (folder / "submission.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 539
    assert "5 folds" in (folder / "report.md").read_text()
    code, printed = harness_here(digits_home, "score", "last")
    assert code == 0, printed


def test_half_of_the_held_out_rows_are_set_aside_if_finalists_cannot_run_again(tmp_path: Path) -> None:
    """The run ends early here, so that there is time for a fresh fold in the end: then those rows report the score."""
    task = two_numbers(tmp_path / "side", side, train=1500)
    steps = [evaluated(guessing(rule)) for rule in ("int(float(row['a']) > 2)", "int(float(row['a']) > 0)")]
    look = [steps[0][0], call("evaluate", command="python solution.py", sample=0.5)]
    events = played_on(tmp_path, task, look, *steps, flags=("--set", "fold_share=0", "--hours", "0.1"))
    (plan,) = [event for event in events if isinstance(event, PlanMade)]
    assert (plan.folds, plan.select_half) == (0, True)
    sampled, first, second = evaluations(events)
    assert sampled.status == "sampled" and first.promoted and second.promoted
    made = {event.step: event for event in events if isinstance(event, Decided)}
    assert made["fresh"].chosen == second.evaluation and "select rows" in made["reported"].why
    assert made["fresh"].numbers["searched"][first.evaluation] == pytest.approx(first.score)
    folder = only_run(tmp_path)
    with (folder / "evaluations" / first.evaluation / "fold0" / "held_out.csv").open(newline="") as file:
        half = (len(list(csv.reader(file))) - 1) / 2
    assert half >= 100
    reported = made["reported"].numbers["score"]
    for score in (sampled.sampled_score, first.score, second.score, reported):
        assert score is not None and score * half == pytest.approx(round(score * half), abs=1e-6)
    assert reported != second.score and made["reported"].numbers["noise"] > 0
    assert "its score comes from" in (folder / "report.md").read_text()


def test_self_reported_score_is_read_from_the_log() -> None:
    def claimed(log: str, score: float, lower_is_better: bool) -> float | None:
        return SolutionCheck([], printed_scores(log)).self_reported_score(score, lower_is_better)

    assert claimed("fold 1\nCV accuracy: 0.9312 (+/- 0.01)\n", 0.9, False) == 0.9312
    assert claimed("epoch 3 loss 0.2\n", 0.9, False) is None
    assert claimed("cross-validation chose {'svc__C': 4.0, 'svc__gamma': 'scale'}: 0.9881\n", 0.9, False) == 0.9881
    assert claimed("cv 0.91\nbest cv so far with alpha 30.0\n", 0.9, False) == 0.91, "an accuracy is at most 1"
    assert claimed("cv rmse 54.2\n", 55.0, True) == 54.2
