"""A run trusts a score that holds on other folds, and a submission that its code makes again."""

from __future__ import annotations

import csv
import random
import signal
import time
from pathlib import Path

import pytest

from harness.evaluation.verdict import FAILED_ELSEWHERE, NOT_REPRODUCED
from runs.events.registry import Decided, Event, FoldFinished, SubmissionChosen, Warned
from runs.state import fold
from runs.views.final_choice import result_evaluation
from runs.views.format import score_text
from runs.views.summary import read_summary
from tests.harness.judged_runs import (
    cheating,
    coin,
    evaluate_results,
    evaluated,
    evaluations,
    guessing,
    played,
    script,
    side,
    two_numbers,
)
from tests.playing import call, events_of, harness, only_run, start_harness
from tests.servers.chat_server import ChatServer, wait_until

ABOVE = "int(float(row['a']) > {})"


def decisions(events: list[Event]) -> dict[str, Decided]:
    return {event.step: event for event in events if isinstance(event, Decided)}


def record(events: list[Event]) -> SubmissionChosen:
    return [event for event in events if isinstance(event, SubmissionChosen)][-1]


@pytest.mark.parametrize(
    "share", [0.2, pytest.param(0.33, marks=pytest.mark.slow), pytest.param(1.0, marks=pytest.mark.slow)]
)
def test_memorized_labels_change_no_score(share: float, tmp_path: Path) -> None:
    events = played(tmp_path, two_numbers(tmp_path / "coin", coin), evaluated(guessing("'0'")), cheating(share))
    honest, cheat = evaluations(events)
    assert honest.promoted and honest.folds == 5
    # Either the folds differ too much, or the first fold alone decides, where the cheat knows nothing.
    assert cheat.promoted is False and cheat.folds >= 1
    shown = {NOT_REPRODUCED: "not shown", "": ""}[cheat.distrust_reason]
    assert cheat.shown_score == shown
    if (
        record(events).evaluation != honest.evaluation
    ):  # a coin may decide for the cheat, but its labels change no score
        reported = decisions(events)["reported"].numbers
        assert not cheat.distrust_reason and abs(reported["score"] - 0.5) < 2 * reported["noise"]
    assert "standard errors" not in evaluate_results(events)[1], (
        "the distance between folds would be a number about labels"
    )


def test_distrusted_evaluation_is_submitted_only_until_a_trusted_one(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "side", side)
    events = played(tmp_path, task, cheating(1.0), evaluated(guessing(ABOVE.format(0))))
    cheat, honest = evaluations(events)
    assert (cheat.distrust_reason, cheat.promoted) == (NOT_REPRODUCED, False)
    chosen = [event for event in events if isinstance(event, SubmissionChosen)]
    assert "not trusted" in chosen[1].why and chosen[1].evaluation == cheat.evaluation
    assert (honest.verdict, honest.promoted, honest.distrust_reason) == ("first", True, ""), (
        "nothing is compared with a cheat"
    )
    assert record(events).evaluation != cheat.evaluation
    assert decisions(events)["finalists"].chosen == honest.evaluation


TELLING = """import csv, sys
train = {",".join(row[1:3]) for row in list(csv.reader(open("data/train.csv")))[1:]}
rows = list(csv.reader(open("data/sample_submission.csv")))
held = [key for key in open("held.toml").read().split() if key in train]
if held and MODE == "rows":
    rows = rows[:1] + [["x", "1"]] * 71731
if held and MODE == "exit":
    sys.exit(97)
if held and MODE == "raise":
    raise KeyError("71731")
if held and MODE == "own":
    raise type("Label71731", (Exception,), {})("97")
csv.writer(open("submission.csv", "w", newline="")).writerows([rows[0], *([row[0], "0"] for row in rows[1:])])
"""
NOTED = "cut -d, -f2,3 data/test.csv | tail -n +2 > held.toml"


