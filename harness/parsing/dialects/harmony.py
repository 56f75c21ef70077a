"""gpt-oss: Harmony, `<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{json}<|call|>`.

Source: OpenAI's Harmony guide. The recipient may stand in the role, `<|constrain|>` may be missing, and `<|call|>` is a
stop token that mostly does not show. Servers that skip special tokens leave `commentary to=functions.NAME json{json}`.
A message without a recipient is no call, whatever keys it has (TensorRT-LLM#9256). A message to a built-in tool
(`analysis to=python code`) is a call of a tool that does not exist.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.base import NAME
from harness.parsing.dialects.named_json import NamedJson

_ROLE = r"(?:<\|start\|>)?assistant"
_CHANNEL = r"<\|channel\|>\s*(?:commentary|analysis|final)"
_KIND = r"\s*(?:<\|constrain\|>)?\s*\w*\s*"

DIALECTS = (
    NamedJson(
        "harmony",
        ("<|message|>",),
        re.compile(
            rf"(?:{_ROLE}\s+to=(?:functions\.)?(?P<name_role>{NAME})\s*{_CHANNEL}{_KIND}"
            rf"|(?:{_ROLE}\s*)?{_CHANNEL}\s+to=(?:functions\.)?(?P<name_channel>{NAME}){_KIND})<\|message\|>\s*"
        ),
        re.compile(r"\s*<\|(?:call|end|return)\|>"),
    ),
    NamedJson(
        "harmony",
        ("commentary to=",),
        re.compile(rf"(?:^|(?<=[\s.!?:])|assistant)commentary to=functions\.(?P<name>{NAME}?)\s*(?:json)?\s*(?=\{{)"),
        re.compile(r"(?!)"),
        is_bare=True,
    ),
)
