"""DeepSeek V3.2, V4 and V4.1: DSML, tags with `｜DSML｜` after the bracket.

V3.2 wraps calls in `function_calls`, V4 in `tool_calls`, V4.1 in `calls` with a blank after the second bar. A
parameter with `string="true"` is raw text, with `string="false"` JSON; an `invoke` without parameters may have a JSON
body. Source: DeepSeek's encoders, SGLang's deepseekv32, v4 and v41 detectors. Gateways replace the bars by ASCII ones
or double them (cline#13348, GenericAgent#804), and drop the mark from some tags.
"""

from __future__ import annotations

import json
import re
from typing import Any

from harness.parsing.dialects.tagged import Tagged

_MARK = r"[｜|‖]{1,2}DSML[｜|‖]{1,2} ?"
_QUOTED = r"(?:\"[^\"<>\n]*\"|'[^'<>\n]*')"


def _pattern(mark: str) -> re.Pattern[str]:
    return re.compile(
        rf"<{mark}(?P<W>(?:tool_|function_)?calls)\s*>|(?P<w></{mark}(?:tool_|function_)?calls\s*>)"
        rf"|<{mark}invoke\s+name\s*=\s*(?P<I>{_QUOTED})\s*(?P<alone>/?)>|(?P<i></{mark}invoke\s*>)"
        rf"|<{mark}parameter\s+name\s*=\s*(?P<P>{_QUOTED})(?P<more>[^<>\n]*)>|(?P<p></{mark}parameter\s*>)"
    )


def _value(text: str, attributes: str) -> Any:
    """Raw text, or JSON where the tag says so. Raises ValueError."""
    return json.loads(text) if re.search(r"string\s*=\s*[\"']false", attributes) else text


_STRAY = re.compile(r"DSML[｜|‖]")

DIALECTS = (
    Tagged("dsml", ("DSML",), _pattern(_MARK), _value, _STRAY, is_distinct=True),
    Tagged("dsml", ("DSML",), _pattern(f"(?:{_MARK})?"), _value, _STRAY, is_distinct=True),
)
