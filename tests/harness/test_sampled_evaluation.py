"""`evaluate(sample=...)` is a first look that competes with nothing; a change tried on another parent is noted."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.evaluation.finalists import eligible
from harness.search.from_run import search_state
from harness.tools.evaluate import Evaluate
from runs.events.registry import EvaluationFinished, FoldStarted, ToolFinished
from runs.state import fold
from runs.views.final_choice import holdout_queries
from tests.playing import call, events_of, harness_here, only_run, reply, with_digits
from tests.servers.chat_server import ChatServer, Message

SOLUTION = """import csv
GUESS = 0
with open("data/train.csv", newline="") as file:
    print("training rows:", sum(1 for _ in csv.reader(file)) - 1)
with open("data/sample_submission.csv", newline="") as file:
    rows = list(csv.reader(file))
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([rows[0], *([row[0], GUESS] for row in rows[1:])])
"""


def write(guess: int, note: str = "") -> dict[str, Any]:
    return call("write_file", path="solution.py", content=SOLUTION.replace("GUESS = 0", f"GUESS = {guess}") + note)


def add(name: str) -> dict[str, Any]:
    return call("write_file", path=name, content="x = 1\n")


EVALUATE = call("evaluate", command="python solution.py")
STEPS = {
    1: [
        [write(0), call("evaluate", command="python solution.py", sample=0.2)],
        [EVALUATE],
        [call("evaluate", command="python solution.py", sample=0.2)],
        [call("finish", did="guessed")],
    ],
    2: [[add("other.py"), EVALUATE], [call("finish", did="added a file")]],
    3: [[add("extra.py"), EVALUATE], [call("finish", did="added another")]],
    4: [[add("extra.py"), EVALUATE], [call("finish", continue_from="001-1")]],
    5: [[call("finish", did="nothing")]],
}
"""Attempt 4 starts from attempt 2 and makes the same change as attempt 3 did."""

POLICY = """from harness.search.moves import Move


class Story:
    def choose(self, state, seed):
        number = len(state.trials) + 1
        if number == 1:
            return Move("draft", reasons=("first",))
        return Move("improve", (state.results[1 if number == 4 else 0].commit,), reasons=("told to",))
"""


def script(request: dict[str, Any]) -> Message:
    head = str(request["messages"][1]["content"]) if request["messages"][1:] else ""
    found = re.findall(r"^attempt: (\d+)$", head, re.MULTILINE)
    if not found:
        return {"content": "ok"}
    attempt = int(found[-1])
    step = sum(message["role"] == "assistant" for message in request["messages"])
    calls = STEPS[attempt][min(step, len(STEPS[attempt]) - 1)]
    return reply(f"step {step}", *calls, tag=f"{attempt}_{step}")


def test_a_sampled_evaluation_competes_with_nothing(tmp_path: Path) -> None:
    home = with_digits(tmp_path / "home")
    (home / "story.py").write_text(POLICY)
    options = ["--attempts", "5", "--parallel", "1", "--sandbox", "local", "--plain"]
    options += ["--set", "fold_share=0", "--search", f"{home}/story.py:Story"]
    with ChatServer(script, piece=100_000) as server:
        code, printed = harness_here(home, "run", "digits", "--model", "m", "--base-url", server.url, *options)
    assert code == 0, printed
    events = events_of(only_run(home))
    state = fold(events)
    sampled, whole = state.evaluations["001-1"], state.evaluations["001-2"]
    assert (sampled.status, sampled.score, sampled.became_best) == ("sampled", None, False)
    assert sampled.result.sampled_score is not None and whole.status == "scored" and whole.became_best
    assert sampled.id not in [e.id for e in eligible(state)]
    assert sampled.id not in [result.evaluation for result in search_state(state, 0.0).results]
    assert not any(isinstance(event, FoldStarted) and event.evaluation == sampled.id for event in events)
    without = fold([e for e in events if getattr(e, "evaluation", "") != sampled.id])
    assert holdout_queries(state) == holdout_queries(without), "it opens no look at the held-out rows"
    results = [e.content for e in events if isinstance(e, ToolFinished) and e.name == "evaluate"]
    rows = [int(found[1]) for one in results if (found := re.search(r"training rows: (\d+)", one))]
    assert abs(rows[0] - 0.2 * rows[1]) < 10
    assert "20% of the training rows" in results[0] and "competes with nothing" in results[0]
    assert "not run again" in results[2], "the same sample of the same files is answered with the earlier result"
    assert sum(isinstance(event, EvaluationFinished) for event in events) == 5

    repeated = [one for one in results if "made the same change to another parent" in one]
    assert repeated == results[-1:] and "attempt 3" in repeated[0]
    last = state.attempts[4]
    assert "it saw only a share of the training rows" in last.brief


@pytest.mark.parametrize(
    ("sample", "is_accepted"), [(0.01, True), (0.5, True), (0.51, False), (0.99, False), (1, True)]
)
def test_a_sample_is_at_most_half_of_the_rows(sample: float, is_accepted: bool) -> None:
    """A larger one would be a full evaluation without a verdict."""
    with nullcontext() if is_accepted else pytest.raises(ValidationError, match="first look"):
        Evaluate(command="true", sample=sample)
