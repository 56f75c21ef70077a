"""A run of the demo model in process: real messages, state, search and ledger; only the scores are simulated."""

from __future__ import annotations

import difflib
import hashlib
import json
from string import Template
from typing import Any

import numpy as np
from scipy.stats import norm

from context.first_message import render_first_message
from context.ledger.from_run import record_of
from context.ledger.ledger import Ledger
from context.ledger.types import FACTS, RunRecord
from context.ledger.vocabulary import load_vocabulary
from context.memory import render_evaluation
from context.window import prompt
from harness.demo.agent import next_message
from harness.search.compare import next_missing
from harness.search.from_run import search_state
from harness.search.start import seed_of
from harness.search.tree import Tree
from harness.startup.lessons import select_lessons
from runs.branches import comparison_of, is_result, origins_of
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    BranchCompared,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    LessonsChosen,
    RunCreated,
    TaskDescribed,
)
from runs.run_settings import RunSettings
from runs.state import State
from tasks.metrics.bootstrap import REAL_SHARE
from tests.benchmarks.ledger_world import PRIOR, RIGHT, TRUST
from tests.benchmarks.lesson_ideas import IDEAS, TABLE

FAMILY_SHARE, NOISE, WRONG = 0.7, 0.2, 1.0
"""The family's share of how good an idea is; the error of a paired gain; what a wrong implementation costs (in standard
deviations between ideas)."""
CARD = "# A table\n\nPredict `y`.\n\n## How you are scored\n\n`accuracy`: The share of right rows. Higher is better."
TOOLS = [{"function": {"name": name}} for name in ("bash", "write_file", "evaluate", "finish")]
VOCABULARY = load_vocabulary()
_TAGS: dict[str, str] = {}


class Task:
    """One task of a family: how good a solution with a tag is, and how likely it fails."""

    def __init__(self, seed: int, number: int) -> None:
        self.seed, self.number = seed, number
        family, own = np.random.default_rng((seed, 1)), np.random.default_rng((seed, 2, number))
        shared, opinion = family.standard_normal((2, len(IDEAS)))
        worth = np.sqrt(FAMILY_SHARE) * shared + np.sqrt(1 - FAMILY_SHARE) * own.standard_normal(len(IDEAS))
        self.worth = dict(zip(IDEAS, worth, strict=True))
        self.crash = dict(zip(IDEAS, np.where(family.random(len(IDEAS)) < 0.12, 0.7, 0.08), strict=True))
        # The agent believes in ideas more or less, in the same way in the whole family, and draws an order from that.
        trust = PRIOR * (TRUST * shared + np.sqrt(1 - TRUST**2) * opinion)
        order = np.argsort(-trust - own.gumbel(size=len(IDEAS)))
        self.ideas = tuple(list(IDEAS.values())[place] for place in order)

    def luck(self, *parts: str) -> np.random.Generator:
        """Chance that depends on nothing but what it is asked about, so that conditions share it."""
        text = "|".join((str(self.seed), str(self.number), *parts))
        return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()))

    def quality(self, tag: str) -> float | None:
        """How good the solution of a tag is; None: it fails."""
        if tag == "safe":
            return -2.0
        random = self.luck(tag)
        parts = tag.removeprefix("blend of ").split(" + ")
        names = [part.removesuffix(" tuned") for part in parts]
        if len(parts) > 1:
            return max(self.quality(part) or -2.0 for part in parts) + 0.3 * random.standard_normal()
        if tag.endswith(" tuned"):
            return (self.quality(names[0]) or -2.0) + 0.3 * random.standard_normal()
        if random.random() < self.crash[tag]:
            return None
        return float(self.worth[tag] - (WRONG if random.random() > RIGHT else 0.0))

    @staticmethod
    def idea_of(commit: str) -> str:
        """The tag of the solution in a commit of any game."""
        return _TAGS.get(commit, "")


