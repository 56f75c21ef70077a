"""Turns the blocks of a dialect into calls: which of them are meant, and what text is left without them.

A call is ambiguous if it may be an example, a quotation or a plan that was given up (`quoted`), in thinking marks, with
words after it, or beside a result that the model invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from harness.parsing.dialects.base import Block
from harness.parsing.dialects.quoted import is_quoted
from harness.parsing.leaked_marks import without_marks
from harness.parsing.text_call_types import TextCalls
from harness.parsing.thinking_marks import thinking_spans

_RESULT = re.compile(
    r"</?(?:tool_response|tool_result|tool_output|function_results?|function_response|observation|results?|output)\b"
    r"|<\|(?:observation|tool_response|im_start|user|start_header_id)\|>|\[/?TOOL_RESULTS\]|\]~b\]\s*tool"
    r"|<[｜|](?:tool[▁_ ]outputs?|User)|<\|start\|>\s*functions\.|## Return of|<\|open\|>\s?(?:tool|result)\b"
    r"|^\W*(?:results?|outputs?|observation|tool (?:result|response|output))\W*(?::|\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
"""Marks and headings of a tool's result, which only the harness writes."""

_EMPTY_FENCE = re.compile(r"```[\w-]*\s*```")
_BLANKS = " \t\r\n`"


def gather(text: str, blocks: Sequence[Block], dialect: str) -> TextCalls:
    """The calls of the blocks, and the text around them, leaked marks included."""
    calls = [call for block in blocks for call in block.calls]
    spans = [(block.start, block.end) for block in blocks]
    tail = without_marks(text[blocks[-1].end :])
    has_words_after = re.search(r"[\w?]", tail) is not None
    if dialect == "harmony":  # it stops at the end of a call
        has_words_after |= _has_words_between(text, spans)
    if has_words_after or is_quoted(text, spans) or _has_result(text, spans) or _is_in_thinking(text, spans):
        calls = [call.as_ambiguous() for call in calls]
    edges = [0, *(block.end for block in blocks)]
    starts = [*(block.start for block in blocks), len(text)]
    pieces = [text[edge:start] for edge, start in zip(edges, starts, strict=True)]
    kept = (_EMPTY_FENCE.sub("", piece) for piece in pieces)
    rest = _EMPTY_FENCE.sub("", "\n".join(stripped for piece in kept if (stripped := piece.strip()))).strip()
    return TextCalls(tuple(calls), rest, not tail.strip(_BLANKS), dialect)


def _has_result(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a result stands between or after the calls: the model did not wait for the real one."""
    edges = [*(start for start, _ in spans[1:]), len(text)]
    return any(_RESULT.search(text[end:edge]) for (_, end), edge in zip(spans, edges, strict=True))


def _has_words_between(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    return any(re.search(r"\w", without_marks(text[end:start])) for (_, end), (start, _) in pairwise(spans))


def _is_in_thinking(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a call stands inside thinking marks that open before it."""
    return any(left < start < right for left, right in thinking_spans(text, spans) for start, _ in spans)
