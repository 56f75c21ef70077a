"""Separates the model's reasoning from its content, wherever the endpoint puts it, and puts it back unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.parsing.json_text import fix_surrogates
from harness.parsing.thinking_marks import PLAIN_MARKS, THINK, take_thinking

FIELDS = ("reasoning_details", "reasoning_content", "reasoning")
"""Fields that may carry reasoning, the richest first. Two at once carry the same text, so they are never joined."""

CONTENT = "content"
"""Reasoning is in the content, between thinking marks such as `<think>`; `content_tags` means the same."""

NONE = "none"

_OPENINGS = tuple(marks.opening for marks in PLAIN_MARKS)
_CLOSINGS = tuple(marks.closing for marks in PLAIN_MARKS)


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


def split_reasoning(message: Mapping[str, Any], family: str = "") -> Reasoning:
    """Split a reply into reasoning and content. Takes any mapping; never raises.

    `family` is the dialect of the model, if it is known: it tells which thinking marks may stand alone.
    """
    content = text_of(message.get("content"))
    for field in FIELDS:
        value = message.get(field)
        text = text_of(value)
        if text.strip():
            return Reasoning(text.strip(), field, _fix_value(value), _without_copy(content, text, family))
    thinking = take_thinking(content, family)
    if thinking is None:
        return Reasoning("", NONE, None, content)
    if thinking.marks not in PLAIN_MARKS:  # marks that templates refuse in content, or would show as text
        field = "reasoning_content" if thinking.marks else "reasoning"
        text = thinking.text.strip()
        return Reasoning(text, field, text, thinking.rest) if text else Reasoning("", NONE, None, thinking.rest)
    if not thinking.text.strip() and thinking.marks != THINK and not thinking.taken.lstrip().startswith(_OPENINGS):
        return Reasoning("", NONE, None, thinking.rest)  # a closing mark that a server left
    return Reasoning(thinking.text.strip(), CONTENT, thinking.taken, thinking.rest)


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


def ends_thinking(text: str) -> bool:
    """Whether a text contains a closing mark of thinking."""
    return any(closing in text for closing in _CLOSINGS)


def _as_field(reasoning: Reasoning, field: str) -> Any:
    if field == reasoning.field:
        return reasoning.value
    inner = _inner(reasoning)
    return [{"type": "reasoning.text", "text": inner}] if field == "reasoning_details" else inner


def _as_tags(reasoning: Reasoning) -> str:
    if reasoning.field == CONTENT:
        # Reasoning without an end tag would include everything after it.
        value = str(reasoning.value)
        if ends_thinking(value):
            return value
        opened = next((marks for marks in PLAIN_MARKS if value.lstrip().startswith(marks.opening)), THINK)
        return f"{value}\n{opened.closing}\n\n"
    return f"{THINK.opening}\n{_inner(reasoning)}\n{THINK.closing}\n\n" if reasoning.text else ""


def _inner(reasoning: Reasoning) -> str:
    if reasoning.field != CONTENT:
        return text_of(reasoning.value)
    thinking = take_thinking(reasoning.value)
    return thinking.text.removeprefix("\n").removesuffix("\n") if thinking else ""


def _fix_value(value: Any) -> Any:
    """The value with split surrogates repaired; the same object if there are none."""
    if isinstance(value, str):
        return fix_surrogates(value)
    if isinstance(value, list):
        return [_fix_value(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _fix_value(item) for key, item in value.items()}
    return value


def _without_copy(content: str, text: str, family: str) -> str:
    """Remove reasoning that a server put into the content as well as into its field, and a stray closing mark."""
    thinking = take_thinking(content, family)
    if thinking and (thinking.marks not in PLAIN_MARKS or thinking.text.strip() in ("", text.strip())):
        return thinking.rest
    return content