class Game:
    """One run. `area` is the mean true quality of the best so far, over attempts."""

    def __init__(self, task: Task, ledger: Ledger, attempts: int) -> None:
        self.task, self.attempts = task, attempts
        name = f"{task.seed}-{task.number}"
        created = RunCreated(
            harness_version="0",
            run_id=name,
            task_id=f"task-{name}",
            task_path="/t",
            task_digest="d",
            metric="accuracy",
            lower_is_better=False,
            is_demo=True,
            sandbox="local",
            protects_labels=False,
            settings=RunSettings(model="demo", attempts=attempts, seed=task.seed, no_knowledge=True, ledger="/l"),
            blend="data/x",
            sample="/s",
        )
        self.state, self.count = State(), 0
        self.apply(created)
        self.apply(TaskDescribed(card=CARD))
        chosen = LessonsChosen(modality="tabular", family="tabular/accuracy", facts=sorted(FACTS))
        self.apply(select_lessons(created, ledger, chosen, has_ledger=True))
        self.files: dict[str, dict[str, str]] = {}
        self.truth: dict[str, float] = {}
        self.area = 0.0

    def apply(self, event: Event, attempt: int = 0) -> None:
        self.count += 1
        self.state.apply(event.model_copy(update={"seq": self.count, "attempt": attempt, "at": "2026-12-01T00:00:00Z"}))

    def play(self) -> RunRecord:
        curve = []
        for number in range(1, self.attempts + 1):
            self.start(number)
            self.work(number)
            best = self.state.best
            curve.append(self.truth[best.commit] if best else -2.0)
        self.area = float(np.mean(curve))
        for evaluation in list(self.state.evaluations.values()):
            origins = origins_of(self.state, evaluation) if is_result(evaluation) else []
            if origins and all(comparison_of(self.state, evaluation, one) is None for one in origins):
                self.compare(evaluation.id, origins[-1].id)
        return record_of(self.state, self.patch, VOCABULARY)

    # ------------------------------------------------------------------------------------------------- one attempt

    def start(self, number: int) -> None:
        while missing := next_missing(self.state):
            self.compare(*missing)
        move = Tree().choose(search_state(self.state, float(number)), seed_of(self.task.seed, number))
        parents = [next(one for one in self.state.evaluations.values() if one.commit == c) for c in move.parents]
        values = {
            "base": parents[0].id if parents else "",
            "others": ", ".join(one.id for one in parents[1:]),
            "results": "\n".join(f"- {render_evaluation(one)}" for one in parents),
        }
        brief = Template(prompt(f"moves/{move.kind}")).safe_substitute(values).strip()
        self.apply(AttemptStarted(move=move.kind, parents=list(move.parents), brief=brief), number)
        self.workspace = dict(self.files[move.parents[0]]) if move.parents else {}

    def work(self, number: int) -> None:
        """Let the demo model work until it calls `finish`."""
        user = render_first_message(self.state, "2026-12-02 00:00 UTC", "- Attempts: 40")
        messages: list[dict[str, Any]] = [{"role": "system", "content": "You work."}, {"role": "user", "content": user}]
        while True:
            reply = next_message(messages, TOOLS, self.task.ideas)
            messages.append(reply)
            for call in reply["tool_calls"]:
                name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
                if name == "finish":
                    self.apply(AttemptEnded(why="finish", **arguments), number)
                    return
                answer = self.answer(name, arguments, number)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": answer})

    def answer(self, name: str, arguments: dict[str, Any], number: int) -> str:
        if name == "write_file":
            self.workspace[arguments["path"]] = arguments["content"]
            return f"wrote {arguments['path']}"
        return self.evaluate(number) if name == "evaluate" else "exit 0 after 1 s\n900 data/train.csv"

    # ----------------------------------------------------------------------------------------------------- scores

    def evaluate(self, number: int) -> str:
        text = self.workspace["solution.py"]
        tag = _tag_of(text)
        commit = hashlib.sha1(f"{self.task.seed} {self.task.number} {number} {text}".encode()).hexdigest()
        name = f"{number:03d}-{len(self.state.evaluations_in(number)) + 1}"
        self.files[commit], _TAGS[commit] = dict(self.workspace), tag
        fields = {"evaluation": name, "commit": commit, "tree": hashlib.sha1(text.encode()).hexdigest()}
        command = "python solution.py"
        self.apply(EvaluationStarted(call=f"c{self.count}", command=command, job=f"{name}-j", **fields), number)
        quality = self.task.quality(tag)
        if quality is None:
            error = f"ValueError: {tag} does not fit this data"
            self.apply(EvaluationFinished(status="failed", message=f"it failed: {error}", **fields), number)
            return f"evaluation {name}: failed\n{error}"
        self.truth[commit] = quality
        score = 0.7 + 0.03 * (quality + NOISE * self.task.luck("score", tag).standard_normal())
        best = self.state.best
        verdict, share, gain = self.verdict(commit, best.commit) if best else ("first", None, None)
        shown = "" if verdict == "unclear" else f"{score:.4f} ± {0.03 * NOISE:.4f}"
        result = EvaluationFinished(
            status="scored",
            score=score,
            noise=0.03 * NOISE,
            verdict=verdict,
            shown_score=shown,
            against=best.id if best else "",
            gain=gain,
            gain_noise=0.03 * NOISE,
            share=share,
            promoted=best is None or verdict == "real",
            claimed=round(score, 4),
            **fields,
        )
        self.apply(result, number)
        told = f"score {shown}" if shown else f"own score (the last one it printed): {score:.4f}"
        return f"evaluation {name}: scored\n{told}\nverdict: {verdict}"

    def verdict(self, commit: str, other: str) -> tuple[str, float, float]:
        """The paired comparison of two commits: verdict, share of draws in favour, gain."""
        luck = self.task.luck("gain", _TAGS[commit], _TAGS[other])
        gain = self.truth[commit] - self.truth[other] + NOISE * luck.standard_normal()
        share = float(norm.cdf(gain / NOISE))
        return "real" if share >= REAL_SHARE else "worse" if share <= 1 - REAL_SHARE else "unclear", share, 0.03 * gain

    def compare(self, evaluation: str, against: str) -> None:
        commits = [self.state.evaluations[name].commit for name in (evaluation, against)]
        verdict, share, gain = self.verdict(*commits)
        event = BranchCompared(
            evaluation=evaluation,
            against=against,
            share=share,
            is_gain=verdict == "real",
            verdict=verdict,
            gain=gain,
        )
        self.apply(event)

    def patch(self, before: str | None, after: str) -> str:
        """What changed between two commits, as a unified diff."""
        old, new = self.files.get(before or "", {}), self.files[after]
        lines = []
        for path in sorted(set(old) | set(new)):
            texts = (one.get(path, "").splitlines() for one in (old, new))
            lines += difflib.unified_diff(*texts, f"a/{path}", f"b/{path}", lineterm="")
        return "\n".join(lines)


def _tag_of(text: str) -> str:
    """The tag of a solution from the docstring that the demo model writes."""
    head = text.split('"""')[1]
    tag = head.partition(":")[0].lower() if ":" in head else "safe"
    return tag if tag.removeprefix("blend of ").split(" + ")[0].removesuffix(" tuned") in IDEAS else "safe"


assert len(TABLE) == len(IDEAS)