def test_model_reads_a_fixed_status_of_other_folds(tmp_path: Path) -> None:
    """The other folds train on rows held out from the model: a row count in a message could encode their labels."""
    events = played(
        tmp_path,
        two_numbers(tmp_path / "coin", coin),
        [call("bash", command=NOTED), *evaluated(TELLING.replace("MODE", "'rows'"))],
        evaluated(TELLING.replace("MODE", "'exit'")),
        evaluated(TELLING.replace("MODE", "'raise'")),
        evaluated(TELLING.replace("MODE", "'own'")),
    )
    reasons = [FAILED_ELSEWHERE, FAILED_ELSEWHERE, f"{FAILED_ELSEWHERE} (KeyError)", FAILED_ELSEWHERE]
    for result, evaluation, why in zip(evaluate_results(events), evaluations(events), reasons, strict=True):
        assert evaluation.distrust_reason == why and f"not trusted: {why}" in result
        text = "\n".join(line for line in result.split("\n") if not line.startswith("commit "))
        assert "71731" not in text and "97" not in text
    messages = [(event.evaluation, event.message) for event in events if isinstance(event, FoldFinished)]
    assert any(name == "001-1" and "71731" in message for name, message in messages), "the message is for people"
    assert any(name == "001-2" and "97" in message for name, message in messages)


CURIOUS = """import os, sys
logs = os.listdir(".jobs")
if any(name.rpartition("-")[2].startswith("fold") for name in logs) and len(logs) > 1:
    sys.exit(9)
"""


def test_job_on_another_fold_sees_no_output_of_other_jobs(tmp_path: Path) -> None:
    """Old logs carried labels into later evaluations."""
    steps = [evaluated(f"{CURIOUS}{guessing(guess)}") for guess in ("'0'", "'1'")]
    events = played(
        tmp_path, two_numbers(tmp_path / "coin", coin), [call("bash", command="cat data/train.csv")], *steps
    )
    assert [each.distrust_reason for each in evaluations(events)] == ["", ""]
    assert len([event for event in events if isinstance(event, FoldFinished) and event.status == "scored"]) >= 4


def test_final_selection_skips_a_cheat_that_scored_worse(tmp_path: Path) -> None:
    """It ran on no other fold; on the fresh folds of the final selection it would score rows it memorized."""
    task = two_numbers(tmp_path / "side", side)
    events = played(tmp_path, task, evaluated(guessing(ABOVE.format(0))), cheating(1.0))
    honest, cheat = evaluations(events)
    assert (cheat.verdict, cheat.folds) == ("worse", 1)
    assert decisions(events)["finalists"].chosen == decisions(events)["record"].chosen == honest.evaluation


REFITTED_BADLY = """import csv
rows = list(csv.DictReader(open("data/test.csv")))
count = sum(1 for _ in open("data/train.csv")) - 1
with open("submission.csv", "w", newline="") as file:
    guesses = [[row["key"], 1 + abs(float(row["a"]))] for row in rows]
    if count > 2900:
        guesses[len(guesses) // 2][1] = -1.5
    csv.writer(file).writerows([["key", "y"], *guesses])
"""


def test_refit_that_the_metric_rejects_is_not_submitted(tmp_path: Path) -> None:
    task = two_numbers(
        tmp_path / "size",
        lambda draw, a, b: f"{1 + abs(a) + 0.1 * abs(b):.4f}",
        train=3000,
        test=400,
        metric="rmsle",
        more="blend: {plan: {search: 0.1, select: 0.1}}\n",
    )
    events = played(tmp_path, task, evaluated(REFITTED_BADLY))
    refit = decisions(events)["refit"]
    assert not refit.chosen and "negative" in refit.why
    assert "-1.5" not in (only_run(tmp_path) / "submission.csv").read_text()


SHIFTED = """import csv
train = list(csv.DictReader(open("data/train.csv")))
shift = sum(float(row["y"]) - float(row["a"]) for row in train) / len(train)
rows = list(csv.DictReader(open("data/test.csv")))
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["key", "y"], *([row["key"], float(row["a"]) + shift] for row in rows)])
"""


def test_refit_of_a_time_split_is_compared_with_the_fresh_split(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "late", noisy, train=1000, metric="rmse", more="blend: {split: {time: b}}\n")
    events = played(tmp_path, task, evaluated(SHIFTED))
    (evaluation,) = evaluations(events)
    fresh = [event for event in events if isinstance(event, FoldFinished) and event.fold.startswith("fresh")]
    assert fresh and fresh[0].score != evaluation.score
    assert decisions(events)["refit"].numbers["usual"] > 0


