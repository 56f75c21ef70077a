"""Mistral: `[TOOL_CALLS] [{...}]` before tokenizer v11, then `[TOOL_CALLS]name{json}` or with `[ARGS]` after the name.

Source: mistral-common, vLLM's mistral parser. The token is special: a server that skips it leaves `name{json}`
(vllm#16190), read only at the end of a reply and for a known tool.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.base import NAME
from harness.parsing.dialects.json_objects import JsonInMarks
from harness.parsing.dialects.named_json import NamedJson

_TOKEN = r"\[TOOL_CALLS\]"

DIALECTS = (
    NamedJson(
        "mistral",
        ("[TOOL_CALLS]",),
        re.compile(rf"{_TOKEN}\s*(?P<name>{NAME})\s*(?:\[CALL_ID\]\s*(?P<id>\w+)\s*)?(?:\[ARGS\])?\s*(?=\{{|\Z)"),
        re.compile(r"(?!)"),
    ),
    JsonInMarks("mistral", ("[TOOL_CALLS]",), re.compile(_TOKEN), "[/TOOL_CALLS]"),
)
BARE = NamedJson(
    "mistral",
    ("{",),
    re.compile(rf"^(?P<name>{NAME})(?:\[ARGS\])?(?=\{{)", re.MULTILINE),
    re.compile(r"(?!)"),
    is_bare=True,
)
"""What is left without the token; tried after all dialects with marks."""
