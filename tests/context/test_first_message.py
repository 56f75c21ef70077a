"""The first message late in a long run: at most a quarter of a small window, and no result again and again."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from context.first_message import WorkspaceView, render_first_message, render_own_notes
from context.memory import render_evaluation
from context.notebook import Notebook
from context.tokens import bytes_for
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    CheckpointTaken,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    LessonsChosen,
    SubmissionChosen,
)
from runs.state import State, fold
from tests.context.test_learning import run_events

SMALL = 32_000
BEST = 49
CARD = "# Which customers leave?\n\n" + "The table holds one customer a row, with what he bought and when. " * 62
WORDS = "Stacked three boosters on out-of-fold predictions with target encoding of the city inside each fold. "


def evaluated(attempt: int, number: int) -> list[Event]:
    """An evaluation of an attempt; the first of each is the better one."""
    name, commit = f"{attempt:03d}-{number}", f"{attempt * 10 + number:040x}"
    is_best = attempt <= BEST and number == 1 and attempt % 6 == 1
    score = f"0.{8000 + attempt * 10 + number} ± 0.0102"
    return [
        EvaluationStarted(
            evaluation=name, call="c", command=f"python train.py --depth {attempt}", commit=commit, tree="t", job=name
        ),
        EvaluationFinished(
            evaluation=name, status="scored", commit=commit, tree="t", score=0.8 + attempt / 1000, shown_score=score,
            verdict="real" if is_best else "worse", shown_gain="+0.0041 ± 0.0012", gain=0.004, seconds=412.0,
            promoted=is_best, claimed=0.81,
        ),
    ]  # fmt: skip


def played(number: int) -> list[Event]:
    """An ended attempt with a long report."""
    names = [f"{number:03d}-{one}" for one in (1, 2)]
    events = [
        AttemptStarted(move="improve", parents=[f"{BEST * 10 + 1:040x}"] if number > BEST else []),
        *evaluated(number, 1),
        *evaluated(number, 2),
        AttemptEnded(
            why="finish",
            did=WORDS * 8,
            criticism=WORDS * 4,
            next=WORDS * 3,
            lessons=[WORDS] * 8,
            done=[WORDS] * 12,
            facts=[f"`python train.py --fold {one}` printed: CV auc 0.81{one}" for one in range(8)],
            ideas=dict.fromkeys(names, WORDS),
            changed={name: ["train.py", "features.py"] for name in names},
        ),
    ]
    return [event.model_copy(update={"attempt": number}) for event in events]


def late_run() -> State:
    """Fifty-nine ended attempts and an open one that improves the best."""
    lessons = LessonsChosen(modality="tabular", family="f", sources=["ledger"], text="- " + "Group folds. " * 330)
    before = fold(run_events(*(played(number) for number in range(1, 60))))
    result = render_evaluation(before.evaluations[f"{BEST:03d}-1"])
    brief = f"# This attempt: improve\n\nYour workspace holds evaluation {BEST:03d}-1:\n\n- {result}\n\n{WORDS * 4}"
    opened = AttemptStarted(move="improve", parents=[f"{BEST * 10 + 1:040x}"], attempt=60, brief=brief)
    chosen = SubmissionChosen(evaluation=f"{BEST:03d}-1", sha256="s", why="best")
    events = run_events(*(played(number) for number in range(1, 60)), [chosen, opened])
    return replace(fold([lessons if isinstance(event, LessonsChosen) else event for event in events]), card=CARD)


def full_notebook() -> Notebook:
    """Five checkpoints, many decisions and to-dos, and lines of many turns that left."""
    notebook = Notebook()
    for number in range(5):
        todo = [f"todo-{one}: look at the residuals of fold {one}, {WORDS}" for one in range(1, 31)]
        decided = [f"Not to use feature {number}-{one}: {WORDS}" for one in range(12)]
        taken = CheckpointTaken(call="c", turn=1, done=[WORDS * 2] * 8, decided=decided, todo=todo, closes=True)
        notebook.apply(taken.model_copy(update={"seq": number}))
    stubs = [f"- event {one} bash `python check.py {one}`: exit 0 after 3.1 s; {WORDS}" for one in range(80)]
    facts = [f"`python train.py --seed {one}` printed: CV auc 0.8{one:03d} (event {one})" for one in range(16)]
    notebook.apply(
        EpochStarted(
            reason="compaction", system="", tools="", user="", stage="automatic", stubs=stubs, facts=facts, seq=9
        )
    )
    return notebook


@pytest.fixture(scope="module")
def state() -> State:
    return late_run()


def message(state: State, window: int) -> str:
    files = [f"src/part_{one}.py: 12.1 kB, sha256 0123456789ab; N_FOLDS = 5; SEED = {one}" for one in range(25)]
    view = WorkspaceView("A note on the folds, and why they are grouped by surname.\n" * 90_000, files, window)
    situation = ["time: now 2026-12-01 04:48 UTC, 3 h 49 min left for attempts; an attempt has 1 h 12 min"]
    return render_first_message(
        state, "2026-12-02 04:03 UTC", "- At most $20.", full_notebook(), situation=situation, workspace=view
    )


def test_head_takes_a_quarter_of_a_small_window_at_most(state: State) -> None:
    text = message(state, SMALL)
    print({part[:40].split("\n")[0]: len(part.encode()) for part in re.split(r"\n(?=# )", text)})
    assert len(text.encode()) <= bytes_for(SMALL // 4)
    assert re.search(r"files:\n- \(\d+ others: `ls` shows them\)\n", text)


def test_head_of_a_large_window_is_a_small_part_of_it(state: State) -> None:
    text = message(state, 400_000)
    assert bytes_for(SMALL // 4) < len(text.encode()) <= bytes_for(400_000 // 12)


def test_best_evaluation_is_named_whole_once(state: State) -> None:
    assert state.best and state.best.id == "049-1"
    text = message(state, SMALL)
    whole = render_evaluation(state.best)
    assert whole in message(state, 120_000) and message(state, 120_000).count(whole) == 1
    assert "- evaluation 049-1: its result stands above\n" in message(state, 120_000)
    assert text.count("best: ") == text.count("submission of record: ") == 1
    assert text.count("0.8491 ") + text.count("0.8491,") <= 3, "in the table, in the state, and with what is improved"


def test_notes_of_five_megabytes_are_shown_in_little_time() -> None:
    notes = "\n".join(f"line {number}: " + "x" * 40 for number in range(1, 90_001))
    started = time.process_time()
    shown = render_own_notes(notes)
    assert time.process_time() - started < 1
    match = re.search(r"lines (\d+) to (\d+), (\d+) bytes left out", shown)
    assert match and f"> line {int(match[1]) - 1}: " in shown and f"> line {int(match[2]) + 1}: " in shown
    left = "\n".join(notes.split("\n")[int(match[1]) - 1 : int(match[2])])
    assert int(match[3]) == len(left) + 1
    assert "> line 1: " in shown and "> line 90000: " in shown
