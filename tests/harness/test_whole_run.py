"""A whole run: the demo model works on a task through real jobs, and the result is graded."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from runs.events.registry import (
    AttemptEnded,
    EvaluationFinished,
    Event,
    ModelAsked,
    ModelReplied,
    RunEnded,
    ToolFinished,
    ToolStarted,
)
from runs.state import fold
from runs.views.final_choice import result_evaluation
from runs.views.format import evaluation_text, score_text
from tests.playing import events_of, harness, harness_here, only_run

ISOLATING = "bubblewrap" if shutil.which("bwrap") else "local"


def play(home: Path, task: str, *options: str) -> str:
    """Play a task with the demo model, grade it, and return what was printed."""
    code, printed = harness(home, "run", task, "--sandbox", ISOLATING, "--plain", "--score", *options, seconds=500)
    assert code == 0, printed
    return printed


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with a graded run of three attempts, and what the run printed."""
    home = tmp_path_factory.mktemp("diabetes")
    return home, play(home, "diabetes", "--attempts", "3")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_demo_model_wins_a_medal_on_two_of_three_examples(full: bool, tmp_path: Path) -> None:
    """The third is played with `--full`, or where one of the others got none."""
    medals = []
    for task in ("digits", "breast-cancer", "diabetes"):
        if sum(medals) < 2 or full:
            play(tmp_path / task, task)
            (grade,) = (tmp_path / task / "grades").iterdir()
            medals.append(json.loads(grade.read_text())["report"]["any_medal"])
    assert sum(medals) >= 2, medals


def test_run_prints_its_progress(played: tuple[Path, str]) -> None:
    _, printed = played
    assert "demo model, not an LLM" in printed
    assert "attempt 1 of 3 (draft) starts from an empty workspace" in printed
    assert "attempt 2 of 3 (improve) starts from commit" in printed
    assert "estimate from held-out rows" in printed
    assert ("labels unprotected" in printed) == (ISOLATING == "local")


def test_all_views_give_the_same_numbers(played: tuple[Path, str]) -> None:
    home, printed = played
    state = fold(events_of(only_run(home)))
    shown, listed = (harness_here(home, *command)[1] for command in (("show", "last"), ("runs",)))
    report = (only_run(home) / "report.md").read_text()
    scored = [one for one in state.evaluations.values() if one.score is not None]
    assert scored
    for one in scored:
        text = evaluation_text(one, state)
        assert f"evaluation {one.id}: {text}" in printed
        assert f"evaluation {one.id} **scored: {text}**" in shown
    for attempt in state.attempts:
        told = [one.shown_score.split(" ± ") for one in scored if one.attempt == attempt.number and one.shown_score]
        claimed = re.findall(r"scored (-?[\d.]+) ± ([\d.]+)", attempt.did)
        assert {tuple(map(float, pair)) for pair in claimed} <= {tuple(map(float, pair)) for pair in told}
    result = result_evaluation(state)
    assert result is not None
    final = score_text(result.score, result.noise)
    (end,) = (line for line in printed.splitlines() if "  ended (" in line)
    assert "±" in final and all(final in text for text in (end, report.splitlines()[0], listed))


def test_replies_and_starts_are_recorded_before_their_results(played: tuple[Path, str]) -> None:
    events = events_of(only_run(played[0]))
    assert [event.seq for event in events] == list(range(len(events)))
    assert isinstance(events[-1], RunEnded)
    asked: set[int] = set()
    known: set[str] = set()
    started: set[str] = set()
    for event in events:
        if isinstance(event, ModelAsked):
            asked.add(event.request)
        elif isinstance(event, ModelReplied):
            assert event.request in asked
            known |= {call.id for call in event.calls}
        elif isinstance(event, ToolStarted):
            assert event.call in known
            started.add(event.call)
        elif isinstance(event, ToolFinished):
            assert event.call in started


def test_each_attempt_leaves_its_files(played: tuple[Path, str]) -> None:
    folder = only_run(played[0])
    events = events_of(folder)
    scored = [event for event in events if isinstance(event, EvaluationFinished) and event.status == "scored"]
    ended = [event for event in events if isinstance(event, AttemptEnded)]
    assert len(ended) == 3
    assert all(event.did for event in ended)
    rows = (folder / "results.tsv").read_text().splitlines()
    assert rows[0].split("\t") == ["commit", "score", "status", "minutes", "description"]
    assert len(rows) == 1 + sum(isinstance(event, EvaluationFinished) for event in events)
    for event in scored:
        assert (folder / "evaluations" / event.evaluation / "submission.csv").is_file()
    assert "## Attempt 2" in (folder / "memory.md").read_text()
    assert "demo model, not an LLM" in (folder / "report.md").read_text()
    assert (folder / "attempts" / "002" / "notes.md").is_file()


def test_no_window_shows_events_for_people(played: tuple[Path, str]) -> None:
    folder = only_run(played[0])
    events = events_of(folder)
    shown = "\n".join(text_for_the_model(event) for event in events)
    thresholds = next(event for event in events if event.kind == "thresholds_known")  # type: ignore[attr-defined]
    secrets = [thresholds.gold, thresholds.silver, thresholds.bronze]  # type: ignore[attr-defined]
    secrets += [event.score for event in events if isinstance(event, EvaluationFinished)]
    assert not [secret for secret in secrets if secret is not None and repr(secret) in shown]
    assert "leaderboard" not in shown
    assert "answers.csv" not in shown


def text_for_the_model(event: Event) -> str:
    """All text of an event that reaches a window."""
    fields = event.model_dump(mode="json")
    names = ("system", "tools", "user", "message", "content", "text")
    return "\n".join(str(fields[name]) for name in names if name in fields and event.audience == "model")


def test_run_is_shown_listed_and_graded(played: tuple[Path, str]) -> None:
    home, _ = played
    code, shown = harness_here(home, "show", "last", "--full")
    assert code == 0
    assert "solution.py" in shown
    assert "demo model, not an LLM" in shown
    code, attempt = harness_here(home, "show", "last", "--attempt", "2")
    assert code == 0
    assert len(attempt) < len(shown)
    code, listed = harness_here(home, "runs")
    assert code == 0
    assert "diabetes" in listed
    code, report = harness(home, "score", "last", "--json")
    assert code == 0, report
    graded, end = json.JSONDecoder().raw_decode(report, report.index("{"))
    assert "demo model, not an LLM" in report[: report.index("{")] + report[end:]
    (competition,) = graded["competition_reports"]
    assert competition["competition_id"] == "diabetes"
    assert competition["valid_submission"]
    assert 40 < competition["score"] < 80
    code, message = harness_here(home, "resume", "last")
    assert code == 2
    assert "graded" in message
