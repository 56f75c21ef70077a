"""The report, results.tsv and summary.json: what came of a run, at a glance and for the record."""

from __future__ import annotations

import json
from pathlib import Path

from run_stories import created, small_run, stamp

from runs.events.registry import (
    Decided,
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


def troubled_run() -> list[Event]:
    more: list[Event] = [
        Paused(why="stopped by Ctrl-C"),
        Resumed(harness_version="0.1", torn=True),
        ModelAsked(request=5, messages=2, size=9, breach=True),
        Warned(message="slow disk"),
        Warned(message="slow disk"),
        RunEnded(why="attempts"),
    ]
    return [*small_run(), *(stamp(event, len(small_run()) + place, 5.0) for place, event in enumerate(more))]


def test_the_report_says_what_came_of_it_what_it_cost_and_how_far_to_trust_it(tmp_path: Path) -> None:
    events = troubled_run()
    text = write_report(tmp_path, fold(events), events).read_text()
    for part in (
        "# digits: 0.971 ± 0.011 (labels unprotected), silver (estimate from held-out rows)",
        "- model: demo (demo model, not an LLM)",
        "| attempt | parent | commit | score (labels unprotected) | minutes |",
        "| 1 | none | 000000000000 | 0.971 ± 0.011, of record |",
        "| 2 | 000000000000 |",
        "| $0.2500 | finish | Tried idea 1. |",
        "submission of record: evaluation `e1`, best score so far",
        "thresholds: gold 0.98, silver 0.97, bronze 0.95, median 0.9 (leaderboard of 40)",
        "- cost: $0.5000",
        "2,000 in (40% cached), 100 out, 2 replies to 5 requests (2 failed, 2 retried)",
        "**labels unprotected**",
        "- resumed 1 times, 1 torn last lines dropped",
        "- 1 requests did not extend the one before",
        "- paused: stopped by Ctrl-C",
        "- warning: slow disk (2 times)",
        "ended: attempts",
    ):
        assert part in text, part


def test_a_best_evaluation_that_is_not_handed_in_is_told_with_what_is_and_why() -> None:
    events = small_run()
    assert "submission of record is" not in report(fold(events), events) + "".join(transcript(events))
    chosen = ("select", "e2", "best of 2 on the select rows"), ("record", "e2", "the mean over 2 runs of e2")
    decided = [
        Decided(step=step, chosen=name, why=why, numbers={"judged": {"e1": 0.9, "e2": 0.95}})
        for step, name, why in chosen
    ]
    ends: dict[str, list[Event]] = {
        "but that of evaluation e2 (a person said so)": [
            SubmissionChosen(evaluation="e2", sha256="c" * 64, why="a person said so")
        ],
        "but the sample (it crashed before)": [
            SubmissionChosen(evaluation="", sha256="b" * 64, why="it crashed before")
        ],
        "but made at the end of e2 (the mean over 2 runs of e2; e2 was best of 2 on the select rows)": [
            SubmissionChosen(evaluation="final", sha256="d" * 64, why="the mean over 2 runs of e2"),
            *decided,
        ],
    }
    for told, more in ends.items():
        whole = [*events, *(stamp(event, len(events) + place, 5.0) for place, event in enumerate(more))]
        for text in (report(fold(whole), whole), "".join(transcript(whole))):
            assert "not that of evaluation e1, the best so far" in text
            assert told in text


def test_an_isolated_run_of_a_real_model_carries_no_marks() -> None:
    events = small_run(protects_labels=True, is_demo=False, sandbox="bubblewrap")
    text = report(fold(events), events)
    assert "unprotected" not in text
    assert "demo model" not in text


def test_a_run_that_only_began_has_a_report_too() -> None:
    assert "no scored submission" in report(fold([created()]), [created()])
    assert "empty" in report(State(), [])


def test_results_are_one_line_per_evaluation(tmp_path: Path) -> None:
    state = fold(small_run())
    write_results(tmp_path, state)
    rows = [line.split("\t") for line in (tmp_path / "results.tsv").read_text().splitlines()]
    assert rows[0] == ["commit", "score", "status", "minutes", "description"]
    assert rows[1] == ["000000000000", "0.9712", "best", "0.5", "attempt 1: Tried idea 1. (labels unprotected)"]
    assert rows[2][1:3] == ["0.95", "scored"]
    assert len(rows) == 3


def test_words_of_the_model_cannot_break_a_row() -> None:
    state = fold(small_run())
    state.attempts[0] = type(state.attempts[0])(1, None, did="a\tb\nc | d")
    assert results_tsv(state).splitlines()[1].endswith("attempt 1: a b c | d (labels unprotected)")
    assert "a b c \\| d" in report(state, small_run())


def test_the_summary_is_small_and_replaced_whole(tmp_path: Path) -> None:
    assert read_summary(tmp_path) is None
    for events in (small_run()[:5], troubled_run()):
        write_summary(tmp_path, fold(events))
        assert (read_summary(tmp_path) or {})["events"] == len(events)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["best_score"], summary["medal_estimate"], summary["cost"]) == (0.9712, "silver", 0.5)
    assert (summary["status"], summary["attempts"], summary["is_demo"]) == ("ended: attempts", 2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"], "no drafts are left"


def test_medals_follow_the_direction_of_the_metric() -> None:
    lines = ThresholdsKnown(gold=10, silver=20, bronze=30, median=40)
    assert [medal_text(score, lines, True) for score in (10, 10.1, 30, 31)] == ["gold", "silver", "bronze", "no medal"]
    assert medal_text(31, lines, False) == "gold"
    assert medal_text(None, lines, True) == medal_text(1, None, True) == medal_text(1, ThresholdsKnown(), True) == ""
