"""Kimi K2 to K2.7: `<|tool_call_begin|>functions.NAME:IDX<|tool_call_argument_begin|>{json}<|tool_call_end|>`.

Source: Kimi's template, vLLM's kimi_k2 parser. The id is name and number and is sent back unchanged. The section mark
may be missing (vllm#32216); a server that skips special tokens leaves `functions.NAME:IDX{json}`. An id that names no
tool stays an error.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.base import NAME
from harness.parsing.dialects.named_json import NamedJson

_ID = rf"(?P<id>(?:functions\.)?(?P<name>{NAME}?)(?::\d+)?)"

DIALECTS = (
    NamedJson(
        "kimi_k2",
        ("<|tool_call_begin|>",),
        re.compile(rf"<\|tool_call_begin\|>\s*{_ID}\s*<\|tool_call_argument_begin\|>\s*"),
        re.compile(r"\s*<\|tool_call_end\|>"),
    ),
    NamedJson(
        "kimi_k2",
        ("functions.",),
        re.compile(rf"^(?P<id>functions\.(?P<name>{NAME}):\d+)\s*(?=\{{)", re.MULTILINE),
        re.compile(r"(?!)"),
        is_bare=True,
    ),
)
