"""JSON families: Hermes, Qwen2.5, Qwen3, Granite in `<tool_call>`; Granite 3.0 after `<|tool_call|>`; Llama; fences.

Source: their templates, vLLM's hermes, granite and llama3_json parsers. The closing tag is often absent (vllm#5649);
Llama separates several calls by `; ` and may write `"type": "function"` (vllm#46863).
"""

from __future__ import annotations

import re

from harness.parsing.dialects.json_objects import JsonInMarks, StartsWithJson, WholeJson

WHOLE = WholeJson()
MARKED = (
    JsonInMarks("hermes", ("<tool_call>",), re.compile(r"<tool_call>"), "</tool_call>"),
    JsonInMarks("granite", ("<|tool_call|>",), re.compile(r"<\|tool_call\|>"), "<|/tool_call|>"),
    JsonInMarks(
        "json", ("<|python_tag|>", "<|python_start|>"), re.compile(r"<\|python_(?:tag|start)\|>"), "<|python_end|>"
    ),
)
UNMARKED = (
    JsonInMarks("json", ("```",), re.compile(r"```[\w-]*[ \t]*\n"), "```", is_fence=True),
    StartsWithJson(),
)
