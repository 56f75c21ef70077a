"""What forgetting costs: a scripted model that looks a fact up only when it is not in its request.

    python -m tests.benchmarks.forgetting [--window 32000] [--steps 240] [--seed 3]

Each step brings a fact (a program's score or error, a constant in a file, the model's own conclusion, a row of a file)
or needs one of an earlier step. If the fact stands in the request, the model goes on; otherwise it reads the file again
or calls `recall`, which counts as a lookup. When it is asked for a checkpoint it writes down the conclusions that it
can still see. Plays a whole run against an engine with a prefix cache and prints dollars, lookups and epochs.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.events.registry import EpochStarted
from tests.long_play import ASKED, Played, play, settings_of
from tests.playing import call
from tests.servers.chat_server import Message

REPORT = 'seq 1 60 | sed "s/^/fold rows /"; echo "CV auc 0.8$1"'
FAILING = 'seq 1 60 | sed "s/^/loading rows /"; echo "ValueError: c_$1"; exit 1'
KINDS = ("score", "error", "constant", "conclusion", "row")


@dataclass(frozen=True)
class Fact:
    """A fact of a step: the text that states it, and the call that brings it back."""

    kind: str
    text: str
    lookup: dict[str, Any]


def fact_of(step: int, kind: str) -> Fact:
    """The fact that a step of this kind brings."""
    if kind == "score":
        return Fact(kind, f"CV auc 0.8{100 + step}", call("recall", query=f"CV auc of report {100 + step}"))
    if kind == "error":
        return Fact(kind, f"ValueError: c_{500 + step}", call("recall", query=f"error of check {500 + step}"))
    if kind == "constant":
        return Fact(kind, f"LIMIT_{step} = {step * 37 % 997}", call("read_file", path=f"src/part_{step}.py"))
    if kind == "row":
        return Fact(kind, f"row {step} is {step * 91 % 983}", call("read_file", path=f"table_{step}.txt"))
    text = f"Conclusion {step}: column c{step} brings {step * 53 % 991} points."
    return Fact(kind, text, call("recall", query=f"conclusion {step} on column c{step}"))


@dataclass
class Needy:
    """The scripted model. `lookups` counts by kind what it looked up; `calls` the requests until its last step."""

    steps: int
    seed: int = 3
    lookups: Counter[str] = field(default_factory=Counter)
    needs: int = 0
    calls: int = 0
    step: int = 0
    facts: list[Fact] = field(default_factory=list)
    needed_at: int = -1

    def __call__(self, request: dict[str, Any]) -> Message:
        if "checkpoint" not in json.dumps(request.get("tools") or []):
            return {"content": "ok", "reasoning_content": "ok"}
        done = self.step >= self.steps
        self.calls += not done
        said, calls = self._act(request["messages"]) if not done else ("", [call("finish", did="all steps")])
        named = [{"id": f"c{self.calls}_{len(request['messages'])}_{n}", **one} for n, one in enumerate(calls)]
        thought = f"Step {self.step}. " + "I weigh what the numbers say about the folds. " * 12
        return {"reasoning_content": thought, "content": said, "tool_calls": named}

    def _act(self, messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
        seen = "\n".join(_texts(messages))
        if messages[-1]["role"] == "tool" and ASKED in messages[-1]["content"]:
            told = [fact.text for fact in self.facts if fact.kind == "conclusion" and fact.text in seen]
            return "", [call("checkpoint", done=told[-12:], decided=["Keep five folds."], todo=[])]
        if self.facts and self.step % 2 == 1 and self.needed_at != self.step:
            self.needs, self.needed_at = self.needs + 1, self.step
            fact = self._needed()
            if fact.text not in seen:
                self.lookups[fact.kind] += 1
                return "", [fact.lookup]
        self.step += 1
        return self._bring(self.step)

    def _needed(self) -> Fact:
        """Half of the needs are about the last facts, half about any."""
        source = random.Random(self.seed * 100_003 + self.step)
        return source.choice(self.facts[-6:] if source.random() < 0.5 else self.facts[-60:])

    def _bring(self, step: int) -> tuple[str, list[dict[str, Any]]]:
        kind = KINDS[step % len(KINDS)]
        fact = fact_of(step, kind)
        if step == 1:
            return "", [call("write_file", path="report.sh", content=REPORT)]
        self.facts.append(fact)
        if kind in ("score", "error"):
            number = step + (100 if kind == "score" else 500)
            script = "report.sh" if kind == "score" else f"check_{number}.sh"
            written = [] if kind == "score" else [call("write_file", path=script, content=FAILING)]
            return "", [*written, call("bash", command=f"sh {script} {number}")]
        if kind == "constant":
            content = f"{fact.text}\n" + "def part(frame):\n    return frame\n" * 12
            return "", [call("write_file", path=f"src/part_{step}.py", content=content)]
        if kind == "row":
            name = f"table_{step}.txt"
            command = f"seq 1 80 | sed 's/^/value /' > {name}; echo '{fact.text}' >> {name}; cat {name}"
            return "", [call("bash", command=command)]
        return fact.text, [call("read_file", path="data/train.csv", offset=2 + step * 7 % 1_100, limit=14)]


def _texts(messages: list[dict[str, Any]]) -> list[str]:
    parts = []
    for message in messages:
        parts += [str(message.get("content") or ""), str(message.get("reasoning_content") or "")]
        parts += [json.loads(one["function"]["arguments"] or "{}") for one in message.get("tool_calls") or []]
    return [part if isinstance(part, str) else "\n".join(map(str, part.values())) for part in parts]


def measure(home: Path, window: int, steps: int, seed: int = 3) -> tuple[Played, Needy, float]:
    """Play the script; returns the run, the model, and the dollars until its last step."""
    worker = Needy(steps, seed)
    turns = steps + steps // 2
    played = play(home, worker, turns, settings_of(home, window_tokens=window, attempt_turns=10_000))
    return played, worker, sum(one.dollars() for one in played.engine.served[: worker.calls])


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--window", type=int, default=32_000)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        from tests.playing import Prepared

        Prepared.home = Path(folder) / "prepared"
        played, worker, dollars = measure(Path(folder) / "home", options.window, options.steps, options.seed)
    epochs = Counter(event.stage for event in played.events if isinstance(event, EpochStarted) and event.stage)
    print(f"{worker.step} steps, {worker.calls} requests, ${dollars:.4f}, epochs {dict(epochs)}")
    print(f"{worker.lookups.total()} of {worker.needs} needed facts looked up: {dict(worker.lookups)}")


if __name__ == "__main__":
    main()
