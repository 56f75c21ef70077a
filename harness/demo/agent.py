"""The demo model's next message: a pure function of the conversation, so that a resumed run goes on the same.

An attempt is one idea: look at the data (first attempt only), write or edit the solution, evaluate it, repair it at
most once, finish with honest words. Each call that was made moves the plan on, whatever came back, so it always ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.demo import DEMO_LABEL
from harness.demo.ideas import SHARED, SOLUTION, Idea, solution, template, tuning_edits
from harness.demo.notes import finish_words
from harness.demo.read_request import Card, Message, Step, Verdict, read_card, read_steps, read_verdict
from harness.demo.search import Choice, History, choose

ENTRYPOINT = "python solution.py"
MOST_REPLIES, MOST_WAITS = 24, 3
BACKGROUND = re.compile(r"still running|in the background|: running for", re.IGNORECASE)
JOB = re.compile(r"\bjob\s+`?([\w.:-]*\w)", re.IGNORECASE)

Call = tuple[str, dict[str, Any]]
Move = tuple[str, str, list[Call]]
"""What is thought, what is said, what is called."""


@dataclass(frozen=True)
class Plan:
    """This attempt's choice and all it was decided from."""

    card: Card
    ideas: tuple[Idea, ...]
    choice: Choice
    steps: list[Step]

    def made(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.name == name]

    @property
    def idea(self) -> Idea:
        first = self.choice.tag.variants[0].removesuffix(" tuned")
        return next(idea for idea in self.ideas if idea.name == first)

    @property
    def workspace_tag(self) -> str:
        """The tag whose code lies in the workspace: the best scored attempt's, "" when nothing has scored."""
        scored = [(entry.score, entry.tags[-1]) for entry in self.card.memory if entry.score is not None and entry.tags]
        sign = 1 if self.card.lower_is_better else -1
        return min(scored, key=lambda pair: sign * pair[0], default=(0.0, ""))[1]

    @property
    def verdicts(self) -> list[Verdict]:
        return [read_verdict(step.result) for step in self.made("evaluate")]


def next_message(messages: Sequence[Message], tools: Sequence[Message], ideas: tuple[Idea, ...]) -> dict[str, Any]:
    """The assistant message that follows: `reasoning_content`, `content`, and `tool_calls` unless there is nothing
    to call. Depends on nothing but its arguments."""
    card = read_card(messages)
    plan = Plan(card, ideas, choose(ideas, card), read_steps(messages))
    replies = sum(1 for message in messages if message.get("role") == "assistant")
    named = {str((tool.get("function") or {}).get("name")) for tool in tools}
    thought, said, calls = decide(plan, named, replies)
    message: dict[str, Any] = {
        "role": "assistant",
        "reasoning_content": f"({DEMO_LABEL}) {thought}",
        "content": said,
    }
    if calls:
        message["tool_calls"] = [
            {
                "id": f"call_{card.attempt}_{replies + 1}_{place}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
            }
            for place, (name, arguments) in enumerate(calls)
        ]
    return message


def decide(plan: Plan, named: set[str], replies: int) -> Move:
    """What to think, say and call now, with what the offered tools allow."""
    if not named:
        return (
            "No tools are offered, so there is nothing to do.",
            f"This is the {DEMO_LABEL}: it can only use tools.",
            [],
        )
    if not {"write_file", "evaluate"} <= named:
        return finish(plan, named, "The tools this script needs are not all there.")
    if plan.made("finish"):
        return finish(plan, named, "This attempt was finished before.")
    if replies >= MOST_REPLIES or replies > len(plan.steps) + 3:
        return finish(plan, named, "The conversation is not going as scripted.")
    if waiting := wait_for_job(plan, named):
        return waiting
    return next(filter(None, (look(plan, named), write(plan, named), evaluate(plan), finish(plan, named, ""))))


def wait_for_job(plan: Plan, named: set[str]) -> Move | None:
    """Waits for a job that went on in the background, three times, then kills it."""
    last = plan.steps[-1].result if plan.steps and plan.steps[-1].name in ("bash", "wait") else None
    job = JOB.search(last or "")
    if not job or not BACKGROUND.search(last or "") or plan.made("kill"):
        return None
    if len(plan.made("wait")) < MOST_WAITS and "wait" in named:
        return "The job needs longer.", f"I wait for {job[1]}.", [("wait", {"jobs": [job[1]], "seconds": 60})]
    if "kill" in named:
        return "It takes too long for a quick look.", f"I stop {job[1]}.", [("kill", {"job": job[1]})]
    return None


