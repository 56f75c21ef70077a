"""Finds thinking in the text of a reply, before anything else is read: a call that the model gave up in its thoughts
must never be executed.

Thinking is taken off at the start of the text, opened or only closed (templates put the opening mark into the prompt).
Harmony's analysis messages are taken off wherever they stand. Source of the marks: the models' chat templates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """A pair of marks. `early_end` matches where thinking ends although its closing mark is missing."""

    opening: str
    closing: str
    early_end: re.Pattern[str] | None = None


THINK = Marks("<think>", "</think>")
MM_THINK = Marks("<mm:think>", "</mm:think>")
K3_THINK = Marks(
    "<|open|>think<|sep|>", "<|close|>think<|sep|>", re.compile(r"<\|open\|>\s?(?:response|tools)\s?<\|sep\|>")
)
PLAIN_MARKS = (
    THINK,
    MM_THINK,
    Marks("<thinking>", "</thinking>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<seed:think>", "</seed:think>"),
    Marks("<thought>", "</thought>"),
    Marks("<reasoning>", "</reasoning>"),
    Marks("◁think▷", "◁/think▷"),
)
"""Marks that may go back to the model inside the content, as they came."""

_ALL = (*PLAIN_MARKS, K3_THINK)
_OF_FAMILY = {"minimax_m2": THINK, "minimax_m1": THINK, "minimax_m3": MM_THINK, "kimi_k3": K3_THINK, "glm": THINK}
_OF_FAMILY |= {"dsml": THINK, "deepseek_v3": THINK, "kimi_k2": THINK, "qwen_xml": THINK, "hermes": THINK}

_ANALYSIS = re.compile(
    r"(?:<\|start\|>assistant\s*)?<\|channel\|>\s*analysis\s*<\|message\|>(.*?)"
    r"(?:<\|end\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)
_GLUED_ANALYSIS = re.compile(r"\Aanalysis(?=\S)(.*?)assistant(?=final|commentary)(?:final)?", re.DOTALL)

_CALL_START = re.compile(
    r"<tool_calls?>|<(?:invoke|parameter)\b|<(?:function|parameter)(?:=| name=)"
    r"|<[｜|‖]{1,2}DSML[｜|‖]{1,2} ?(?:invoke|parameter)"
    r"|<[｜|]tool[▁_]calls?[▁_]begin|<\|tool_call|<\|open\|>\s?(?:call|argument)|<\|channel\|>\s*commentary|\[TOOL_CALLS\]"
    r"|<steptml:|<TOOLCALL>|<arg_(?:key|value)>|\]<\]minimax\[>\[<\w|<\|python_tag\|>|\A\s*\[?\s*\{\s*\"name\"|\A\s*\[\w+\("
)
_CALL_END = re.compile(
    r"</(?:parameter|invoke|function|tool_calls?|arg_value|TOOLCALL|steptml:\w+)>|</[｜|‖]{1,2}DSML[｜|‖]{1,2} ?\w+>"
    r"|<[｜|]tool[▁_]calls?[▁_]end|<\|tool_call_end|<\|close\|>|<\|call\|>|\]<\]minimax\[>\[</|[}\])]\s*\Z"
)
"""Where a call, or one of its values, begins and ends: a mark of thinking in between is a part of the value."""


@dataclass(frozen=True)
class Thinking:
    """Thinking taken off a text: its words, the text as it stood (marks included), the rest, and its marks.

    `marks` is None for Harmony, whose thinking may not go back inside the content.
    """

    text: str
    taken: str
    rest: str
    marks: Marks | None


def take_thinking(content: str, family: str = "") -> Thinking | None:
    """Take the thinking off a text; None if there is none. `family` is the dialect of the model, if it is known."""
    if ("<|channel|>" in content or content.startswith("analysis")) and (harmony := _take_analysis(content)):
        return harmony
    start = len(content) - len(content.lstrip())
    for marks in _ALL:
        if content.startswith(marks.opening, start):
            return _opened(content, start + len(marks.opening), marks)
    own = _OF_FAMILY.get(family)
    closed = [(place, marks) for marks in _ALL if (place := _unopened(content, marks.closing)) >= 0]
    # A mark of another family is a word of the text, unless the text starts with it.
    closed = [(place, marks) for place, marks in closed if own in (None, marks) or not content[:place].strip()]
    if not closed:
        return None
    place, marks = min(closed, key=lambda item: item[0])
    end = _after(content, place + len(marks.closing))
    return Thinking(content[:place], content[:end], content[end:], marks)


def thinking_spans(text: str, besides: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """Where thinking stands inside a text; marks in code or inside the spans of `besides` are words."""
    spans: list[tuple[int, int]] = [(match.start(), match.end()) for match in _ANALYSIS.finditer(text)]
    for marks in _ALL:
        position = text.find(marks.opening)
        while position >= 0:
            end = text.find(marks.closing, position)
            is_word = text[position - 1 : position] in tuple("`'\"") if position else False
            is_inside = any(left <= position < right for left, right in besides)
            starts_line = not text[:position].rpartition("\n")[2].strip()
            if not is_word and not is_inside and (end >= 0 or starts_line):
                spans.append((position, end if end >= 0 else len(text)))
            position = text.find(marks.opening, position + 1 if end < 0 else end)
    return spans


def _take_analysis(content: str) -> Thinking | None:
    thoughts = _ANALYSIS.findall(content)
    if not thoughts:
        glued = _GLUED_ANALYSIS.match(content)
        return Thinking(glued[1].strip(), glued[0], content[glued.end() :], None) if glued else None
    rest = _ANALYSIS.sub("", content)
    return Thinking("\n\n".join(thought.strip() for thought in thoughts).strip(), content, rest, None)


def _opened(content: str, start: int, marks: Marks) -> Thinking:
    close = _closing(content, start, marks.closing)
    early = marks.early_end.search(content, start) if marks.early_end else None
    if early and close < 0:
        return Thinking(content[start : early.start()], content[: early.start()], content[early.start() :], marks)
    if close < 0:
        return Thinking(content[start:], content, "", marks)
    end = _after(content, close + len(marks.closing))
    return Thinking(content[start:close], content[:end], content[end:], marks)


def _closing(content: str, start: int, closing: str) -> int:
    """Where thinking with an opening mark ends. If the mark has its own line, so has the closing one."""
    if content.startswith("\n", start):
        result = content.find("\n" + closing, start)
        if result >= 0:
            return result + 1
    return content.find(closing, start)


def _unopened(content: str, closing: str) -> int:
    """Where thinking without an opening mark ends. A mention of the mark in a sentence or in code does not count."""
    position = content.find(closing)
    while position >= 0:
        after = content[position + len(closing) :][:1]
        before = content[:position][-1:]
        is_fenced = content.count("```", 0, position) % 2 == 1
        goes_on = after in tuple(" \t`'\".,;:)") and before not in ("", "\n")
        is_word = is_fenced or goes_on or before in tuple("`'\"")
        if not is_word and not _is_inside_a_call(content, position, position + len(closing)):
            return position
        position = content.find(closing, position + 1)
    return -1


def _is_inside_a_call(content: str, start: int, end: int) -> bool:
    """Whether a mark stands in a value of a call, which is open before it and ends before another begins."""
    opened = max((found.end() for found in _CALL_START.finditer(content, 0, start)), default=-1)
    if opened < 0 or _CALL_END.search(content, opened, start):
        return False
    ending, beginning = _CALL_END.search(content, end), _CALL_START.search(content, end)
    return ending is not None and (beginning is None or ending.start() < beginning.start())


def _after(content: str, end: int) -> int:
    """The end of a mark and of the line ends after it."""
    return end + len(content[end:]) - len(content[end:].lstrip("\n"))
