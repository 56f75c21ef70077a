"""MiniMax M2 to M2.7: `<minimax:tool_call>` around `<invoke name="f"><parameter name="k">v</parameter></invoke>`.

Source: MiniMax's tool calling guide, vLLM's minimax_m2 parser. A literal end tag in a value truncates it in the
official API too (vllm#44060). SGLang and exo drop brackets of special tokens.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.tagged import Tagged

_QUOTED = r"(?:\"[^\"<>\n]*\"|'[^'<>\n]*'|[^\s\"'<>/]+)"
_LOST_BRACKETS = (
    (re.compile(r"(?<![<\w])/?minimax:tool_call>"), ""),
    (re.compile(r"^([ \t]*)(?=invoke\s+name=|parameter\s+name=)", re.MULTILINE), r"\1<"),
    (re.compile(r"(?<!<)/(?=(?:parameter|invoke)>)|(?<![</])(?=(?:parameter|invoke)>)"), "</"),
)


def _with_brackets(text: str) -> str:
    """Restore brackets that a server dropped because it took the tags for special tokens."""
    if "<invoke" in text or not re.search(r"^[ \t]*invoke\s+name=", text, re.MULTILINE):
        return text
    for pattern, replacement in _LOST_BRACKETS:
        text = pattern.sub(replacement, text)
    return text


DIALECTS = (
    Tagged(
        "minimax_m2",
        ("invoke",),
        re.compile(
            r"<(?:(?P<W>minimax:tool_call)>|(?P<w>/minimax:tool_call>)"
            rf"|invoke\s+name\s*=\s*(?P<I>{_QUOTED})\s*(?P<alone>/?)>|(?P<i>/invoke\s*>)"
            rf"|parameter\s+name\s*=\s*(?P<P>{_QUOTED})[^<>\n]*>|(?P<p>/parameter\s*>))"
        ),
        prepare_text=_with_brackets,
    ),
)
