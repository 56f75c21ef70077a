"""Step3: `<steptml:invoke name="f"><steptml:parameter name="k">v</steptml:parameter></steptml:invoke>` in its tokens.

Source: vLLM's step3_tool_parser, whose pattern loses values with `<`; here a value is raw text. Step 3.5 and 3.7 speak
`qwen_xml`.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.tagged import Tagged

_QUOTED = r"(?:\"[^\"<>\n]*\"|'[^'<>\n]*')"

DIALECTS = (
    Tagged(
        "step3",
        ("<steptml:",),
        re.compile(
            r"<[｜|](?P<W>tool_calls_begin)[｜|]>|(?P<w><[｜|]tool_calls_end[｜|]>)"
            r"|(?:<[｜|]tool_call_begin[｜|]>\s*(?:function)?\s*<[｜|]tool_sep[｜|]>\s*)?"
            rf"<steptml:invoke\s+name\s*=\s*(?P<I>{_QUOTED})\s*(?P<alone>/?)>"
            r"|(?P<i></steptml:invoke\s*>(?:\s*<[｜|]tool_call_end[｜|]>)?)"
            rf"|<steptml:parameter\s+name\s*=\s*(?P<P>{_QUOTED})[^<>\n]*>|(?P<p></steptml:parameter\s*>)"
        ),
        stray=re.compile(r"</?steptml:|tool_call_end[｜|]>"),
        is_distinct=True,
    ),
)
