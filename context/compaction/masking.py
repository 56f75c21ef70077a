"""Observation masking: the outputs of old exchanges become one line each; what the model said stays.

Outputs are 50 to 70 % of a window's bytes, and most can be had again. Calls, their arguments, the model's text and the
last sentence of each thought stay word for word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from context.truncation.keep_lines import ERROR, score_lines
from context.window import NOTE_END, NOTE_START, strip_harness_note
from runs.views.format import one_line
from runs.views.messages import content_text

SMALL_BYTES = 280
"""Outputs up to this size stay: their line would hardly be shorter."""
LINE_CHARACTERS = 150
THOUGHT_CHARACTERS = 300
CHECKPOINT = "checkpoint"
REQUEST = "Your next call must be `checkpoint`"
"""How the request in `prompts/checkpoint.md` begins."""
_MASKED = re.compile(r"\[event (-?\d+): .* left the window; `recall` shows it\]")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n+")
_TAGGED = re.compile(r"(\s*<think>)(.*?)(</think>|\Z)", re.DOTALL)
_FIELDS = ("reasoning_details", "reasoning_content", "reasoning")


def mask_messages(messages: Sequence[bytes], seqs: Sequence[int]) -> list[bytes]:
    """The messages of whole exchanges with masked outputs and short thoughts."""
    return [_mask(message, seq) for message, seq in zip(messages, seqs, strict=True)]


def masked_size(messages: Sequence[bytes]) -> int:
    """Bytes of these messages once they are masked."""
    return sum(len(_mask(message, 10_000)) for message in messages)


@lru_cache(maxsize=2_048)
def _mask(message: bytes, seq: int) -> bytes:
    fields = json.loads(message)
    if fields.get("role") == "tool":
        changed = {**fields, "content": mask_output(content_text(fields.get("content")), seq)}
    elif fields.get("role") == "assistant":
        changed = _with_short_thought(fields)
    else:
        return message
    return encode(changed)


def encode(fields: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")


def mask_output(content: str, seq: int) -> str:
    """An output as one line with its event number and its last informative lines; a short one as it is."""
    text = strip_harness_note(content)
    size = len(text.encode(errors="replace"))
    if size <= SMALL_BYTES or _MASKED.match(text):
        return text
    first = one_line(text.split("\n", 1)[0], LINE_CHARACTERS)
    kept = [one_line(line, LINE_CHARACTERS) for line in informative_lines(text)]
    lines = [first, *(line for line in kept if line != first)]
    where = f"event {seq}" if seq >= 0 else "output"
    return f"[{where}: {size / 1000:.1f} kB left the window; `recall` shows it] {' / '.join(lines)}"


def unmask(content: str) -> str:
    """What a masked output still says; empty for one that is not masked."""
    match = _MASKED.match(content)
    return content[match.end() :].strip() if match else ""


def informative_lines(text: str) -> list[str]:
    """The one or two lines that say most of an output: its last scores, its last error, else its last lines."""
    lines = [line.strip() for line in text.split("\n")[1:] if line.strip() and not line.startswith(("[lines ", "[…"))]
    errors = [line for line in lines if ERROR.search(line)][-1:]
    scores = score_lines("\n".join(lines), 2 - len(errors))
    return [*scores, *errors] or lines[-2:]


def _with_short_thought(fields: dict[str, Any]) -> dict[str, Any]:
    changed = dict(fields)
    for name in _FIELDS:
        if name in changed:
            short = _short_field(changed[name])
            changed = {key: value for key, value in changed.items() if key != name or short is not None}
            if short is not None:
                changed[name] = short
    text = changed.get("content")
    if isinstance(text, str) and (tagged := _TAGGED.match(text)):
        changed["content"] = f"{tagged[1]}{last_sentence(tagged[2])}{tagged[3]}{text[tagged.end() :]}"
    return changed


def _short_field(value: Any) -> Any:
    """A field with reasoning, shortened; None if it is signed or of a form that is not known: it is left out whole."""
    if isinstance(value, str):
        return last_sentence(value)
    if isinstance(value, list) and value and all(isinstance(part, dict) and "text" in part for part in value):
        if any("signature" in part or "data" in part for part in value):
            return None
        return [{**value[-1], "text": last_sentence(content_text(value))}]
    return None


def last_sentence(text: str) -> str:
    """The last sentence of a thought: what it came to."""
    sentences = [sentence.strip() for sentence in _SENTENCE_END.split(text[-4_000:]) if sentence.strip()]
    last = sentences[-1] if sentences else ""
    if len(last) < 20 and len(sentences) > 1:  # `Yes.` alone says nothing
        last = f"{sentences[-2]} {last}"
    return last if len(last) <= THOUGHT_CHARACTERS else f"…{last[-THOUGHT_CHARACTERS:]}"


def tidy(messages: Sequence[bytes]) -> list[bytes | None]:
    """The messages of an exchange without its `checkpoint` call, whose words are in the first message, and without a
    request for one that was answered; None for a message that is gone.
    """
    reply = json.loads(messages[0])
    calls = reply.get("tool_calls") or []
    gone = {str(call.get("id")) for call in calls if call.get("function", {}).get("name") == CHECKPOINT}
    left = [call for call in calls if str(call.get("id")) not in gone]
    if gone and not left:
        return [None] * len(messages)
    first = encode({**reply, "tool_calls": left}) if gone else messages[0]
    return [first, *(None if gone and _answers(one, gone) else _without_request(one) for one in messages[1:])]


def _answers(message: bytes, calls: set[str]) -> bool:
    return str(json.loads(message).get("tool_call_id")) in calls


def _without_request(message: bytes) -> bytes:
    """A tool result without a request for a checkpoint; what else the harness said in it stays."""
    if REQUEST.encode() not in message or not message.rstrip(b'"}').endswith(b"</harness>"):
        return message
    fields = json.loads(message)
    content = content_text(fields.get("content"))
    start = content.rfind(REQUEST)
    said = content[:start].rstrip("; ") if start > content.rfind(NOTE_START) >= 0 else content
    shorter = said.removesuffix(NOTE_START) if said.endswith(NOTE_START) else f"{said}{NOTE_END}"
    return encode({**fields, "content": shorter}) if said != content else message
