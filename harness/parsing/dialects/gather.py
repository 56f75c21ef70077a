"""Turns the blocks of a dialect into calls: which of them are meant, and what text is left without them.

A call is ambiguous if it may be an example, a quotation or a plan that was given up: in a fence or a sentence, in
thinking marks, with words after it, after a warning or *earlier I called*, or beside a result that the model invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from harness.parsing.dialects.base import Block
from harness.parsing.leaked_marks import without_marks
from harness.parsing.text_call_types import TextCalls
from harness.parsing.thinking_marks import thinking_spans

_WARNING = re.compile(
    r"^\W*(?:(?:so|but|and|also|again|please|note|remember|important|warning)\b\W*)*(?:never|do\s+not|don['’]t|avoid)\b"
    r"|\b(?:must|should|to|you|we|one|please)\s+(?:never|not)\b|\b(?:must|should)n['’]t\b"
    r"|\bfor\s+(?:example|instance)\b|\ban\s+example\b|^\W*examples?\b|\be\.g\."
    r"|\b(?:earlier|previously|before|last\s+time)\b.*\b(?:call|called|ran|sent|made|wrote|tried|used|issued|did)\b"
    r"|\bI(?:['’]ve|\s+have|\s+had)?\s+(?:\w+\s+)?(?:called|ran|sent|made|wrote|issued|tried)(?:\s+\w+){0,3}\W*\Z"
    r"|(?:\b(?:not|never)|n['’]t)\s+(?:\w+\s+)?(?:run|do|call|send|execute|issue|repeat)"
    r"(?:\s+(?:this|that|it|these|so|again|the\s+following)){0,2}\W*\Z"
    r"|\bavoid(?:\s+(?:this|that|it|the\s+following))?\W*\Z"
    r"|\b(?:(?:was|were)\s+about\s+to|decided\s+against|instead\s+of)\b(?:\s+\w+){0,3}\W*\Z"
    r"|\bwould\s+(?:have\s+)?(?:be|been|look)\b(?:\s+\w+){0,3}\W*\Z"
    r"|^\W*(?:if|unless|in\s+case)\b.*:\W*\Z|\b(?:I|we|you|one)\s+(?:could|might)\b(?:\s+\w+){0,4}\s*:\W*\Z"
    r"|^\W*(?:should|shall|may|can|could|would)\s+(?:I|we)\b.*\?\W*\Z"
    r"|^\W*(?:the\s+)?(?:(?:correct|right|proper|wrong|old|new|required|expected)\s+)?(?:format|syntax|usage|form)"
    r"(?:\s+(?:is|was))?\s*:\W*\Z"
    r"|^\W*(?:(?:this|that|it|which)\s+(?:was|is|got)\s+)?"
    r"(?:bad|wrong|incorrect|deprecated|rejected|refused|forbidden|previously|formerly)\s*:\W*\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What a sentence says that introduces a call which is not meant: a warning, a plan that was given up, an example."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n")
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
_QUOTING = ("`", '"', "'", "“", "‘", "«", "(", "<!--", "//")
"""What stands before a quotation."""


def gather(text: str, blocks: Sequence[Block], dialect: str) -> TextCalls:
    """The calls of the blocks, and the text around them, leaked marks included."""
    calls = [call for block in blocks for call in block.calls]
    spans = [(block.start, block.end) for block in blocks]
    tail = without_marks(text[blocks[-1].end :])
    has_words_after = re.search(r"\w", tail) is not None
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


def is_quoted(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the calls at `spans` may be an example, a quotation, or something not to be done.

    A call in a code fence is meant only at the end of the text, a call in the middle of a line only if no words follow,
    and a call after a sentence that warns of it or calls it an example never.
    """
    edges = [0, *(start for start, _ in spans)]
    fences = accumulate(text.count("```", left, right) for left, right in pairwise(edges))
    fenced = [count % 2 == 1 for count in fences]
    if any(fenced) and not (all(fenced) and not text[spans[-1][1] :].strip().removeprefix("```").strip()):
        return True
    following = [*(start for start, _ in spans[1:]), len(text)]
    return any(
        _is_in_a_sentence(text, start, end, after) or _WARNING.search(_sentence_before(text, start))
        for (start, end), after in zip(spans, following, strict=True)
    )


def _is_in_a_sentence(text: str, start: int, end: int, following: int) -> bool:
    line = without_marks(text[text.rfind("\n", 0, start) + 1 : start]).rstrip()
    if line.endswith("```"):
        return False
    if line.endswith(_QUOTING) or line.startswith(">"):
        return True
    after = without_marks(text[end:following])
    is_end = following == len(text)
    return bool(line) and (re.search(r"\w", after) is not None or (is_end and bool(after.strip(_BLANKS))))


def _sentence_before(text: str, start: int) -> str:
    """The sentence before a position, ignoring the opening of a fence."""
    before = without_marks(re.sub(r"```[\w-]*\s*\Z", "", text[max(0, start - 1000) : start]).rstrip()).rstrip()
    return _SENTENCE_END.split(before)[-1]


def _has_result(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a result stands between or after the calls: the model did not wait for the real one."""
    edges = [*(start for start, _ in spans[1:]), len(text)]
    return any(_RESULT.search(text[end:edge]) for (_, end), edge in zip(spans, edges, strict=True))


def _has_words_between(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    return any(re.search(r"\w", without_marks(text[end:start])) for (_, end), (start, _) in pairwise(spans))


def _is_in_thinking(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a call stands inside thinking marks that open before it."""
    return any(left < start < right for left, right in thinking_spans(text, spans) for start, _ in spans)
