"""The main job, end to end: the built-in demo model plays a task through real jobs, and the result is graded."""

from __future__ import annotations

import json
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
from tests.playing import events_of, harness, only_run

ISOLATING = "bubblewrap" if shutil.which("bwrap") else "local"


@pytest.fixture(scope="module")
def all_played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """For each example a home in which the demo model has played a run of it and been graded, and what was printed."""
    told = {}
    for task in ("digits", "breast-cancer", "diabetes"):
        home = tmp_path_factory.mktemp(task)
        code, printed = harness(home, "run", task, "--sandbox", ISOLATING, "--plain", "--score", seconds=500)
        assert code == 0, printed
        told[task] = home, printed
    return told


@pytest.fixture
def played(all_played: dict[str, tuple[Path, str]]) -> tuple[Path, str]:
    return all_played["diabetes"]


@pytest.mark.slow(seconds=200)
@pytest.mark.timeout(1200)
def test_the_demo_model_wins_a_medal_on_two_of_the_three_examples(all_played: dict[str, tuple[Path, str]]) -> None:
    medals = []
    for home, _ in all_played.values():
        (grade,) = (home / "grades").iterdir()
        medals.append(json.loads(grade.read_text())["report"]["any_medal"])
    assert sum(medals) >= 2, medals


@pytest.mark.slow
def test_the_run_is_told_line_by_line(played: tuple[Path, str]) -> None:
    _, printed = played
    assert "demo model, not an LLM" in printed
    assert "attempt 1 of 6 starts from an empty workspace" in printed
    assert "attempt 2 of 6 starts from commit" in printed
    assert "estimate from held-out rows" in printed
    assert ("labels unprotected" in printed) == (ISOLATING == "local")


@pytest.mark.slow
def test_every_reply_is_recorded_before_its_first_call_and_every_start_before_its_result(
    played: tuple[Path, str],
) -> None:
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


@pytest.mark.slow
def test_each_attempt_leaves_its_commit_its_score_and_its_words(played: tuple[Path, str]) -> None:
    folder = only_run(played[0])
    events = events_of(folder)
    scored = [event for event in events if isinstance(event, EvaluationFinished) and event.status == "scored"]
    ended = [event for event in events if isinstance(event, AttemptEnded)]
    assert len(ended) == 6
    assert all(event.did for event in ended)
    rows = (folder / "results.tsv").read_text().splitlines()
    assert rows[0].split("\t") == ["commit", "score", "status", "minutes", "description"]
    assert len(rows) == 1 + sum(isinstance(event, EvaluationFinished) for event in events)
    for event in scored:
        assert (folder / "evaluations" / event.evaluation / "submission.csv").is_file()
    assert "## Attempt 2" in (folder / "memory.md").read_text()
    assert "demo model, not an LLM" in (folder / "report.md").read_text()
    assert (folder / "attempts" / "002" / "notes.md").is_file()


@pytest.mark.slow
def test_nothing_for_people_only_is_in_any_window(played: tuple[Path, str]) -> None:
    folder = only_run(played[0])
    events = events_of(folder)
    shown = "\n".join(told_to_the_model(event) for event in events)
    thresholds = next(event for event in events if event.kind == "thresholds_known")  # type: ignore[attr-defined]
    secrets = [thresholds.gold, thresholds.silver, thresholds.bronze]  # type: ignore[attr-defined]
    secrets += [event.score for event in events if isinstance(event, EvaluationFinished)]
    assert not [secret for secret in secrets if secret is not None and repr(secret) in shown]
    assert "leaderboard" not in shown
    assert "answers.csv" not in shown


def told_to_the_model(event: Event) -> str:
    """All text of an event that reaches a window."""
    fields = event.model_dump(mode="json")
    names = ("system", "tools", "user", "message", "content", "text")
    return "\n".join(str(fields[name]) for name in names if name in fields and event.audience == "model")


@pytest.mark.slow
def test_the_run_can_be_read_listed_and_graded(played: tuple[Path, str]) -> None:
    home, _ = played
    code, shown = harness(home, "show", "last", "--full")
    assert code == 0
    assert "solution.py" in shown
    assert "demo model, not an LLM" in shown
    code, one = harness(home, "show", "last", "--attempt", "2")
    assert code == 0
    assert len(one) < len(shown)
    code, listed = harness(home, "runs")
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
    code, told = harness(home, "resume", "last")
    assert code == 2
    assert "graded" in told
