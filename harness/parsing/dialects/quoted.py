"""Decides whether a call in a text is meant, or is an example, a quotation, or something that is not to be done.

The words around the call tell: it stands in a fence or a sentence; the words before it warn of it, or tell what was
called, by whom, or what a call looks like; the words behind it take it back. Doubt counts as quoted, because a refused
call is answered and made again, and an executed one may have deleted something.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from harness.parsing.leaked_marks import without_marks

_WARNING = re.compile(
    r"^\W*(?:(?:so|but|and|also|again|please|note|remember|important|warning)\b\W*)*(?:never|do\s+not|don['’]t|avoid)\b"
    r"|\b(?:must|should|to|you|we|one|please)\s+(?:never|not)\b|\b(?:must|should)n['’]t\b"
    r"|\bfor\s+(?:example|instance)\b|\ban\s+example\b|^\W*examples?\b|\be\.g\."
    r"|\b(?:earlier|previously|before|last\s+time)\b.*\b(?:call|called|ran|sent|made|wrote|tried|used|issued|did)\b"
    r"|\bI(?:['’]ve|\s+have|\s+had)?\s+(?:\w+\s+)?(?:called|ran|sent|made|wrote|issued|tried)"
    r"(?:\s+(?:this|that|it|these|the\s+following))?\W*\Z"
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

_TOLD = re.compile(
    r"\b(?:was|were|did|had|ran|called|used|sent|tried|wrote|made|printed|pasted|failed|went|broke|considered|planned|"
    r"intended|proposed|suggested|issued|executed|deleted|crashed|refused|rejected|forbidden|prohibited|said|showed)\b"
    r"|\b(?:looks?\s+like|reads|shows?|says|ha(?:s|ve)\s+(?:this|the)\s+form)"
    r"(?:\s+(?:this|that|these|a|the(?:\s+following)?))?(?:\s+(?:calls?|commands?|lines?|form|format))?\W*\Z"
    r"|\b(?:previous|last|old|earlier|wrong|bad|broken|other)\s+(?:call|command|reply|message|time|attempt|one)s?\W*\Z"
    r"|\b(?:refuse|rather\s+than|under\s+no|(?:could|would|might|should)\s+have|some(?:one|body)|any(?:one|body))\b"
    r"|\b(?:I|we)(?:\s+(?:will|would|shall|do|can|could|am|are)|['’](?:ll|m|re|d))\s+(?:not|never)\b"
    r"|\b(?:I|we)\s+(?:cannot|(?:wo|would|do|ca|could|are)n['’]t)\b"
    r"|^\W*(?:not|quoted?|quotation|one\s+(?:option|way)|an?\s+alternative)\b",
    re.IGNORECASE,
)
"""What a clause says that tells of a call: in the past tense, as somebody else's, as a possibility, with a *not*."""
_INTENTION = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|so|now|then|next|first|and|but|good|great)\b\W*)*"
    r"(?:let(?:['’]s|\s+(?:me|us))(?!\s+(?:show|explain|quote|repeat|recall))"
    r"|(?:I|we)(?:['’](?:ll|m|re)|\s+(?:will|need|want|have\s+to|must|am|are))|time\s+to"
    r"|check|look|see|verify|fix|rerun|retry|try|list|read|inspect|test)\b(?!.*(?:\b(?:not|never)\b|n['’]t\b))",
    re.IGNORECASE,
)
"""How a clause begins that announces a call, whatever it says of the past: *let me see what went wrong*."""
_TAKEN_BACK = re.compile(
    r"^\W*(?:no|nope|wait|hold|stop|actually|hmm+|oops|sorry|or|but|alternatively|that|this|it|which|is|was|would|on)\b"
    r"|\b(?:not|never|wrong|mistake|instead|rather|better|ignore|forget|discard|cancel)\b|n['’]t\b"
    r"|^\s*(?:</|\[/|<\|)",
    re.IGNORECASE,
)
"""What words between two calls say that take the first one back, the end of an unknown thinking tag included."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n")
_CLAUSE_END = re.compile(r"[;:—]\s+|,\s*(?=(?:so|and|now|but|then|let|I|we)\b)|\s+so\s+(?=(?:I|we|let)\b)")
_BLANKS = " \t\r\n`"
_QUOTING = ("`", '"', "'", "“", "‘", "«", "(", "<!--", "//", "#")
"""What stands before a quotation in its line."""
_QUOTING_LINES = ('"""', "'''", "~~~")


def is_quoted(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the calls at `spans` may be an example, a quotation, or something not to be done.

    A call in a code fence is meant only at the end of the text, a call in the middle of a line only if no words follow,
    and a call after a sentence that warns of it, tells of it or calls it an example never.
    """
    edges = [0, *(start for start, _ in spans)]
    fences = accumulate(text.count("```", left, right) for left, right in pairwise(edges))
    fenced = [count % 2 == 1 for count in fences]
    if any(fenced) and not (all(fenced) and not text[spans[-1][1] :].strip().removeprefix("```").strip()):
        return True
    following = [*(start for start, _ in spans[1:]), len(text)]
    return any(
        _is_in_a_sentence(text, start, end, after) or _is_told(text, start) or _is_taken_back(text, end, after)
        for (start, end), after in zip(spans, following, strict=True)
    )


def _is_in_a_sentence(text: str, start: int, end: int, following: int) -> bool:
    line = without_marks(text[text.rfind("\n", 0, start) + 1 : start]).rstrip()
    if line.endswith("```"):
        return False
    if line.endswith(_QUOTING) or line.startswith(">"):
        return True
    if without_marks(text[max(0, start - 1000) : start]).rstrip().endswith(_QUOTING_LINES):
        return True
    after = without_marks(text[end:following])
    is_end = following == len(text)
    return bool(line) and (re.search(r"\w", after) is not None or (is_end and bool(after.strip(_BLANKS))))


def _is_told(text: str, start: int) -> bool:
    """Whether the sentence before a position says that what follows is not meant."""
    before = without_marks(re.sub(r"```[\w-]*\s*\Z", "", text[max(0, start - 1000) : start]).rstrip()).rstrip()
    sentence = _SENTENCE_END.split(before)[-1]
    clause = _CLAUSE_END.split(sentence)[-1]
    is_announced = _INTENTION.match(clause) is not None
    if _WARNING.search(clause if is_announced else sentence):
        return True
    return not is_announced and not sentence.endswith((".", "!", "?")) and _TOLD.search(clause) is not None


def _is_taken_back(text: str, end: int, following: int) -> bool:
    """Whether the words after a call and before the next one take it back."""
    words = without_marks(text[end:following]) if following < len(text) else ""
    return re.search(r"\w", words) is not None and _TAKEN_BACK.search(words) is not None
