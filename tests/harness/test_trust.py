"""What a run trusts: a score that holds wherever the solution is run, and a submission that its code makes again."""

from __future__ import annotations

import csv
import random
import signal
import time
from pathlib import Path

import pytest

from harness.evaluation.verdict import FAILED_ELSEWHERE, MEMORIZED, NOT_REPRODUCED
from runs.events.registry import Decided, Event, FoldFinished, SubmissionChosen, Warned
from runs.state import fold
from runs.views.final_choice import result_evaluation
from runs.views.summary import read_summary
from tests.harness.judged_runs import (
    cheating,
    coin,
    evaluated,
    evaluations,
    guessing,
    played,
    script,
    side,
    told,
    two_numbers,
)
from tests.playing import call, events_of, harness, only_run, start_harness
from tests.servers.chat_server import ChatServer, wait_until

ABOVE = "int(float(row['a']) > {})"


def decisions(events: list[Event]) -> dict[str, Decided]:
    return {event.step: event for event in events if isinstance(event, Decided)}


def record(events: list[Event]) -> SubmissionChosen:
    return [event for event in events if isinstance(event, SubmissionChosen)][-1]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.33, 1.0])
def test_labels_learnt_by_heart_move_no_score_however_few(share: float, tmp_path: Path) -> None:
    events = played(tmp_path, two_numbers(tmp_path / "coin", coin), evaluated(guessing("'0'")), cheating(share))
    honest, cheat = evaluations(events)
    assert honest.promoted and honest.folds == 5
    assert (cheat.distrust_reason, cheat.promoted, cheat.shown_score) == (NOT_REPRODUCED, False, "not shown")
    assert record(events).evaluation == honest.evaluation
    assert "standard errors" not in told(events)[1], "how far apart it is would be a number about labels"


@pytest.mark.slow
def test_what_is_not_trusted_is_handed_in_only_until_there_is_better(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "side", side)
    events = played(tmp_path, task, cheating(1.0), evaluated(guessing(ABOVE.format(0))))
    cheat, honest = evaluations(events)
    assert (cheat.distrust_reason, cheat.promoted) == (NOT_REPRODUCED, False)
    chosen = [event for event in events if isinstance(event, SubmissionChosen)]
    assert "not trusted" in chosen[1].why and chosen[1].evaluation == cheat.evaluation
    assert (honest.verdict, honest.promoted, honest.distrust_reason) == ("first", True, ""), (
        "a cheat is nothing to compare with"
    )
    assert record(events).evaluation != cheat.evaluation
    assert decisions(events)["finalists"].chosen == honest.evaluation


TELLING = """import csv, sys
train = {row[0]: row[-1] for row in list(csv.reader(open("data/train.csv")))[1:]}
rows = list(csv.reader(open("data/sample_submission.csv")))
held = [key for key in open("held.toml").read().split() if key in train]
if held and MODE == "rows":
    rows = rows[:1] + [["x", "1"]] * 71731
if held and MODE == "exit":
    sys.exit(97)
csv.writer(open("submission.csv", "w", newline="")).writerows([rows[0], *([row[0], "0"] for row in rows[1:])])
"""
NOTED = "cut -d, -f1 data/sample_submission.csv > held.toml"


@pytest.mark.slow
def test_other_folds_tell_the_agent_nothing_but_that_they_failed(tmp_path: Path) -> None:
    """The other folds train on what the agent's own fold holds out: a number of rows could spell its labels."""
    events = played(
        tmp_path,
        two_numbers(tmp_path / "coin", coin),
        [call("bash", command=NOTED), *evaluated(TELLING.replace("MODE", "'rows'"))],
        evaluated(TELLING.replace("MODE", "'exit'")),
    )
    for result, evaluation in zip(told(events), evaluations(events), strict=True):
        assert evaluation.distrust_reason == FAILED_ELSEWHERE and f"not trusted: {FAILED_ELSEWHERE}" in result
        said = "\n".join(line for line in result.split("\n") if not line.startswith("commit "))
        assert "71731" not in said and "97" not in said
    failed = [event.message for event in events if isinstance(event, FoldFinished)]
    assert "71731" in failed[0] and "97" in failed[1], "its owner may know"


@pytest.mark.slow
def test_a_cheat_that_is_worse_on_the_agents_fold_is_not_chosen_on_rows_it_knows(tmp_path: Path) -> None:
    """It is not run on the other folds then; at the end, on fresh folds, it would shine with what it knows by heart."""
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


