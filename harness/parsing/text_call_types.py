"""Tool calls found in the text of a reply, and whether such a call is meant or quoted."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

Parameters = Callable[[str], Collection[str] | None]
"""Returns the parameter names of the tool that a name stands for; None if there is no such tool."""

_WARNING = re.compile(
    r"^\W*(?:(?:so|but|and|also|again|please|note|remember|important|warning)\b\W*)*(?:never|do\s+not|don['’]t|avoid)\b"
    r"|\b(?:must|should|to|you|we|one|please)\s+(?:never|not)\b|\b(?:must|should)n['’]t\b"
    r"|\bfor\s+(?:example|instance)\b|\ban\s+example\b|^\W*examples?\b|\be\.g\.",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n")


@dataclass(frozen=True)
class TextCall:
    """A call written as text. `arguments` is None if they could not be read; `raw` is the original text."""

    name: str
    arguments: dict[str, Any] | None
    raw: str
    is_ambiguous: bool = False
    is_cut: bool = False


@dataclass(frozen=True)
class TextCalls:
    """The calls of a text, and the text without them. `ends_with_call`: only blanks follow the last call."""

    calls: tuple[TextCall, ...]
    rest: str
    ends_with_call: bool = True


def is_quoted(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the calls at `spans` may be an example, a quotation, or something not to be done.

    A call in a code fence is meant only at the end of the text, a call in the middle of a line only if no words follow,
    and a call after a sentence that warns of it or calls it an example never.
    """
    if not spans:
        return False
    starts = [start for start, _ in spans[1:]]
    edges = [0, *(start for start, _ in spans)]
    fences = accumulate(text.count("```", left, right) for left, right in pairwise(edges))
    fenced = [count % 2 == 1 for count in fences]
    if any(fenced) and not (all(fenced) and not text[spans[-1][1] :].strip().removeprefix("```").strip()):
        return True
    return any(
        _is_in_a_sentence(text, start, end, following) or _WARNING.search(_sentence_before(text, start))
        for (start, end), following in zip(spans, [*starts, len(text)], strict=True)
    )


def _is_in_a_sentence(text: str, start: int, end: int, following: int) -> bool:
    line = text[text.rfind("\n", 0, start) + 1 : start].rstrip()
    if line.endswith("```"):
        return False
    return line.endswith("`") or (bool(line) and re.search(r"\w", text[end:following]) is not None)


def _sentence_before(text: str, start: int) -> str:
    """The sentence before a position, ignoring the opening of a fence."""
    before = re.sub(r"```[\w-]*\s*\Z", "", text[max(0, start - 1000) : start]).rstrip()
    return _SENTENCE_END.split(before)[-1]