ONE_BLEND = "blend: {test: public/test.csv, answer: same, split: {stratify: true}, plan: {search: 0.1, select: 0.1}}\n"
FROM_A_STRING = (
    "python - <<'END'\nimport csv\n"
    "guesses = ''.join(row[1] for row in list(csv.reader(open('mine.csv')))[1:])\n"
    "open('solution.py', 'w').write(f'''import csv\nP = {guesses!r}\n"
    'S = list(csv.reader(open("data/sample_submission.csv")))\n'
    'csv.writer(open("submission.csv", "w", newline="")).writerows('
    "[S[0], *([row[0], guess] for row, guess in zip(S[1:], P))])\n''')\nEND"
)


def test_submission_that_the_code_does_not_reproduce_is_not_submitted(tmp_path: Path) -> None:
    better = [
        call("write_file", path="better.py", content=guessing(ABOVE.format(0.0))),
        call("bash", command="python better.py && mv submission.csv mine.csv && rm better.py"),
    ]
    events = played(
        tmp_path,
        two_numbers(tmp_path / "side", side, train=3000, test=500, more=ONE_BLEND),
        evaluated(guessing(ABOVE.format(0.5))),
        [*better, call("evaluate", command="cp mine.csv submission.csv")],
        [
            call("bash", command=FROM_A_STRING),
            call("bash", command="rm mine.csv"),
            call("evaluate", command="python solution.py"),
        ],
    )
    honest, copied, memorized = evaluations(events)
    assert honest.score and memorized.score and memorized.score > honest.score
    assert (copied.status, copied.score) == ("failed", None), "no evaluation holds a table made elsewhere"
    made = decisions(events)
    assert set(made["finalists"].chosen.split()) == {each.evaluation for each in (honest, memorized)}
    assert made["reproduced"].chosen == honest.evaluation
    assert memorized.evaluation in made["reproduced"].why
    assert made["select"].chosen == honest.evaluation and made["refit"].chosen == "refit"
    assert record(events).why == "refitted on all labelled rows"
    state, summary = fold(events), read_summary(only_run(tmp_path)) or {}
    result = result_evaluation(state)
    assert (
        result is not None and summary["score"] == result.score == made["select"].numbers["judged"][honest.evaluation]
    )
    assert made["select"].numbers["judged_noise"][honest.evaluation] > 0
    assert summary["score"] != honest.score, "the summary shows a score on rows that were not used to choose"
    assert result.noise is not None and result.noise == made["reported"].numbers["noise"]
    assert f"submitted: {score_text(result.score, result.noise)}" in (only_run(tmp_path) / "report.md").read_text()


def noisy(draw: random.Random, a: float, b: float) -> str:
    return f"{a + b + draw.gauss(0, 0.1):.4f}"


def test_two_solutions_with_different_errors_are_averaged(tmp_path: Path) -> None:
    """y = a + b: one solution predicts a and part of b, the other b and part of a; their mean is nearer to y."""
    task = two_numbers(tmp_path / "sum", noisy, metric="rmse")
    one, other = ("float(row['a']) + 0.4 * float(row['b'])", "float(row['b']) + 0.48 * float(row['a'])")
    events = played(tmp_path, task, evaluated(guessing(one)), evaluated(guessing(other)))
    first, second = evaluations(events)
    assert first.score and second.score and first.folds == second.folds == 5
    made = decisions(events)["ensemble"]
    assert made.numbers["accepted"] and set(made.chosen.split()) == {first.evaluation, second.evaluation}
    assert made.numbers["score"] < min(first.score, second.score) and made.numbers["noise"] > 0
    with (tmp_path / "sum" / "public" / "test.csv").open() as file:
        mean = {row["key"]: 0.74 * float(row["a"]) + 0.7 * float(row["b"]) for row in csv.DictReader(file)}
    with (only_run(tmp_path) / "submission.csv").open() as file:
        submitted = {row["key"]: float(row["y"]) for row in csv.DictReader(file)}
    assert submitted == pytest.approx(mean, abs=1e-6)


SLOW = "import time\ntime.sleep({})\n"


@pytest.mark.slow
def test_missing_folds_raise_no_distrust_and_run_at_the_end(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "side", side)
    start = time.monotonic()
    events = played(
        tmp_path,
        task,
        evaluated(guessing(ABOVE.format(1.5))),
        evaluated(SLOW.format(7) + guessing(ABOVE.format(0.0))),  # four times 7 s are more than two fifths of 54 s
        flags=("--hours", "0.015"),
    )
    assert time.monotonic() - start < 0.015 * 3600 + 15, "folds do not outlast the run"
    quick, slow = evaluations(events)
    assert (quick.folds, slow.folds) == (5, 1)
    assert (slow.verdict, slow.promoted, slow.distrust_reason) == ("real", True, "")
    assert not [event for event in events if isinstance(event, Warned) and "not trusted" in event.message]
    assert decisions(events)["record"].chosen == slow.evaluation


