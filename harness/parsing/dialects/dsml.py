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

from harness.parsing.dialects.base import Block
from harness.parsing.dialects.tagged import Tagged
from harness.parsing.text_call_types import Parameters

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
_CLOSED = re.compile(rf"</(?:{_MARK})?(?:tool_|function_)?calls\s*>\W*\Z")

_MIXED = Tagged("dsml", ("DSML",), _pattern(f"(?:{_MARK})?"), _value, _STRAY, is_distinct=True)


class _Dsml(Tagged):
    """Tags that all carry the mark. Only where these cannot be read, tags without it count too: else they are words of
    a value. The wrapper must be closed, because a value that was cut off may end with such tags."""

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        blocks = super().find(text, parameters, is_cut=is_cut)
        if _are_sure(blocks) or not _CLOSED.search(text):
            return blocks
        mixed = _MIXED.find(text, parameters, is_cut=is_cut)
        return mixed if _are_sure(mixed) else blocks


def _are_sure(blocks: list[Block]) -> bool:
    """Whether every call was read whole, in one way."""
    calls = [call for block in blocks for call in block.calls]
    return all(call.arguments is not None and not call.is_ambiguous and not call.is_cut for call in calls)


DIALECTS = (_Dsml("dsml", ("DSML",), _pattern(_MARK), _value, _STRAY, is_distinct=True), _MIXED)