@pytest.mark.slow
def test_a_refit_that_the_metric_could_not_score_is_not_handed_in(tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_of_a_time_split_the_fresh_one_is_another_which_a_refit_is_held_against(
    tmp_path: Path,
) -> None:
    task = two_numbers(tmp_path / "late", noisy, train=1000, metric="rmse", more="blend: {split: {time: b}}\n")
    events = played(tmp_path, task, evaluated(SHIFTED))
    (one,) = evaluations(events)
    fresh = [event for event in events if isinstance(event, FoldFinished) and event.fold.startswith("fresh")]
    assert fresh and fresh[0].score != one.score
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


@pytest.mark.slow
def test_a_submission_its_code_does_not_make_again_is_not_handed_in(tmp_path: Path) -> None:
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
    honest, brought, by_heart = evaluations(events)
    assert honest.score and brought.score and brought.score == by_heart.score and brought.score > honest.score
    assert (brought.distrust_reason, brought.shown_score) == (MEMORIZED, "not shown"), (
        "a table with the ids of rows to predict"
    )
    made = decisions(events)
    assert set(made["finalists"].chosen.split()) == {one.evaluation for one in (honest, by_heart)}
    assert made["reproduced"].chosen == honest.evaluation
    assert by_heart.evaluation in made["reproduced"].why
    assert made["select"].chosen == honest.evaluation and made["refit"].chosen == "refit"
    assert record(events).why == "refitted on all labelled rows"
    state, summary = fold(events), read_summary(only_run(tmp_path)) or {}
    stands = result_evaluation(state)
    assert (
        stands is not None and summary["score"] == stands.score == made["select"].numbers["judged"][honest.evaluation]
    )
    assert summary["score"] != honest.score, "the front page has the number of rows that chose nothing"
    assert f"submitted: {stands.score:.4f}" in (only_run(tmp_path) / "report.md").read_text()


def noisy(draw: random.Random, a: float, b: float) -> str:
    return f"{a + b + draw.gauss(0, 0.1):.4f}"


@pytest.mark.slow
def test_two_that_err_apart_are_averaged_where_lower_is_better(tmp_path: Path) -> None:
    """y = a + b: one solution knows a and some of b, the other b and some of a; their mean knows most of both."""
    task = two_numbers(tmp_path / "sum", noisy, metric="rmse")
    one, other = ("float(row['a']) + 0.4 * float(row['b'])", "float(row['b']) + 0.48 * float(row['a'])")
    events = played(tmp_path, task, evaluated(guessing(one)), evaluated(guessing(other)))
    first, second = evaluations(events)
    assert first.score and second.score and first.folds == second.folds == 5
    made = decisions(events)["ensemble"]
    assert made.numbers["accepted"] and set(made.chosen.split()) == {first.evaluation, second.evaluation}
    assert made.numbers["score"] < min(first.score, second.score)
    with (tmp_path / "sum" / "public" / "test.csv").open() as file:
        mean = {row["key"]: 0.74 * float(row["a"]) + 0.7 * float(row["b"]) for row in csv.DictReader(file)}
    with (only_run(tmp_path) / "submission.csv").open() as file:
        handed_in = {row["key"]: float(row["y"]) for row in csv.DictReader(file)}
    assert handed_in == pytest.approx(mean, abs=1e-6)


SLOW = "import time\ntime.sleep({})\n"


@pytest.mark.slow
def test_time_that_runs_out_is_no_alarm_and_folds_that_are_missing_are_run_at_the_end(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "side", side)
    begun = time.monotonic()
    events = played(
        tmp_path,
        task,
        evaluated(guessing(ABOVE.format(1.5))),
        evaluated(SLOW.format(7) + guessing(ABOVE.format(0.0))),  # four times 7 s are more than two fifths of 54 s
        flags=("--hours", "0.015"),
    )
    assert time.monotonic() - begun < 0.015 * 3600 + 15, "folds do not outlast the run"
    quick, slow = evaluations(events)
    assert (quick.folds, slow.folds) == (5, 1)
    assert (slow.verdict, slow.promoted, slow.distrust_reason) == ("real", True, "")
    assert not [event for event in events if isinstance(event, Warned) and "not trusted" in event.message]
    assert decisions(events)["record"].chosen == slow.evaluation


@pytest.mark.slow
def test_a_kill_after_the_last_fold_changes_no_score(tmp_path: Path) -> None:
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
    assert (better.folds, better.distrust_reason, better.promoted) == (5, "", True), (
        "what was run is not asked to fit again"
    )
