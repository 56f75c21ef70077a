"""MiniMax M1: `<tool_calls>` around one JSON object a line; the end tag may be missing. Source: vLLM's
minimax_tool_parser and MiniMax-M2#14. M2 models speak it under M1's chat template."""

from __future__ import annotations

import re

from harness.parsing.dialects.json_objects import JsonInMarks

DIALECTS = (JsonInMarks("minimax_m1", ("<tool_calls>",), re.compile(r"<tool_calls>"), "</tool_calls>"),)
