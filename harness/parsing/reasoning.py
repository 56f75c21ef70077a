"""Finds the model's thinking in a reply, wherever this endpoint puts it, and puts it back unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.parsing.json_text import fix_surrogates

FIELDS = ("reasoning_details", "reasoning_content", "reasoning")
"""Fields that may carry thinking, the richest first. Two at once carry the same, so they are never joined."""

CONTENT = "content"
"""Thinking stands in the text, between `<think>` tags; `content_tags` is taken for the same."""

NONE = "none"

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True)
class Reasoning:
    """Thinking apart from content.

    `text` is what people read; `field` where it came from (a name of `FIELDS`, `content` or `none`); `value`
    what that field held, as it came (for `content`: the head of content, tags and blank lines included);
    `content` is what the model said besides.
    """

    text: str
    field: str
    value: Any
    content: str


def split_reasoning(message: Mapping[str, Any]) -> Reasoning:
    """Part a reply into thinking and content. Takes any mapping; never raises."""
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
    """The text of a string, or of a list of parts that have a `text`; anything else is no text."""
    if isinstance(value, str):
        return fix_surrogates(value)
    if isinstance(value, Mapping):
        return text_of(value.get("text"))
    if isinstance(value, list):
        return fix_surrogates("".join(item if isinstance(item, str) else text_of(item) for item in value))
    return ""


def with_reasoning(message: dict[str, Any], thought: Reasoning, field: str) -> dict[str, Any]:
    """Return a message that carries the thinking in `field`, byte for byte where the form is the same."""
    field = CONTENT if field == "content_tags" else field
    if not thought.text and field != CONTENT:
        return message
    if field == CONTENT:
        return {**message, "content": _as_tags(thought) + message["content"]}
    if field not in FIELDS:
        return message
    return {**message, field: _as_field(thought, field)}


def _as_field(thought: Reasoning, field: str) -> Any:
    if field == thought.field:
        return thought.value
    inner = _inner(thought)
    return [{"type": "reasoning.text", "text": inner}] if field == "reasoning_details" else inner


def _as_tags(thought: Reasoning) -> str:
    if thought.field == CONTENT:
        # A thought without an end would swallow whatever comes after it.
        return str(thought.value) if _CLOSE in thought.value else f"{thought.value}\n{_CLOSE}\n\n"
    return f"{_OPEN}\n{_inner(thought)}\n{_CLOSE}\n\n" if thought.text else ""


def _inner(thought: Reasoning) -> str:
    if thought.field != CONTENT:
        return text_of(thought.value)
    inner, _ = _in_content(thought.value)
    return inner.removeprefix("\n").removesuffix("\n")


def _fix_value(value: Any) -> Any:
    """The same value with torn surrogates mended; the very object where there are none."""
    if isinstance(value, str):
        return fix_surrogates(value)
    if isinstance(value, list):
        return [_fix_value(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _fix_value(item) for key, item in value.items()}
    return value


def _without_copy(content: str, thinking: str) -> str:
    """Take thinking out of content where a server put it there as well as in its field, and a stray end tag."""
    inner, end = _in_content(content)
    if end and inner.strip() in ("", thinking.strip()):
        return content[end:]
    return content


def _in_content(content: str) -> tuple[str, int]:
    """The thinking that content begins with, and where the rest starts (0: there is none)."""
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
    """Where an opened thought ends. One that began with a line of its own ends so too, whatever it mentions."""
    if content.startswith("\n", start):
        found = content.find("\n" + _CLOSE, start)
        if found >= 0:
            return found + 1
    return content.find(_CLOSE, start)


def _unopened(content: str) -> int:
    """Where a thought ends that nobody opened; a mention of the tag in a sentence or in code is not such an end."""
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
