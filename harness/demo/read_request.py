"""What the demo model reads from a request: the metric, lessons, attempts in the memory, the steps of this attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]

_METRIC = re.compile(r"^## How you are scored\s+`(?P<name>[^`]+)`(?P<rest>[^#]*)", re.MULTILINE)
_POSITIVE = re.compile(r"probability that `[^`\n]+` is `(?P<label>[^`\n]+)`")
_NUMBER = r"(-?[\d.]+(?:e-?\d+)?)(?:\s*±\s*([\d.]+(?:e-?\d+)?))?"
_SCORED = re.compile(rf"evaluation \S+: scored {_NUMBER}")
_SCORE_LINE = re.compile(rf"^score {_NUMBER}", re.MULTILINE)
_OWN_SCORE = re.compile(
    rf"(?:^own score \([^)\n]*\): |evaluation \S+: scored, unclear [^\n]*?own score ){_NUMBER}", re.MULTILINE
)
"""Its own cross-validation stands in where the harness shows no score."""
_STATUS = re.compile(r"evaluation \S+: (\w+)")
_ROW = re.compile(r"^\| (\d+) \| ([^|\n]*) \| ([^|\n]*) \| ", re.MULTILINE)
"""An attempt in the table of the memory, which also lists those whose entries are not shown whole."""
_LESSON = re.compile(
    r"^> (do|avoid): (.+?)\.? (?:Why: .*)?\[[^\]]*?(?:real gain|failed) in ([1-9]\d*)[^\]]*\]$", re.MULTILINE
)
"""A lesson that earlier runs bear out. One without a record of runs is passed over."""
_NOTE = re.compile(r"<harness>.*?(</harness>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Tried:
    """A finished attempt: its `[idea: …]` and `[failed: …]` tags, and its best score."""

    tags: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    score: float | None = None


@dataclass(frozen=True)
class Advice:
    """A lesson of earlier runs: what to do, or to avoid."""

    is_do: bool
    words: str


@dataclass(frozen=True)
class Card:
    """What the first user message says. `move` is the one the harness asks for; empty if it asks for none.

    `positive` is the label whose probability is asked for; empty if the message names none.
    """

    metric: str
    lower_is_better: bool
    attempt: int
    memory: tuple[Tried, ...]
    starts_empty: bool = True
    move: str = ""
    lessons: tuple[Advice, ...] = ()
    positive: str = ""


@dataclass(frozen=True)
class Step:
    """A call of this attempt and its result (None: no result yet)."""

    name: str
    result: str | None


@dataclass(frozen=True)
class Outcome:
    """How an evaluation ended: `scored`, `unscored`, `invalid`, `failed`, or `unread` if the result says nothing."""

    status: str
    score: float | None = None
    noise: float | None = None
    reason: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether the submission was accepted."""
        return self.status in ("scored", "unscored")


def text_of(message: Message) -> str:
    """The text of a message; empty if it is not a string."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def read_card(messages: Sequence[Message]) -> Card:
    """Read the first user message. Missing parts get defaults."""
    text = next((text_of(message) for message in messages if message.get("role") == "user"), "")
    metric = _METRIC.search(text)
    lower = metric is not None and "lower is better" in metric["rest"].lower()
    head, *parts = re.split(r"^## Attempt (\d+)[^\n]*$", text, flags=re.MULTILINE)
    table = head.partition("## All attempts so far")[2]
    memory = {int(number): _read_row(did, score) for number, did, score in _ROW.findall(table)}
    memory.update(
        (int(n), _read_entry(part.split("\n# ")[0], lower)) for n, part in zip(*[iter(parts)] * 2, strict=True)
    )
    tried = tuple(memory[number] for number in sorted(memory))
    numbers = re.findall(r"^\W*attempt:\s*(\d+)", parts[-1] if parts else head, re.MULTILINE)
    number = int(numbers[-1]) if numbers else len(tried) + 1
    move = re.search(r"^# This attempt: (\w+)$", text, re.MULTILINE)
    asked = _POSITIVE.search(text)
    return Card(
        metric["name"] if metric else "",
        lower,
        number,
        tried,
        starts_empty="\nworkspace: started as commit" not in text,
        move=move[1] if move else "",
        lessons=tuple(Advice(kind == "do", words) for kind, words, _ in _LESSON.findall(head)),
        positive=asked["label"] if asked else "",
    )


def _read_row(did: str, score: str) -> Tried:
    ideas, failed = (tuple(re.findall(rf"\[{word}: ([^\]]+)\]", did)) for word in ("idea", "failed"))
    number = re.match(_NUMBER, score)
    return Tried(ideas, failed, float(number[1]) if number else None)


def _read_entry(entry: str, lower: bool) -> Tried:
    did = next((line for line in entry.splitlines() if line.lstrip("-* ").startswith("did:")), "")
    scores = [float(score) for score, _ in [*_SCORED.findall(entry), *_OWN_SCORE.findall(entry)]]
    ideas, failed = (tuple(re.findall(rf"\[{word}: ([^\]]+)\]", did)) for word in ("idea", "failed"))
    return Tried(ideas, failed, (min if lower else max)(scores, default=None))


def read_steps(messages: Sequence[Message]) -> list[Step]:
    """The calls of this attempt in order, each with its result, without harness notes."""
    results = {m.get("tool_call_id"): _NOTE.sub("", text_of(m)) for m in messages if m.get("role") == "tool"}
    return [
        Step(call["function"]["name"], results.get(call["id"]))
        for message in messages
        if message.get("role") == "assistant"
        for call in message.get("tool_calls") or []
    ]


def read_outcome(result: str | None) -> Outcome:
    """Read the result of `evaluate`."""
    text = result or ""
    status = _STATUS.search(text)
    if not status:
        return Outcome("unread", reason=_last_line(text))
    score = _SCORE_LINE.search(text) or _SCORED.search(text) or _OWN_SCORE.search(text)
    if status[1] == "scored" and score:
        return Outcome("scored", float(score[1]), float(score[2]) if score[2] else None)
    message = text[status.end() :].strip()
    # An invalid file is explained first; the reason why a program failed is at the end of its output.
    return Outcome(status[1], reason=message.split("\n")[0][:160] if status[1] == "invalid" else _last_line(message))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("commit ", "best so far "))]
    return lines[-1][:160] if lines else "no answer"
