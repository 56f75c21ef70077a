"""Questions of a reviewer about a recorded run: each answer can be seen after at most three clicks.

The run (`tests/runs/recorded`) was played by the demo model on digits with two lanes. The answers are read from its
journal, not from the page.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import git
import pytest

from runs.events.registry import Decided, EvaluationFinished, LessonsChosen, MoveChosen, RunCreated
from runs.journal import read_events
from runs.state import fold
from runs.usage.lane_time import NAMES, lane_times
from runs.views.format import duration_text, evaluation_medal, score_text
from tests.browsing import Watched, watch
from tests.page_server import serve

RECORDED = Path(__file__).parents[1] / "runs" / "recorded"
EVENTS = list(read_events(RECORDED))
STATE = fold(EVENTS)
CREATED = next(event for event in EVENTS if isinstance(event, RunCreated))
DECIDED = {event.step: event for event in EVENTS if isinstance(event, Decided)}
WINNER = STATE.evaluations[DECIDED["record"].chosen.split()[0]]
REAL = [e for e in EVENTS if isinstance(e, EvaluationFinished) and e.verdict == "real"]
MOVE = next(e for e in EVENTS if isinstance(e, MoveChosen) and e.next == 4)
LESSONS = next(e for e in EVENTS if isinstance(e, LessonsChosen))
CLAIM = next(e for e in EVENTS if isinstance(e, EvaluationFinished) and e.claimed is not None)
LOSS, LOST = lane_times(EVENTS).largest_losses()[0]
RUN = [f"#rows a:text-is('{CREATED.run_id}')"]
TURN = [*RUN, "nav[aria-label=Run] >> text=Turns", "#list a:has-text('bash') >> nth=0"]
LOG = (RECORDED / "jobs" / "00001-0" / "log").read_text().splitlines()[0].strip()


def attempt(number: int) -> list[str]:
    return [*RUN, f".tree a:text-is('{number}')"]


def score(step: str) -> str:
    return score_text(DECIDED[step].numbers["score"], DECIDED[step].numbers.get("noise"))


QUESTIONS: list[tuple[str, list[str], list[str]]] = [
    ("What is the score of the submission, and how sure is it?", RUN, [score("reported")]),
    ("Which medal might that be?", RUN, [evaluation_medal(STATE.best or WINNER, STATE).split()[0], "estimate"]),
    ("Could the agent have read the labels?", RUN, ["labels unprotected"]),
    ("Which model was it?", RUN, [CREATED.settings.model, "not an LLM"]),
    ("How long did it take?", RUN, [duration_text(lane_times(EVENTS).position)]),
    ("How many attempts and evaluations?", RUN, [f"{len(STATE.attempts)}", f"{len(STATE.evaluations)} evaluations"]),
    ("Which evaluation was submitted, and how?", RUN, [f"Submitted: {WINNER.id}", DECIDED["record"].why]),
    ("Which were the finalists?", RUN, DECIDED["finalists"].chosen.split()),
    ("Why is there an ensemble, or none?", RUN, [DECIDED["ensemble"].why[:60]]),
    ("Was the winner trained again on all rows?", RUN, [DECIDED["refit"].why[:60]]),
    ("Where was most time lost?", RUN, [NAMES[LOSS], duration_text(LOST)]),
    ("How many evaluations were a real gain?", RUN, ["real"] * len({e.attempt for e in REAL})),
    ("Which lessons of earlier runs did it read?", RUN, LESSONS.shown[:3] or ["none"]),
    ("Which seed and packages? Did a person steer?", RUN, [f"seed\n{CREATED.settings.seed}", "scikit-learn", "no"]),
    ("Which command makes the winning file?", attempt(WINNER.attempt), [WINNER.command.splitlines()[0][:60]]),
    ("What is the winning code?", [*RUN, "text=The winning code"], [f"{WINNER.id} of attempt", "import"]),
    ("What did the winner change?", attempt(WINNER.attempt), ["solution.py", "lines added"]),
    ("Why was the move of attempt 4 chosen?", attempt(4), [MOVE.move, MOVE.reasons[0]]),
    ("What did a solution claim of itself?", attempt(CLAIM.attempt), ["its own CV", score_text(CLAIM.claimed)]),
    ("What did the model do in its first turn?", TURN, ["bash", "Result", "tokens in"]),
    ("What did attempt 1 leave behind?", attempt(1), [STATE.attempts[0].did[:60], STATE.attempts[0].lessons[0][:50]]),
]  # fmt: skip


ALL_SHOWN = r"""answers => {
    const seen = document.body.innerText.replace(/[ \t\xa0]+/g, " ");
    return answers.every(answer => seen.includes(answer));
}"""


@pytest.fixture(scope="module")
def recorded(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "runs" / CREATED.run_id
    shutil.copytree(RECORDED, folder)
    git.Repo.clone_from(str(folder / "repo.bundle"), str(folder / "repo.git"), mirror=True).close()
    with serve(home) as server:
        yield from watch(browser, server)


def test_each_question_takes_three_clicks_at_most() -> None:
    assert len(QUESTIONS) >= 20 and all(len(clicks) <= 3 for _, clicks, _ in QUESTIONS)


@pytest.mark.parametrize(("question", "clicks", "answers"), QUESTIONS, ids=[q for q, _, _ in QUESTIONS])
def test_the_answer_is_visible(recorded: Watched, question: str, clicks: list[str], answers: list[str]) -> None:
    page = recorded.open("/")
    for click in clicks:
        page.click(click)
        page.wait_for_load_state("domcontentloaded")
    page.wait_for_function(ALL_SHOWN, arg=answers)  # the page before may hold some of them
    seen = re.sub(r"[ \t\xa0]+", " ", recorded.text())
    for answer in answers:
        assert answer in seen, question
        seen = seen.replace(answer, "", 1)


def test_the_full_output_of_a_job_is_three_clicks_away_from_the_run(recorded: Watched) -> None:
    page = recorded.open(f"/run/{CREATED.run_id}")
    for click in (*TURN[1:], "text=Full output of job"):
        page.click(click)
    page.wait_for_url("**/job/**")
    assert LOG in recorded.text()


def test_the_window_of_a_recorded_turn_is_rebuilt_byte_by_byte(recorded: Watched) -> None:
    page = recorded.open(f"/run/{CREATED.run_id}/turn/3/window")
    page.wait_for_selector("h1")
    assert "these are the exact bytes" in recorded.text()