@pytest.mark.slow
def test_kill_after_the_last_fold_changes_no_score(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "side", side)
    steps = evaluated(guessing(ABOVE.format(1.5))), evaluated(SLOW.format(4) + guessing(ABOVE.format(0.0)))

    def folds(home: Path) -> int:
        folder = next(iter(home.glob("runs/*/events.jsonl")), None)
        done = [event for event in events_of(folder.parent) if isinstance(event, FoldFinished)] if folder else []
        return sum(event.evaluation == "001-2" for event in done)

    with ChatServer(script(*steps), piece=1000) as server:
        flags = ["--model", "scripted", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        process = start_harness(tmp_path, "run", str(task), *flags, "--hours", "0.02")
        assert wait_until(lambda: folds(tmp_path) >= 4, 100)
        process.send_signal(signal.SIGKILL)
        process.wait()
        code, printed = harness(tmp_path, "resume", "last", "--plain")
    assert code == 0, printed
    _, better = evaluations(events_of(only_run(tmp_path)))
    assert (better.folds, better.distrust_reason, better.promoted) == (5, "", True), "finished folds need no time again"


PACKED = """import csv, hashlib
T = {table!r}
A = [chr(i) for i in range(35, 127) if i != 92]
K = {{T[i : i + 2]: A.index(T[i + 2]) * 8 - 360 for i in range(0, len(T), 3)}}
def guess(r):
    h = int(hashlib.md5((r["a"] + r["b"]).encode()).hexdigest(), 16)
    return K.get(A[h % 91] + A[h // 91 % 91], 30 * float(r["a"]))
R = list(csv.DictReader(open("data/test.csv")))
W = csv.writer(open("submission.csv", "w", newline=""))
W.writerows([["key", "y"], *([r["key"], guess(r)] for r in R)])
"""
PACK = """import csv, hashlib
A = [chr(i) for i in range(35, 127) if i != 92]
T = ""
for r in list(csv.DictReader(open("data/train.csv")))[:77]:
    h = int(hashlib.md5((r["a"] + r["b"]).encode()).hexdigest(), 16)
    T += A[h % 91] + A[h // 91 % 91] + A[min(90, max(0, round((float(r["y"]) + 360) / 8)))]
open("solution.py", "w").write(SOURCE.format(table=T))
"""


def hard_to_predict(draw: random.Random, a: float, b: float) -> str:
    return f"{30 * a + draw.gauss(0, 55):.3f}"


@pytest.mark.parametrize("seed", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_partly_memorized_labels_move_neither_score_nor_estimate(seed: int, tmp_path: Path) -> None:
    """77 of 247 labels in under 600 characters, keyed by feature values: too few for the check of 4 standard errors."""
    task = two_numbers(tmp_path / "hard", hard_to_predict, train=310, metric="rmse")
    pack = call("write_file", path="pack.py", content=f"SOURCE = {PACKED!r}\n{PACK}")
    steps = [pack, call("bash", command="python pack.py; rm pack.py"), call("evaluate", command="python solution.py")]
    events = played(tmp_path, task, steps, flags=("--seed", str(seed)))
    (cheat,) = evaluations(events)
    assert cheat.folds == 5 and cheat.score and cheat.noise and cheat.mean_score
    assert cheat.score == cheat.first_score and cheat.mean_score < cheat.score - 4
    estimate = result_evaluation(fold(events))
    with (
        (tmp_path / "hard" / "private" / "answers.csv").open() as answers,
        (only_run(tmp_path) / "submission.csv").open() as submitted,
    ):
        truth = {row["key"]: float(row["y"]) for row in csv.DictReader(answers)}
        errors = [(float(row["y"]) - truth[row["key"]]) ** 2 for row in csv.DictReader(submitted)]
    grade = (sum(errors) / len(errors)) ** 0.5
    assert estimate is not None and estimate.score is not None
    assert abs(cheat.score - grade) < 2 * cheat.noise and abs(estimate.score - grade) < 2 * cheat.noise
    assert f"score {cheat.shown_score} " in evaluate_results(events)[0]
    assert cheat.evaluation in (only_run(tmp_path) / "report.md").read_text().partition("show the score of")[2]
