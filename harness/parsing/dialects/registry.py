"""The dialects in the order in which they are tried: the most distinctive marks first, bare JSON and Python last.

A marker decides nothing if two dialects share it: `<tool_call>` is followed by `{` in Hermes, `<function=` in Qwen,
`<invoke` in M3 without its token, and a bare name in GLM.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.parsing.dialects import (
    deepseek_v3,
    dsml,
    glm,
    harmony,
    hermes,
    kimi_k2,
    kimi_k3,
    minimax_m1,
    minimax_m2,
    minimax_m3,
    mistral,
    nemotron_json,
    pythonic,
    qwen_xml,
    step3,
)
from harness.parsing.dialects.base import Block, Dialect
from harness.parsing.dialects.gather import gather
from harness.parsing.leaked_marks import without_marks
from harness.parsing.text_call_types import Parameters, TextCalls

MARKED: tuple[Dialect, ...] = (
    *minimax_m3.DIALECTS,
    *dsml.DIALECTS,
    *deepseek_v3.DIALECTS,
    *kimi_k2.DIALECTS,
    *kimi_k3.DIALECTS,
    *harmony.DIALECTS,
    *mistral.DIALECTS,
    *step3.DIALECTS,
    *nemotron_json.DIALECTS,
    *minimax_m2.DIALECTS,
    *qwen_xml.DIALECTS,
    *glm.DIALECTS,
    *minimax_m1.DIALECTS,
    *hermes.MARKED,
)
"""Dialects whose marks are no JSON and no code."""

DIALECTS: tuple[Dialect, ...] = (
    hermes.WHOLE,
    *MARKED,
    *hermes.UNMARKED,
    mistral.BARE,
    *pythonic.DIALECTS,
)


def read_text_calls(
    text: str, parameters: Parameters, *, is_cut: bool, family: str = "", only_marked: bool = False
) -> TextCalls:
    """Find the calls in a text. `family` is the dialect of the model, if known; `only_marked` leaves bare JSON out.

    Calls of two dialects in one text are all ambiguous.
    """
    if not text:
        return TextCalls((), text)
    dialects = MARKED if only_marked else DIALECTS
    ordered = [*(one for one in dialects if one.name == family), *(one for one in dialects if one.name != family)]
    for index, dialect in enumerate(ordered):
        prepared, blocks = _find(dialect, text, parameters, is_cut=is_cut)
        if blocks:
            found = gather(prepared, blocks, dialect.name)
            found = _with_others(found, ordered[index + 1 :], parameters, is_cut=is_cut)
            return replace(found, rest=without_marks(found.rest))
    return TextCalls((), text)


def _find(dialect: Dialect, text: str, parameters: Parameters, *, is_cut: bool) -> tuple[str, list[Block]]:
    if not any(marker in text for marker in dialect.markers):
        return text, []
    prepared = dialect.prepare(text)
    return prepared, dialect.find(prepared, parameters, is_cut=is_cut)


def _with_others(found: TextCalls, others: Sequence[Dialect], parameters: Parameters, *, is_cut: bool) -> TextCalls:
    """Add the calls of other dialects in the rest of the text, so that none is lost without a word."""
    for dialect in others:
        if not found.rest:
            break
        prepared, blocks = _find(dialect, found.rest, parameters, is_cut=is_cut)
        if blocks:
            more = gather(prepared, blocks, dialect.name)
            calls = tuple(call.as_ambiguous() for call in (*found.calls, *more.calls))
            return TextCalls(calls, more.rest, found.ends_with_call, found.dialect)
    return found


_SIGNS = {
    "]<]minimax[>[": "minimax_m3",
    "DSML": "dsml",
    "tool▁call": "deepseek_v3",
    "<|tool_call": "kimi_k2",
    "<exec>": "kimi_k2",
    "<|open|>call": "kimi_k3",
    "call tool=": "kimi_k3",
    "<|channel|>commentary": "harmony",
    "commentary to=": "harmony",
    "[TOOL_CALLS]": "mistral",
    "<steptml:": "step3",
    "<TOOLCALL>": "nemotron_json",
    "<minimax:tool_call>": "minimax_m2",
    "<invoke name=": "minimax_m2",
    "<function=": "qwen_xml",
    "<function name=": "qwen_xml",
    "<arg_key>": "glm",
    "<tool_calls>": "minimax_m1",
    "<tool_call>": "hermes",
    "<|python_tag|>": "json",
}
"""Marks that look like a call, with their dialect."""


def unread_dialect(text: str, parameters: Parameters) -> str:
    """The dialect whose marks stand in a text, outside of code, although no call was read; empty if there are none.

    Calls in Python have no marks: they are recognised at the end of a text, behind its words.
    """
    if "<" not in text and "[" not in text and "=" not in text:
        return ""
    words = re.sub(r"```.*?(?:```|\Z)|`[^`\n]*`", "", text, flags=re.DOTALL)
    marked = next((dialect for sign, dialect in _SIGNS.items() if sign in words), "")
    return marked or ("pythonic" if pythonic.ends_with_call(words, parameters) else "")
