"""Separates the model's reasoning from its content, wherever the endpoint puts it, and puts it back unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.parsing.json_text import fix_surrogates

FIELDS = ("reasoning_details", "reasoning_content", "reasoning")
"""Fields that may carry reasoning, the richest first. Two at once carry the same text, so they are never joined."""

CONTENT = "content"
"""Reasoning is in the content, between `<think>` tags; `content_tags` means the same."""

NONE = "none"

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True)
class Reasoning:
    """Reasoning separated from content.

    `text` is for people; `field` is where it came from (a name of `FIELDS`, `content` or `none`); `value` is the value
    of that field as received (for `content`: the start of the content, tags included); `content` is the rest.
    """

    text: str
    field: str
    value: Any
    content: str


def split_reasoning(message: Mapping[str, Any]) -> Reasoning:
    """Split a reply into reasoning and content. Takes any mapping; never raises."""
    content = text_of(message.get("content"))
    for field in FIELDS:
        value = message.get(field)
        text = text_of(value)
        if text.strip():
            return Reasoning(text.strip(), field, _fix_value(value), _without_copy(content, text))
    inner, end = _in_content(content)
    if end:
        return Reasoning(inner.strip(), CONTENT, content[:end], content[end:])
    return Reasoning("", NONE, None, content)


def text_of(value: Any) -> str:
    """The text of a string or of a list of parts with a `text`; empty for anything else."""
    if isinstance(value, str):
        return fix_surrogates(value)
    if isinstance(value, Mapping):
        return text_of(value.get("text"))
    if isinstance(value, list):
        return fix_surrogates("".join(item if isinstance(item, str) else text_of(item) for item in value))
    return ""


def with_reasoning(message: dict[str, Any], reasoning: Reasoning, field: str) -> dict[str, Any]:
    """Return a message with the reasoning in `field`, byte for byte if it came in the same form."""
    field = CONTENT if field == "content_tags" else field
    if not reasoning.text and field != CONTENT:
        return message
    if field == CONTENT:
        return {**message, "content": _as_tags(reasoning) + message["content"]}
    if field not in FIELDS:
        return message
    return {**message, field: _as_field(reasoning, field)}


def _as_field(reasoning: Reasoning, field: str) -> Any:
    if field == reasoning.field:
        return reasoning.value
    inner = _inner(reasoning)
    return [{"type": "reasoning.text", "text": inner}] if field == "reasoning_details" else inner


def _as_tags(reasoning: Reasoning) -> str:
    if reasoning.field == CONTENT:
        # Reasoning without an end tag would include everything after it.
        return str(reasoning.value) if _CLOSE in reasoning.value else f"{reasoning.value}\n{_CLOSE}\n\n"
    return f"{_OPEN}\n{_inner(reasoning)}\n{_CLOSE}\n\n" if reasoning.text else ""


def _inner(reasoning: Reasoning) -> str:
    if reasoning.field != CONTENT:
        return text_of(reasoning.value)
    inner, _ = _in_content(reasoning.value)
    return inner.removeprefix("\n").removesuffix("\n")


def _fix_value(value: Any) -> Any:
    """The value with split surrogates repaired; the same object if there are none."""
    if isinstance(value, str):
        return fix_surrogates(value)
    if isinstance(value, list):
        return [_fix_value(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _fix_value(item) for key, item in value.items()}
    return value


def _without_copy(content: str, thinking: str) -> str:
    """Remove reasoning that a server put into the content as well as into its field, and a stray end tag."""
    inner, end = _in_content(content)
    if end and inner.strip() in ("", thinking.strip()):
        return content[end:]
    return content


def _in_content(content: str) -> tuple[str, int]:
    """The reasoning at the start of the content, and where the rest starts (0: no reasoning)."""
    start = len(content) - len(content.lstrip())
    if content.startswith(_OPEN, start):
        start += len(_OPEN)
        close = _closing(content, start)
        if close < 0:
            return content[start:], len(content)
        return content[start:close], _after(content, close)
    close = _unopened(content)
    return (content[:close], _after(content, close)) if close >= 0 else ("", 0)


def _closing(content: str, start: int) -> int:
    """Where reasoning with an opening tag ends. If the tag has its own line, so has the end tag."""
    if content.startswith("\n", start):
        result = content.find("\n" + _CLOSE, start)
        if result >= 0:
            return result + 1
    return content.find(_CLOSE, start)


def _unopened(content: str) -> int:
    """Where reasoning without an opening tag ends. A mention of the end tag in a sentence or in code does not count."""
    position = content.find(_CLOSE)
    while position >= 0:
        after = content[position + len(_CLOSE) :][:1]
        before = content[:position][-1:]
        is_fenced = content.count("```", 0, position) % 2 == 1
        goes_on = after in tuple(" \t`'\".,;:)") and before not in ("", "\n")
        if not is_fenced and not goes_on and before not in tuple("`'\""):
            return position
        position = content.find(_CLOSE, position + 1)
    return -1


def _after(content: str, close: int) -> int:
    end = close + len(_CLOSE)
    return end + len(content[end:]) - len(content[end:].lstrip("\n"))
