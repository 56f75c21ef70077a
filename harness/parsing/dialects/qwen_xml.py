"""Qwen3-coder, Qwen3.5 to 3.8, MiMo, Step 3.5 and 3.7, Nemotron 3: `<function=f>`, `<parameter=k>` in `<tool_call>`.

Source: the Qwen3-coder template, vLLM's qwen3_coder, mimo and step3p5 parsers. Values are verbatim but for the one line
end next to each tag (vLLM strips more, SGLang's MiMo detector also unescapes entities). The opening `<tool_call>` is
often missing (ollama#17742). Names may stand in an attribute, `<function name="f">`.
"""

from __future__ import annotations

import re

from harness.parsing.dialects.tagged import Tagged, value_on_own_lines

DIALECTS = (
    Tagged(
        "qwen_xml",
        ("<function=", "<function name="),
        re.compile(
            r"<(?:(?P<W>tool_calls?)>|(?P<w>/tool_calls?>)"
            r"|function(?:=| name=)(?P<I>[^\s<>]+)\s*(?P<alone>/?)>|(?P<i>/function\s*>)"
            r"|parameter(?:=| name=)(?P<P>[^\s<>]+)\s*>|(?P<p>/parameter\s*>))"
        ),
        value_on_own_lines,
    ),
)
