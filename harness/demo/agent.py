"""The next message of the demo model, computed from the request alone.

An attempt looks at the data (the first one only), makes one move, evaluates it, repairs it at most once and finishes.
Every call made counts as done whatever its result, so an attempt always ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.demo import DEMO_LABEL
from harness.demo.moves import HANDLERS, Call, Choice, Scores, choose
from harness.demo.read_request import Card, Message, Outcome, Step, Tried, read_card, read_outcome, read_steps
from harness.demo.solutions import Idea, describe

MAX_REPLIES = 24
LOOK = "wc -l data/*.csv; head -n 3 data/*.csv | cut -c 1-300"

Reply = tuple[str, str, list[Call]]
"""Reasoning, content, calls."""


@dataclass(frozen=True)
class Plan:
    """The move of this attempt, and what was read from the request."""

    card: Card
    ideas: tuple[Idea, ...]
    choice: Choice
    steps: Sequence[Step]

    @property
    def outcomes(self) -> list[Outcome]:
        """How the evaluations of this attempt ended."""
        return [read_outcome(step.result) for step in self.steps if step.name == "evaluate"]


def next_message(messages: Sequence[Message], tools: Sequence[Message], ideas: tuple[Idea, ...]) -> dict[str, Any]:
    """The assistant message that follows, with `tool_calls` unless there is nothing to call."""
    card = read_card(messages)
    plan = Plan(card, ideas, choose(ideas, card), read_steps(messages))
    replies = sum(1 for message in messages if message.get("role") == "assistant")
    reasoning, content, calls = _decide(plan, {tool["function"]["name"] for tool in tools}, replies)
    reasoning = f"({DEMO_LABEL}) {reasoning}"
    message: dict[str, Any] = {"role": "assistant", "reasoning_content": reasoning, "content": content}
    functions = [{"name": name, "arguments": json.dumps(values, ensure_ascii=False)} for name, values in calls]
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{card.attempt}_{replies + 1}_{index}", "type": "function", "function": function}
            for index, function in enumerate(functions)
        ]
    return message


def _decide(plan: Plan, tools: set[str], replies: int) -> Reply:
    done = [step.name for step in plan.steps]
    if "finish" not in tools:
        return "Without the tool finish there is nothing to do.", f"This is the {DEMO_LABEL}: it only calls tools.", []
    if not {"write_file", "evaluate"} <= tools or "finish" in done or replies >= min(MAX_REPLIES, len(done) + 4):
        return _finish(plan, "The attempt did not go as scripted.")
    if not done and not plan.card.memory and "bash" in tools:
        return "First the data: files, rows, columns.", "I look at the data.", [("bash", {"command": LOOK})]
    if "write_file" not in done:
        why = f"I try {plan.choice.tag} ({plan.choice.move}), because {plan.choice.why}."
        return why, f"I try {plan.choice.tag}.", _handle(plan, plan.choice.move)
    if done[-1] == "write_file":
        return (
            "The held-out rows decide.",
            "I evaluate it.",
            [("evaluate", {"command": "python solution.py", "wait_seconds": 3600})],
        )
    if len(plan.outcomes) == 1 and not plan.outcomes[0].is_valid:
        reason = f"The evaluation ended as {plan.outcomes[0].status}: {plan.outcomes[0].reason}."
        return reason, "That did not work; I use a simpler solution.", _handle(plan, "repair")
    return _finish(plan, "")


def _handle(plan: Plan, move: str) -> list[Call]:
    return HANDLERS[move](plan.choice, plan.card, plan.ideas)


# -------------------------------------------------------------------------------------------------------------- finish


def _finish(plan: Plan, unexpected: str) -> Reply:
    """End the attempt with a report whose `[idea: …]` and `[failed: …]` tags later attempts read."""
    tag, card = plan.choice.tag, plan.card
    first, *later = plan.outcomes or [Outcome("not evaluated", reason="no evaluation was made")]
    if first.is_valid:
        entry, comparison = Tried((tag,), (), first.score), _compare(plan, first)
        did = f"[idea: {tag}] {describe(tag, plan.ideas)}: {_score(first)}."
    else:
        entry, comparison = Tried(failed=(tag,)), "the idea itself was not measured"
        reason = first.reason.replace("[", "(").replace("]", ")")  # brackets could be read as a tag
        did = f"[failed: {tag}] {first.status}: {reason}."
        did += f" [idea: safe] a small forest on the number columns: {_score(later[0])}." if later else ""
    following = choose(plan.ideas, replace(card, attempt=card.attempt + 1, memory=(*card.memory, entry)))
    report = {
        "did": did,
        "criticism": f"One set of held-out rows only; {comparison}.",
        "next": f"{following.tag}: {following.why}",
        "lessons": [f"{tag} {_score(first)}; {comparison}"] if first.is_valid else [],
    }
    return unexpected or "The result is in.", "I finish this attempt.", [("finish", report)]


def _score(outcome: Outcome) -> str:
    if outcome.score is None:
        return outcome.status
    if outcome.noise is None:  # of an unclear evaluation only the program's output is shown
        return f"unclear, own score {outcome.score:g}"
    return f"scored {outcome.score:g} ± {outcome.noise:g}"


def _compare(plan: Plan, outcome: Outcome) -> str:
    """This score against the best before it."""
    scores = Scores(plan.ideas, plan.card)
    if outcome.score is None or not scores.ranked:
        return "there is nothing to compare it with"
    best = scores.by_tag[scores.ranked[0]]
    gain = best - outcome.score if plan.card.lower_is_better else outcome.score - best
    is_noise = abs(gain) <= (outcome.noise or 0.0)
    relation = "within the noise of" if is_noise else "better than" if gain > 0 else "worse than"
    return f"{relation} {scores.ranked[0]} ({best:g})"
