"""Removes marks that a server left in the text: people should not read them, and history must not carry them.

A Harmony mark in history makes gpt-oss's template refuse every later request; other marks are imitated. Marks quoted in
code stay, except Harmony's.
"""

from __future__ import annotations

import re

_HARMONY = re.compile(
    r"(?:<\|start\|>\s*assistant(?:\s+to=[\w.:\-]+)?\s*)?<\|channel\|>\s*(?:analysis|commentary|final)\b"
    r"(?:\s+to=[\w.:\-]+)?\s*(?:<\|constrain\|>\s*\w*\s*)?(?:\w+\s*)?(?:<\|message\|>)?"
    r"|<\|start\|>\s*assistant\b|<\|(?:start|channel|constrain|message|call|return)\|>|<\|end\|>"
)
_DISTINCT = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`\n]*`)"
    r"|<\|(?:im_end|end_of_msg|eot_id|eom_id|endoftext|python_tag|python_start|python_end)\|>"
    r"|<\|(?:open|close)\|>\s?\w+(?: [^<>]{0,200})?\s?<\|sep\|>|<\|(?:open|close|sep)\|>"
    r"|<\|tool_calls?(?:_section|_argument)?(?:_begin|_end)\|>|<\|/?tool_call\|>"
    r"|<[｜|](?:tool[▁_ ](?:calls?|outputs?)(?:[▁_ ](?:begin|end))?|tool[▁_ ]sep|end▁of▁sentence)[｜|]>"
    r"|</?[｜|‖]{1,2}DSML[｜|‖]{1,2} ?[\w]*(?:[^<>\n]{0,200}>)?"
    r"|\]<\]minimax\[>\[\s?(?:</?[\w.\-]+[^<>\n]{0,200}>)?|\[e~\["
    r"|</s>\s*\Z|</?minimax:tool_call>|</?steptml:\w+[^<>\n]{0,200}>|</?TOOLCALL>|\[/?TOOL_CALLS\]",
    re.DOTALL,
)
_ENDS = r"</(?:mm:think|seed:think|parameter|invoke|function|tool_calls?|arg_value|arg_key)>"
_AT_THE_START = re.compile(rf"\A(?:\s*(?:{_ENDS}|\[/THINK\]))+\s*")
_LAST = re.compile(rf"(?:{_ENDS}|</?tool_calls?>)\Z")
_LONGEST_TAG = 24
_LEAKED_END = re.compile(
    r"(?:</?[｜|‖]{1,2}DSML[｜|‖]{1,2} ?\w*>?|\]<\]minimax\[>\[(?:</?[\w.\-]*>?)?|</arg_(?:key|value)>"
    r"|<\|(?:tool_calls?(?:_section)?_end|call|end|return|close|sep|im_end|eot_id|eom_id|python_end|end_of_msg)\|>"
    r"|<｜(?:tool▁calls?▁end|end▁of▁sentence)｜>|</(?:steptml:\w+|minimax:tool_call|TOOLCALL)>|\[/TOOL_CALLS\]|\[e~\[)\s*\Z"
)
_LEAKED_INSIDE = re.compile(r"[｜|‖]DSML[｜|‖]|\]<\]minimax\[>\[|</arg_(?:key|value)>")
_LEAKED_XML_END = re.compile(r"</(?:parameter|invoke|function|tool_calls?|(?:mm:)?think)>\s*\Z")


def without_marks(text: str) -> str:
    """The text without leaked marks; the same text if there are none."""
    if "<" not in text and "[" not in text:
        return text
    cleaned = _HARMONY.sub("", text) if "<|" in text else text
    cleaned = _DISTINCT.sub(lambda match: match["code"] or "", cleaned)
    cleaned = _without_last_tags(_AT_THE_START.sub("", cleaned))
    return text if cleaned == text else cleaned.strip()


def _without_last_tags(text: str) -> str:
    """The text without closing tags at its end."""
    end = kept = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        tag = _LAST.search(text, max(0, end - _LONGEST_TAG), end)
        if tag is None:
            return text[:kept]
        end = kept = tag.start()


def ends_with_mark(text: str) -> bool:
    """Whether a value ends with a mark of a dialect that no text ends with: a server cut it out of the wrong place."""
    return _LEAKED_END.search(text) is not None


def may_hold_mark(text: str) -> bool:
    """Whether a value may end earlier or later than it should: it contains a mark, or ends with a tag of calls."""
    return _LEAKED_INSIDE.search(text) is not None or _LEAKED_XML_END.search(text) is not None