def look(plan: Plan, named: set[str]) -> Move | None:
    """The first thing done in a run: looks at the tables."""
    if plan.steps or plan.workspace_tag or "bash" not in named:
        return None
    thought = "Nothing has scored yet. First the data: files, sizes, kinds of columns, missing values."
    return thought, "I look at the data first.", [("bash", {"command": plan.idea.look})]


def write(plan: Plan, named: set[str]) -> Move | None:
    """Writes the solution: by an edit where the workspace holds the code to be tuned, else whole; then the repair."""
    if plan.verdicts:
        return repair(plan)
    if plan.made("write_file") or edited(plan):
        return None
    tag, because = plan.choice.tag, f"I try {plan.choice.tag}, because {plan.choice.why}."
    if str(tag) == f"{plan.workspace_tag} tuned" and {"read_file", "edit_file"} <= named and not plan.made("edit_file"):
        if not plan.made("read_file"):
            return f"{because} Its code is the best so far: I read it again.", because, [read_solution()]
        edits = tuning_edits(plan.idea, plan.ideas, plan.card.metric)
        if all((plan.made("read_file")[-1].result or "").count(old.strip()) == 1 for old, _ in edits):
            changes: list[Call] = [("edit_file", {"path": SOLUTION, "old": old, "new": new}) for old, new in edits]
            return "The settings are searched instead of guessed: two small edits.", "I edit it.", changes
    calls = [write_file(SOLUTION, solution(tag, plan.ideas, plan.card.metric))]
    if plan.idea.member and not History(plan.ideas, plan.card.memory, False).knows(plan.workspace_tag):
        calls.insert(0, write_file(SHARED, template("tabular")))
    return f"{seen(plan)}{because}", because, calls


def edited(plan: Plan) -> bool:
    """Whether edits were made and all of them were answered as writes are."""
    edits = plan.made("edit_file")
    return bool(edits) and all("sha256" in (step.result or "") for step in edits)


def seen(plan: Plan) -> str:
    """What the look at the data showed, in a sentence; "" when there was none."""
    looked = plan.made("bash")
    found = (
        re.findall(r"^data/(\S+): (\d+ rows, \d+ columns, \d+ values missing)", looked[-1].result or "", re.M)
        if looked
        else []
    )
    return f"The data: {'; '.join(f'{name} has {size}' for name, size in found)}. " if found else ""


def repair(plan: Plan) -> Move | None:
    """After an evaluation that gave nothing valid: the safe variant, once."""
    writes = [step for step in plan.made("write_file") if step.arguments.get("path") == SOLUTION]
    safe = template("safe").replace("{metric}", plan.card.metric)
    if plan.verdicts[-1].is_valid or len(plan.verdicts) > 1 or any(s.arguments.get("content") == safe for s in writes):
        return None
    thought = (
        f"The evaluation was {plan.verdicts[-1].status}: {plan.verdicts[-1].reason}. One repair: the safe variant."
    )
    return thought, "That did not work; I fall back to a simpler, safer solution.", [write_file(SOLUTION, safe)]


def evaluate(plan: Plan) -> Move | None:
    """Evaluates what was written and has not been evaluated yet."""
    if plan.steps and plan.steps[-1].name in ("write_file", "edit_file"):
        return "Written. Now the held-out rows decide.", "I evaluate it.", [("evaluate", {"command": ENTRYPOINT})]
    return None


def finish(plan: Plan, named: set[str], unexpected: str) -> Move:
    """Ends the attempt with what was learned."""
    if "finish" not in named:
        return unexpected or "All is done.", f"This attempt is over ({DEMO_LABEL}). {unexpected}".strip(), []
    words = finish_words(plan.card, plan.ideas, plan.choice, plan.verdicts, unexpected)
    return (
        unexpected or "The result is in; I write down what it teaches.",
        "I finish this attempt.",
        [("finish", words)],
    )


def read_solution() -> Call:
    return "read_file", {"path": SOLUTION}


def write_file(path: str, content: str) -> Call:
    return "write_file", {"path": path, "content": content}
