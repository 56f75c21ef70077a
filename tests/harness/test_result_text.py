"""What `evaluate` says is what the journal holds: the job's time, the paired gain, the solution's own score."""

from __future__ import annotations

import re
from pathlib import Path

from runs.events.registry import EpochStarted, EvaluationFinished, EvaluationStarted, Event, JobFinished
from runs.state import fold
from runs.views.final_choice import holdout_queries
from tests.harness.judged_runs import evaluate_results, evaluated, evaluations, guessing, played, side, two_numbers
from tests.playing import call

NUMBER = re.compile(r"([+-][\d.]+) ± ([\d.]+)")


def solution(threshold: float, own: float) -> str:
    """A solution that guesses by a threshold and prints a score of its own."""
    return guessing(f"int(float(row['a']) > {threshold})") + f"print('cv accuracy: {own}')\n"


def check_times(events: list[Event], result: str, evaluation: EvaluationFinished) -> None:
    (job,) = {e.job for e in events if isinstance(e, EvaluationStarted) and e.evaluation == evaluation.evaluation}
    (ended,) = {e.seconds for e in events if isinstance(e, JobFinished) and e.job == job}
    assert f"run time: {ended:.1f} s" in result and f".jobs/{job}/log" in result


def test_shown_numbers_are_those_of_the_journal(tmp_path: Path) -> None:
    events = played(
        tmp_path,
        two_numbers(tmp_path / "side", side),
        evaluated(solution(1.5, 0.61)),
        evaluated(solution(0.0, 0.71)),
        evaluated(solution(0.01, 0.72)),
        evaluated(solution(-2, 0.55)),
        evaluated(solution(0.0, 0.71)),
    )
    first, real, unclear, worse = evaluations(events)
    (epoch,) = [event for event in events if isinstance(event, EpochStarted)]
    for fact in ("CPU core", "GB of memory", "free disk", "GPUs: none", "for Python", "limit of one evaluation"):
        assert fact in epoch.user
    assert "## Data overview" in epoch.user and "target `y`" in epoch.user
    assert [e.verdict for e in (first, real, unclear, worse)] == ["first", "real", "unclear", "worse"]
    *results, repeated = evaluate_results(events)
    for result, evaluation in zip(results, evaluations(events), strict=True):
        check_times(events, result, evaluation)
        assert f"cv accuracy: {evaluation.claimed}" in result
        assert re.search(rf"^own score .*: {evaluation.claimed}$", result, re.MULTILINE)
    for evaluation, result in ((real, results[1]), (worse, results[3])):
        (told,) = re.findall(r"^gain over .*", result, re.MULTILINE)
        gain, noise = map(float, NUMBER.findall(told)[0])
        assert evaluation.gain and evaluation.gain_noise and f"over {evaluation.against}:" in told
        assert f"paired, {evaluation.gain_folds} fold" in told and evaluation.gain_folds == evaluation.folds
        assert abs(gain - evaluation.gain) <= evaluation.gain_noise / 10
        assert abs(noise - evaluation.gain_noise) <= evaluation.gain_noise / 10
    without_output = results[2].partition("output (")[0]
    assert "±" not in without_output and "unclear" in without_output
    assert repeated.startswith(f"evaluation {real.evaluation}: scored")
    assert results[1].partition("\n")[2] in repeated
    assert holdout_queries(fold(events)) == 3, "neither the unclear one nor the repeat is a query"


def test_the_limit_of_an_evaluation_fits_the_time_of_the_attempt(tmp_path: Path) -> None:
    task = two_numbers(tmp_path / "side", side)
    events = played(tmp_path, task, evaluated(solution(0.0, 0.7)), flags=("--set", "attempt_hours=0.1"))
    (epoch,) = [event for event in events if isinstance(event, EpochStarted)]
    assert "an attempt has 6 min 00 s" in epoch.user
    assert re.findall(r"^limit of one evaluation: (.*)$", epoch.user, re.MULTILINE) == ["9 min 00 s"]


def test_a_failed_command_may_be_evaluated_again(tmp_path: Path) -> None:
    events = played(
        tmp_path,
        two_numbers(tmp_path / "side", side),
        [call("evaluate", command="echo so far; exit 3")],
        [call("evaluate", command="echo so far; exit 3")],
    )
    assert [e.status for e in evaluations(events)] == ["failed", "failed"]
    assert all("so far" in result and "exit 3" in result for result in evaluate_results(events))
