"""Separates text and thinking of a recorded assistant message, whichever field the endpoint put the thinking in."""

from __future__ import annotations

import json
import re
from typing import Any

_TAGGED = re.compile(
    r"\s*(?:<(?P<tag>(?:mm:|seed:)?think(?:ing)?|thought|reasoning)>|\[THINK\])(?P<text>.*?)"
    r"(?:</(?P=tag)>|\[/THINK\]|\Z)",
    re.DOTALL,
)


def split_thinking(message: str) -> tuple[str, str]:
    """Text and thinking of a canonical assistant message. A message that is not a JSON object is all text."""
    try:
        fields = json.loads(message)
    except ValueError:
        return message, ""
    if not isinstance(fields, dict):
        return message, ""
    text = content_text(fields.get("content"))
    for name in ("reasoning_details", "reasoning_content", "reasoning"):
        if thinking := content_text(fields.get(name)):
            return text, thinking
    tagged = _TAGGED.match(text)
    return (text[tagged.end() :], tagged["text"]) if tagged else (text, "")


def content_text(value: Any) -> str:
    """The text of a message field: a string, a list of parts, or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return content_text(value.get("text"))
    return "".join(map(content_text, value)) if isinstance(value, list) else ""


def arguments_text(arguments: str) -> str:
    """Arguments as `name: value` lines, with multi-line texts below their name; a single text argument as it is."""
    try:
        fields = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(fields, dict):
        return arguments
    if len(fields) == 1 and isinstance(value := next(iter(fields.values())), str):
        return value
    return "\n".join(f"{name}: {_value(value)}" for name, value in fields.items())


def _value(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"\n{value}" if "\n" in value else value
