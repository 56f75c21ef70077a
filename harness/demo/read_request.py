"""What the demo model reads from a request: the task's metric, what the memory says was tried, its own steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Message = Mapping[str, Any]
SMALLER_IS_BETTER = ("rmse", "rmsle", "mae", "mse", "log_loss", "logloss", "mape", "smape", "brier", "error")
SCORED = re.compile(r"evaluation (\S+): scored (-?[\d.]+(?:e-?\d+)?)(?:\s*±\s*([\d.]+(?:e-?\d+)?))?")
METRIC = re.compile(
    r"^(?:\W*metric:\s*|#+ How you are scored\s+)`?(?P<name>[\w.:/-]+?)`?(?::|\s|$)(?P<rest>[^#]*)",
    re.MULTILINE | re.IGNORECASE,
)
DIRECTION = re.compile(r"\b(lower|higher) is better", re.IGNORECASE)
VERDICT = re.compile(r"evaluation (\S+): (\w+)")
SCORE_LINE = re.compile(r"^score (-?[\d.]+(?:e-?\d+)?)(?:\s*±\s*([\d.]+(?:e-?\d+)?))?", re.MULTILINE)
NOTE = re.compile(r"<harness>.*?(</harness>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Tried:
    """One finished attempt as the memory tells it: the tags it tried, those that failed, and its best score."""

    number: int
    tags: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    score: float | None = None
    noise: float | None = None


@dataclass(frozen=True)
class Card:
    """What the one user message says: the metric and its direction, the attempt's number, and what was tried."""

    metric: str
    lower_is_better: bool
    attempt: int
    memory: tuple[Tried, ...]


@dataclass(frozen=True)
class Step:
    """One call made in this attempt and the answer it got (None: none yet)."""

    name: str
    arguments: Mapping[str, Any]
    result: str | None


@dataclass(frozen=True)
class Verdict:
    """How an evaluation ended: `scored`, `unscored`, `invalid`, `failed`, or `unread` if none."""

    status: str
    score: float | None
    noise: float | None
    reason: str

    @property
    def is_valid(self) -> bool:
        return self.status in ("scored", "unscored")


def text_of(message: Message) -> str:
    """A message's text, whether its content is a string, a list of parts, or nothing."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def read_card(messages: Sequence[Message]) -> Card:
    """Reads the first user message; whatever is not there falls back to something that still works."""
    return _card(next((text_of(message) for message in messages if message.get("role") == "user"), ""))


@lru_cache(maxsize=8)
def _card(text: str) -> Card:
    metric = METRIC.search(text)
    name = metric["name"].lower() if metric else ""
    told = DIRECTION.search(metric["rest"]) if metric else None
    lower = told[1].lower() == "lower" if told else name.startswith(SMALLER_IS_BETTER)
    entries = re.split(r"^## Attempt (\d+)[^\n]*$", text, flags=re.MULTILINE)
    memory = tuple(
        _tried(int(number), body.split("\n# ")[0], lower)
        for number, body in zip(entries[1::2], entries[2::2], strict=True)
    )
    now = re.findall(r"^\W*attempt:\s*(\d+)", entries[-1], re.MULTILINE)
    return Card(name, lower, int(now[-1]) if now else len(memory) + 1, memory)


def _tried(number: int, body: str, lower: bool) -> Tried:
    did = next((line for line in body.splitlines() if line.lstrip("-* ").startswith("did:")), "")
    scores = [(float(s), float(n) if n else None) for _, s, n in SCORED.findall(body)]
    score, noise = (min if lower else max)(scores, key=lambda pair: pair[0], default=(None, None))
    return Tried(
        number,
        tuple(re.findall(r"\[idea: ([^\]]+)\]", did)),
        tuple(re.findall(r"\[failed: ([^\]]+)\]", did)),
        score,
        noise,
    )


def read_steps(messages: Sequence[Message]) -> list[Step]:
    """The calls of this attempt in order, each with its result, harness notes left out."""
    results = {m.get("tool_call_id"): text_of(m) for m in messages if m.get("role") == "tool"}
    steps = []
    for message in messages:
        for call in (message.get("tool_calls") or []) if message.get("role") == "assistant" else []:
            function = call.get("function") or {}
            result = results.get(call.get("id"))
            told = None if result is None else NOTE.sub("", result)
            steps.append(Step(str(function.get("name")), _arguments(function.get("arguments")), told))
    return steps


def _arguments(text: object) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def read_verdict(result: str | None) -> Verdict:
    """Reads what `evaluate` answered."""
    found = VERDICT.search(result or "")
    score = SCORE_LINE.search(result or "") or SCORED.search(result or "")
    if not found:
        return Verdict("unread", None, None, last_line(result))
    if found[2] != "scored" or not score:
        said = (result or "")[found.end() :].strip()
        # An invalid file is explained at once; why a program failed stands at the end of its output.
        return Verdict(found[2], None, None, said.split("\n")[0][:160] if found[2] == "invalid" else last_line(said))
    value, noise = score.groups()[-2:]
    return Verdict("scored", float(value), float(noise) if noise else None, "")


def last_line(result: str | None) -> str:
    """The last line that says something: of a traceback, the error."""
    lines = [line.strip() for line in (result or "").splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("commit ", "best so far "))]
    return said[-1][:160] if said else "no answer"
