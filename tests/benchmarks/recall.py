"""How often `recall` answers a question in plain words: sixty questions over a record of 300 turns.

    python -m tests.benchmarks.recall [--tokens 800]

Each of sixty turns holds a fact that no other turn holds, in a command, an output, a file, or what the model said. The
other turns use the same vocabulary. A question counts as answered if the fact stands in the first `--tokens` of the
answer. Prints the share and the questions that are not answered.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import tempfile
from pathlib import Path

from context.recall.index import Recall
from runs.events.registry import AttemptEnded, AttemptStarted, Call, Event, ModelReplied, ToolFinished
from tests.runs.run_stories import new_run

TURNS = 300

FACTS = [json.loads(line) for line in Path(__file__).with_name("recall_questions.jsonl").open()]
"""Per fact: the tool, what it is called with, its output, what the model said; question and answer."""

NOISE_TOOLS = ("python train_lgb.py --seed {n}", "python train_cat.py --l2 {n}", "python eda.py --column c{n}")
NOISE_WORDS = (
    "The cross-validation score of this model is within the noise of the last one, so I look at the folds.",
    "I check the training data again: which columns are missing, which rows are duplicated, and how the target moves.",
    "The features look fine. Next I would tune the learning rate and the number of leaves.",
    "The network needs more epochs, and the memory of the gpu is not the limit here.",
    "Before I stack the models I want to know the weight of each, and how stable the result is over seeds.",
)


def record(folder: Path, seed: int = 7) -> list[tuple[str, str]]:
    """Record the 300 turns into a new run; returns the questions with their answers."""
    source, journal = random.Random(seed), new_run(folder)
    turns = source.sample(range(1, TURNS + 1), len(FACTS))
    planted = dict(zip(turns, FACTS, strict=True))
    for number in range(1, TURNS + 1):
        attempt = 1 + (number - 1) * 3 // TURNS
        if (number - 1) % (TURNS // 3) == 0:
            journal.append(AttemptStarted(attempt=attempt))
        for event in _turn(number, attempt, planted.get(number), source):
            journal.append(event)
        if number % (TURNS // 3) == 0 and attempt < 3:
            journal.append(AttemptEnded(why="finish", did=source.choice(NOISE_WORDS), attempt=attempt))
    journal.close()
    return [(fact["question"], fact["answer"]) for fact in FACTS]


def _turn(number: int, attempt: int, fact: dict[str, str] | None, source: random.Random) -> list[Event]:
    if fact is None:
        tool, called = "bash", source.choice(NOISE_TOOLS).format(n=number)
        output = "\n".join(_noise_line(source) for _ in range(source.randrange(3, 30)))
        thought = source.choice(NOISE_WORDS)
    else:
        tool, called, output, thought = (fact[key] for key in ("tool", "called", "output", "said"))
        lines = [_noise_line(source) for _ in range(source.randrange(2, 20))] if tool == "bash" else []
        place = source.randrange(len(lines) + 1)
        output = "\n".join([*lines[:place], output, *lines[place:]])
    arguments = {"command": called} if tool == "bash" else {"path": called, "content": output}
    result = f"exit 0 after 1.0 s\n{output}" if tool != "write_file" else f"wrote {called}: {len(output)} bytes"
    message = {"role": "assistant", "content": "", "reasoning_content": thought}
    calls = [Call(id=f"c{number}", name=tool, arguments=json.dumps(arguments))]
    return [
        ModelReplied(request=number, message=json.dumps(message), calls=calls, attempt=attempt),
        ToolFinished(call=f"c{number}", name=tool, content=result, attempt=attempt),
    ]


def _noise_line(source: random.Random) -> str:
    kind = source.randrange(5)
    number = source.random()
    return (
        f"[{source.randrange(900)}] training auc: {number:.6f} valid auc: {number * 0.97:.6f}",
        f"fold {source.randrange(5)} rmse {number:.4f} rows {source.randrange(10_000)}",
        f"column c{source.randrange(90)}: {source.randrange(50)} missing values of {source.randrange(9_000)}",
        f"epoch {source.randrange(60)} loss {number:.4f} learning rate {number / 100:.5f}",
        ",".join(str(source.randrange(100)) for _ in range(12)),
    )[kind]


def ask(recall: Recall, question: str, tokens: int, asking: int) -> str:
    """The answer of `recall`, also of versions without attempts."""
    if "attempt" in inspect.signature(recall.search).parameters:
        return recall.search(question, tokens, asking)
    return recall.search(question, tokens)


def measure(folder: Path, tokens: int) -> tuple[int, list[str]]:
    """How many of the questions are answered, and those that are not."""
    questions, recall = record(folder / "run"), Recall(folder / "run")
    missed = [
        question for question, answer in questions if answer.lower() not in ask(recall, question, tokens, 3).lower()
    ]
    recall.close()
    return len(questions) - len(missed), missed


def main() -> None:
    """Print how many questions are answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=800)
    tokens = parser.parse_args().tokens
    with tempfile.TemporaryDirectory() as folder:
        found, missed = measure(Path(folder), tokens)
    print(f"{found} of {len(FACTS)} questions answered in {tokens} tokens")
    for question in missed:
        print(f"  not answered: {question}")


if __name__ == "__main__":
    main()
