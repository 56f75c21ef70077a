"""`report.md`, `results.tsv` and `summary.json`: their facts, and how they are written."""

from __future__ import annotations

import json
from pathlib import Path

from run_stories import created, small_run, stamp

from runs.events.registry import (
    Decided,
    EvaluationStarted,
    Event,
    ModelAsked,
    Paused,
    Resumed,
    RunEnded,
    SubmissionChosen,
    ThresholdsKnown,
    Warned,
)
from runs.state import State, fold
from runs.views.format import medal_text
from runs.views.report import report, write_report
from runs.views.summary import read_summary, results_tsv, write_results, write_summary
from runs.views.transcript import transcript


def interrupted_run() -> list[Event]:
    more: list[Event] = [
        Paused(why="stopped by Ctrl-C"),
        Resumed(harness_version="0.1", torn=True),
        ModelAsked(request=5, messages=2, size=9, breach=True),
        Warned(message="slow disk"),
        Warned(message="slow disk"),
        RunEnded(why="attempts"),
    ]
    return [*small_run(), *(stamp(event, len(small_run()) + index, 5.0) for index, event in enumerate(more))]


def test_a_run_that_is_paused_in_the_middle_of_an_evaluation_has_a_report() -> None:
    events = small_run()
    number = next(number for number, event in enumerate(events) if isinstance(event, EvaluationStarted))
    events = [*events[: number + 1], stamp(Paused(why="stopped by SIGTERM"), number + 1, 5.0)]
    assert "| open |" in report(fold(events), events)


def test_report_has_result_cost_and_incidents(tmp_path: Path) -> None:
    events = interrupted_run()
    text = write_report(tmp_path, fold(events), events).read_text()
    for part in (
        "# digits: 0.971 ± 0.011 (labels unprotected), gold to bronze (estimate from held-out rows)",
        "- model: demo (demo model, not an LLM)",
        "| attempt | parent | commit | score (labels unprotected) | minutes |",
        "| 1 | none | 000000000000 | 0.971 ± 0.011, of record |",
        "| 2 | 000000000000 |",
        "| $0.2500 | finish | Tried idea 1. |",
        "submission of record: evaluation `e1`, best score so far",
        "`git clone repo.git winner`",
        "`python train.py`",
        "thresholds: gold 0.98, silver 0.97, bronze 0.95, median 0.9 (leaderboard of 40)",
        "- cost: $0.5000",
        "2,000 in (40% cached), 100 out, 2 replies to 5 requests (2 failed, 2 retried)",
        "**labels unprotected**",
        "- resumed 1 times; 1 incomplete last lines",
        "- 1 requests did not extend the one before",
        "- paused: stopped by Ctrl-C",
        "- warning: slow disk (2 times)",
        "ended: attempts",
    ):
        assert part in text, part


def test_views_say_what_was_submitted_instead_of_the_best_evaluation() -> None:
    events = small_run()
    assert "submission of record is" not in report(fold(events), events) + "".join(transcript(events))
    chosen = ("select", "e2", "best of 2 on the select rows"), ("record", "e2", "the mean over 2 runs of e2")
    decided = [
        Decided(step=step, chosen=name, why=why, numbers={"judged": {"e1": 0.9, "e2": 0.95}})
        for step, name, why in chosen
    ]
    ends: dict[str, list[Event]] = {
        "that of evaluation e2 (a person said so)": [
            SubmissionChosen(evaluation="e2", sha256="c" * 64, why="a person said so")
        ],
        "the sample submission (it crashed before)": [
            SubmissionChosen(evaluation="", sha256="b" * 64, why="it crashed before")
        ],
        "from e2 (the mean over 2 runs of e2; e2 was best of 2 on the select rows)": [
            SubmissionChosen(evaluation="final", sha256="d" * 64, why="the mean over 2 runs of e2"),
            *decided,
        ],
    }
    for expected, more in ends.items():
        whole = [*events, *(stamp(event, len(events) + index, 5.0) for index, event in enumerate(more))]
        for text in (report(fold(whole), whole), "".join(transcript(whole))):
            assert "instead of the submission of evaluation e1" in text
            assert expected in text


def test_report_of_an_isolated_run_of_a_real_model_has_no_marks() -> None:
    events = small_run(protects_labels=True, is_demo=False, sandbox="bubblewrap")
    text = report(fold(events), events)
    assert "unprotected" not in text
    assert "demo model" not in text


def test_run_without_evaluations_has_a_report() -> None:
    assert "no scored submission" in report(fold([created()]), [created()])
    assert "empty" in report(State(), [])


def test_results_tsv_has_one_line_per_evaluation(tmp_path: Path) -> None:
    state = fold(small_run())
    write_results(tmp_path, state)
    rows = [line.split("\t") for line in (tmp_path / "results.tsv").read_text().splitlines()]
    assert rows[0] == ["commit", "score", "status", "minutes", "description"]
    assert rows[1] == ["000000000000", "0.9712", "best", "0.5", "attempt 1: Tried idea 1. (labels unprotected)"]
    assert rows[2][1:3] == ["0.95", "scored"]
    assert len(rows) == 3


def test_control_sequences_of_the_model_reach_no_file_for_people() -> None:
    state = fold(small_run())
    state.attempts[0] = type(state.attempts[0])(1, None, did="\x1b]0;title\x07a\x1b[2Jb\u202ec\x1b]open")
    for text in (results_tsv(state), report(state, small_run())):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "abc" in text
        assert "Tried idea 2" in text


def test_model_text_cannot_break_a_table_row() -> None:
    state = fold(small_run())
    state.attempts[0] = type(state.attempts[0])(1, None, did="a\tb\nc | d")
    assert results_tsv(state).splitlines()[1].endswith("attempt 1: a b c | d (labels unprotected)")
    assert "a b c \\| d" in report(state, small_run())


def test_summary_is_replaced_atomically(tmp_path: Path) -> None:
    assert read_summary(tmp_path) is None
    for events in (small_run()[:5], interrupted_run()):
        write_summary(tmp_path, fold(events))
        assert (read_summary(tmp_path) or {})["events"] == len(events)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["best_score"], summary["medal_estimate"], summary["cost"]) == (0.9712, "gold to bronze", 0.5)
    assert (summary["status"], summary["attempts"], summary["is_demo"]) == ("ended: attempts", 2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"], "no temporary file is left"


def test_medals_follow_the_direction_of_the_metric() -> None:
    lines = ThresholdsKnown(gold=10, silver=20, bronze=30, median=40)
    assert [medal_text(score, lines, True) for score in (10, 10.1, 30, 31)] == ["gold", "silver", "bronze", "no medal"]
    assert medal_text(31, lines, False) == "gold"
    noisy = [medal_text(score, lines, True, 2.0) for score in (7, 9, 11, 21, 29, 33)]
    assert noisy == ["gold", "gold or silver", "gold or silver", "silver or bronze", "bronze or no medal", "no medal"]
    assert medal_text(20, lines, True, 15.0) == "gold to no medal"
    assert medal_text(None, lines, True) == medal_text(1, None, True) == medal_text(1, ThresholdsKnown(), True) == ""
