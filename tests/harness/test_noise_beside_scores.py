"""Every view of a run writes a score with its standard error, and all of them the same numbers."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runs.events.registry import Decided, Event, FoldFinished
from runs.journal import read_events
from runs.page.export import export_page
from runs.page.facts.attempt import attempt_facts
from runs.page.facts.final_choice import choice_facts
from runs.page.facts.run_view import RunView
from runs.state import State, fold
from runs.views.report import report
from runs.views.transcript import transcript
from tests.day_run import write_day_run
from tests.playing import harness_here

RUN = "20261130-080000_digits_0_view"
DECIMAL = re.compile(r"(?<![\d.\w-])(-?\d\.\d{3,})(?![\d\w])(\s*±)?")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run of 24 attempts on five folds."""
    folder = tmp_path_factory.mktemp("home")
    write_day_run(folder / "runs" / RUN, 0.04, output_mb=0.1, has_code=False)
    return folder


def _scores(state: State, events: list[Event]) -> Iterator[float]:
    for evaluation in state.evaluations.values():
        if evaluation.finished:
            yield from (evaluation.result.score or 0.0, evaluation.result.first_score or 0.0)
    for event in events:
        if isinstance(event, FoldFinished):
            yield event.score or 0.0
        if isinstance(event, Decided):
            yield event.numbers.get("score") or 0.0
            for kind in ("scores", "judged", "estimates"):
                yield from event.numbers.get(kind, {}).values()


def _without_noise(text: str, scores: list[float], but_for: tuple[str, ...]) -> list[str]:
    """The lines with a number that is a score, rounded to the digits that are shown, and has no ± behind it; `but_for`
    the thresholds and what the code printed itself."""
    bare = []
    for line in html.unescape(re.sub(r"<[^>]*>", " ", text)).splitlines():
        for number, noise in DECIMAL.findall("" if any(word in line for word in but_for) else line):
            digits = len(number.partition(".")[2])
            if not noise and any(f"{score:.{digits}f}" == number for score in scores):
                bare.append(f"{number} in: {line.strip()[:160]}")
    return bare


VIEWS: dict[str, Callable[[Path, RunView, State, list[Event]], str]] = {
    "report": lambda _, __, state, events: report(state, events),
    "transcript": lambda _, __, ___, events: "\n".join(transcript(events)),
    "show": lambda home, *_: harness_here(home, "show", RUN)[1],
    "runs": lambda home, *_: harness_here(home, "runs")[1],
    "page": lambda _, view, *__: re.sub(r"(?s)<(script|style|svg).*?</\1>", "", export_page(view).decode()),
    "final choice": lambda _, __, state, ___: json.dumps(choice_facts(state), ensure_ascii=False),
    "attempts": lambda _, view, state, __: "\n".join(
        json.dumps(attempt_facts(view, number), ensure_ascii=False, default=str)
        for number in range(1, len(state.attempts) + 1)
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_no_view_writes_a_score_without_its_noise(name: str, home: Path) -> None:
    folder = home / "runs" / RUN
    events = list(read_events(folder))
    state = fold(events)
    view = RunView(folder)
    view.refresh()
    text = VIEWS[name](home, view, state, events)
    assert "±" in text
    scores = [score for score in _scores(state, events) if score]
    assert not _without_noise(text, scores, but_for=("gold 0.985", "epoch"))
