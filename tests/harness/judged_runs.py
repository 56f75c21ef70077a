"""Small tasks with two numbers per row, and runs of a scripted model on them, for tests of how a run is judged."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runs.events.registry import EvaluationFinished, Event, ToolFinished
from tests.playing import call, events_of, harness_here, only_run, reply
from tests.servers.chat_server import ChatServer, Message, Script

Step = list[dict[str, Any]]
Truth = Callable[[random.Random, float, float], str]

YAML = """id: {name}
title: Two numbers
description: description.md
metric: {metric}
data: {{public: public/, private: private/, answers: private/answers.csv}}
submission: {{sample: public/sample_submission.csv, id: key, target: y}}
labels: {{file: public/train.csv, id: key, target: y}}
{more}"""

GUESS = """import csv, sys
rows = list(csv.DictReader(open("data/test.csv")))
def guess(row): return {guess}
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["key", "y"], *([row["key"], guess(row)] for row in rows)])
"""
KNOWN = """import csv
KNOWN = {(a, b): y for a, b, y in map(str.split, open("known.md"))}
rows = list(csv.DictReader(open("data/test.csv")))
with open("submission.csv", "w", newline="") as file:
    csv.writer(file).writerows([["key", "y"], *([row["key"], KNOWN.get((row["a"], row["b"]), "0")] for row in rows)])
"""


def coin(draw: random.Random, a: float, b: float) -> str:
    """A label that does not depend on the numbers."""
    return str(int(draw.random() < 0.5))


def side(draw: random.Random, a: float, b: float) -> str:
    """A label that mostly follows from the sign of the first number."""
    return str(int(a + draw.gauss(0, 1) > 0))


def write(path: Path, rows: list[list[str]]) -> None:
    """Write a table, header first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def two_numbers(
    folder: Path, truth: Truth, train: int = 600, test: int = 200, metric: str = "accuracy", more: str = ""
) -> Path:
    """Write a task and return the path of its task.yaml."""
    draw = random.Random(0)
    rows = []
    for key in draw.sample(range(10_000, 99_999), train + test):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        rows.append([str(key), f"{a:.4f}", f"{b:.4f}", truth(draw, a, b)])
    header = ["key", "a", "b", "y"]
    write(folder / "public" / "train.csv", [header, *rows[:train]])
    write(folder / "public" / "test.csv", [header[:-1], *(row[:-1] for row in rows[train:])])
    write(folder / "public" / "sample_submission.csv", [["key", "y"], *([row[0], "0"] for row in rows[train:])])
    write(folder / "private" / "answers.csv", [["key", "y"], *([row[0], row[-1]] for row in rows[train:])])
    (folder / "description.md").write_text("Predict y.\n")
    (folder / "task.yaml").write_text(YAML.format(name=folder.name, metric=metric, more=more))
    return folder / "task.yaml"


def evaluated(source: str, command: str = "python solution.py") -> Step:
    """A step: write the solution, evaluate it."""
    return [call("write_file", path="solution.py", content=source), call("evaluate", command=command)]


def guessing(expression: str) -> str:
    """A solution that predicts an expression over `row`, a dict of cells."""
    return GUESS.format(guess=expression)


def hard_coding(share: float) -> str:
    """A command that writes the labels of a share of the training rows into a file, keyed by their feature values.

    The leak checks find ids only.
    """
    return (
        "python - <<'END'\nimport csv\n"
        "rows = list(csv.reader(open('data/train.csv')))[1:]\n"
        f"known = [' '.join(row[1:]) for at, row in enumerate(rows) if at % 100 < {100 * share:.0f}]\n"
        "open('known.md', 'w').write('\\n'.join(known))\nEND"
    )


def cheating(share: float) -> Step:
    """A step: write and evaluate a solution that memorized the labels of a share of the training rows."""
    write_it = call("write_file", path="solution.py", content=KNOWN)
    return [write_it, call("bash", command=hard_coding(share)), call("evaluate", command="python solution.py")]


def script(*steps: Step) -> Script:
    """One attempt with these steps, then `finish`."""

    def play(request: dict[str, Any]) -> Message:
        index = sum(message["role"] == "assistant" for message in request["messages"])
        calls = steps[index] if index < len(steps) else [call("finish", did="all of it")]
        return reply(f"step {index}", *calls, tag=str(index))

    return play


def played(home: Path, task: Path | str, *steps: Step, flags: tuple[str, ...] = ()) -> list[Event]:
    """Play one attempt with these steps in this process and return its events."""
    with ChatServer(script(*steps), piece=1000) as server:
        options = ["--model", "scripted", "--base-url", server.url, "--sandbox", "local", "--plain", "--attempts", "1"]
        code, printed = harness_here(home, "run", str(task), *options, *flags)
    assert code == 0, printed
    return events_of(only_run(home))


def evaluations(events: list[Event]) -> list[EvaluationFinished]:
    """How the evaluations of a run ended."""
    return [event for event in events if isinstance(event, EvaluationFinished)]


def evaluate_results(events: list[Event]) -> list[str]:
    """What the model reads about each evaluation."""
    results = [event.content for event in events if isinstance(event, ToolFinished)]
    return [result for result in results if result.startswith("evaluation ")]
