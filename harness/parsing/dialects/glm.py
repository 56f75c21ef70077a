"""GLM 4.5 to 5.x: `<tool_call>name` with `<arg_key>k</arg_key><arg_value>v</arg_value>` pairs in `</tool_call>`.

Source: the templates of GLM-4.5 and 4.7, vLLM's glm45 and glm47 parsers. Strings are raw, everything else is JSON (the
tool's schema tells which). Read as well: an opening `<arg_value>` that is missing (vllm#49248), a second `</arg_key>`
(vllm#54971), and `<tool_call>name>{json}` (SGLang's GLM-5.3-Flash detector). A name and a key glued together by a
missing `<arg_key>` (vllm#47190) name no tool.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.base import NAME
from harness.parsing.dialects.named_json import NamedJson
from harness.parsing.dialects.tagged import Tagged

DIALECTS = (
    Tagged(
        "glm",
        ("<tool_call>",),
        re.compile(
            rf"<tool_call>\s*(?P<I>{NAME})\s*(?=</?arg_key>|</tool_call>|\Z)|(?P<i></tool_call>)"
            r"|<arg_key>\s*(?P<P>[^<>\n]+?)\s*(?:</arg_key>\s*)+(?:<arg_value>)?|(?P<p></arg_value>)"
        ),
        stray=re.compile(r"</?arg_(?:key|value)|</?tool_call>"),
        is_distinct=True,
    ),
    NamedJson(
        "glm",
        ("<tool_call>",),
        re.compile(rf"<tool_call>\s*(?P<name>{NAME})\s*>\s*(?=\{{)"),
        re.compile(r"\s*</tool_call>"),
    ),
)
