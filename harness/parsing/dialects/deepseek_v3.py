"""DeepSeek V3, R1 and V3.1: JSON arguments after `<｜tool▁call▁begin｜>`.

V3 writes `function<｜tool▁sep｜>name` and a JSON fence, V3.1 `name<｜tool▁sep｜>{json}`. Source: their templates,
vLLM's deepseek_v3 and deepseek_v31 parsers. `▁` is U+2581, the bars are U+FF5C; some servers print ASCII.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.base import NAME
from harness.parsing.dialects.named_json import NamedJson


def _mark(words: str) -> str:
    return rf"<[｜|]{words.replace(' ', '[▁_ ]')}[｜|]>"


_BEGIN, _SEPARATOR, _END = _mark("tool call begin"), _mark("tool sep"), _mark("tool call end")

DIALECTS = (
    NamedJson(
        "deepseek_v3",
        ("tool▁", "tool_sep"),
        re.compile(
            rf"(?:{_BEGIN}|^)\s*(?:function\s*{_SEPARATOR}\s*(?P<name_v3>{NAME})\s*(?:```(?:json)?\s*)?(?=\{{)"
            rf"|(?P<name_v31>{NAME})\s*{_SEPARATOR}\s*(?:```(?:json)?\s*)?(?=\{{))",
            re.MULTILINE,
        ),
        re.compile(rf"\s*(?:```\s*)?{_END}|\s*```"),
    ),
)
