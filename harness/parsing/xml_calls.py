"""Finds tool calls written as XML in the text of a reply, and removes them from it.

A well-formed sequence of tags is read as it is. Otherwise (a value that contains such tags, a missing or extra tag, a
quotation, an example in the text) every call is ambiguous: a file that quotes a call must not be taken for the call.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from harness.parsing.arguments import read_object
from harness.parsing.text_call_types import Parameters, TextCall, TextCalls, is_quoted


@dataclass(frozen=True)
class _Tag:
    kind: str
    start: int
    end: int
    name: str = ""


# W and w open and close the wrapper, I and i a call, P and p a parameter.
_QUOTED = r"(?:\"[^\"<>\n]*\"|'[^'<>\n]*'|[^\s\"'<>/]+)"
_MINIMAX = re.compile(
    r"<(?:(?P<W>minimax:tool_call)>|(?P<w>/minimax:tool_call>)"
    rf"|invoke\s+name\s*=\s*(?P<I>{_QUOTED})\s*(?P<alone>/?)>|(?P<i>/invoke\s*>)"
    rf"|parameter\s+name\s*=\s*(?P<P>{_QUOTED})[^<>\n]*>|(?P<p>/parameter\s*>))"
)
_FUNCTION = re.compile(
    r"<(?:(?P<W>tool_call)>|(?P<w>/tool_call>)"
    r"|function=(?P<I>[^\s<>]+)\s*(?P<alone>/?)>|(?P<i>/function\s*>)"
    r"|parameter=(?P<P>[^\s<>]+)\s*>|(?P<p>/parameter\s*>))"
)
_WHOLE = re.compile(r"(?:w*W?(?:I(?:Pp)*i)+)*w*")
_END_WITHOUT_INVOKE = re.compile(r"W?I(?:Pp)+w?")
_END_CUT = re.compile(r"W?(?:I(?:Pp)*P?)?")
_LOST_BRACKETS = (
    (re.compile(r"(?<![<\w])/?minimax:tool_call>"), ""),
    (re.compile(r"^([ \t]*)(?=invoke\s+name=|parameter\s+name=)", re.MULTILINE), r"\1<"),
    (re.compile(r"(?<!<)/(?=(?:parameter|invoke)>)|(?<![</])(?=(?:parameter|invoke)>)"), "</"),
)
_LEAKED = re.compile(r"</?minimax:tool_call>")
_EMPTY_FENCE = re.compile(r"```[\w-]*\s*```")


def without_leaks(text: str) -> str:
    """The text without wrapper tags that a server left when it extracted the calls."""
    return _LEAKED.sub("", text).rstrip() if _LEAKED.search(text) else text


def read_xml(text: str, parameters: Parameters, *, is_cut: bool) -> TextCalls:
    """Find the calls written as XML in a text."""
    text = _with_brackets(text)
    tags = _tags(text)
    kinds = "".join(tag.kind for tag in tags)
    if "I" not in kinds or not _is_meant(kinds, tags, parameters):
        return TextCalls((), text)
    whole, end = _whole_part(text, tags, kinds, is_cut=is_cut)
    if end is None:
        calls = _loose_calls(text, tags, parameters, is_cut=is_cut)
    else:
        calls = [_whole_call(text, group) for group in _groups(tags[:whole])]
        calls += [replace(_whole_call(text, group), is_cut=True) for group in _groups(tags[whole:])]
    if is_quoted(text, _spans(tags)):
        calls = [replace(call, is_ambiguous=True) for call in calls]
    return TextCalls(tuple(calls), _without(text, tags, kinds), not text[tags[-1].end :].strip(" \t\r\n`"))


def _with_brackets(text: str) -> str:
    """Restore brackets that a server dropped because it took the tags for special tokens."""
    if "<invoke" in text or "invoke" not in text or not re.search(r"^[ \t]*invoke\s+name=", text, re.MULTILINE):
        return text
    for pattern, replacement in _LOST_BRACKETS:
        text = pattern.sub(replacement, text)
    return text


def _tags(text: str) -> list[_Tag]:
    pattern = _MINIMAX if "<invoke" in text else _FUNCTION if "<function=" in text else None
    tags: list[_Tag] = []
    for match in pattern.finditer(text) if pattern else ():
        kind = next(kind for kind in "WwIiPp" if match[kind] is not None)
        name = match[kind].strip("\"'") if kind in "IP" else ""
        tags.append(_Tag(kind, match.start(), match.end(), name))
        if kind == "I" and match["alone"]:
            tags.append(_Tag("i", match.end(), match.end()))
    return tags


def _is_meant(kinds: str, tags: Sequence[_Tag], parameters: Parameters) -> bool:
    """Whether the tags are a call and not a mention of tags, which has no parameters, end or wrapper."""
    if set(kinds) & set("PiW"):
        return any(tag.kind == "I" and parameters(tag.name) is not None for tag in tags) or "W" in kinds
    return False


def _spans(tags: Sequence[_Tag]) -> list[tuple[int, int]]:
    """Start and end of each call, or of all calls in one wrapper."""
    spans: list[tuple[int, int]] = []
    for left, tag in pairwise([None, *tags]):
        if left is None or (tag and left.kind in "iw" and tag.kind in "IW"):
            spans.append((tag.start, tag.end) if tag else (0, 0))
        elif tag:
            spans[-1] = (spans[-1][0], tag.end)
    return spans


def _whole_part(text: str, tags: Sequence[_Tag], kinds: str, *, is_cut: bool) -> tuple[int, int | None]:
    """The number of tags in complete calls, and of tags that can be read (None: the sequence is not well-formed)."""
    match = _WHOLE.match(kinds)
    whole = match.end() if match else 0
    if not _has_blank_gaps(text, tags):
        return 0, None
    if whole == len(kinds):
        return whole, whole
    rest = kinds[whole:]
    if is_cut:
        return (whole, len(kinds)) if _END_CUT.fullmatch(rest) else (0, None)
    if _END_WITHOUT_INVOKE.fullmatch(rest) and not text[tags[-1].end :].strip(" \t\r\n`"):
        return len(kinds), len(kinds)
    return 0, None


def _has_blank_gaps(text: str, tags: Sequence[_Tag]) -> bool:
    """Whether only blanks are before and between parameters and before the end of a call."""
    pairs = {"WI", "IP", "pP", "pi"}
    return not any(
        left.kind + right.kind in pairs and text[left.end : right.start].strip() for left, right in pairwise(tags)
    )


def _groups(tags: Sequence[_Tag]) -> list[list[_Tag]]:
    groups: list[list[_Tag]] = []
    for tag in tags:
        if tag.kind == "I":
            groups.append([])
        if groups and tag.kind in "IPpi":
            groups[-1].append(tag)
    return groups


def _whole_call(text: str, group: Sequence[_Tag]) -> TextCall:
    end = group[-1].end if group[-1].kind == "i" else len(text) if group[-1].kind in "PI" else group[-1].end
    raw = text[group[0].start : end]
    names = [tag.name for tag in group if tag.kind == "P"]
    if not names:
        body = text[group[0].end : group[-1].start] if group[-1].kind == "i" else ""
        reading = read_object(body)
        return TextCall(group[0].name, reading.value if reading else None, raw, bool(reading and reading.is_ambiguous))
    values = [_value(text[left.end : right.start]) for left, right in pairwise(group) if left.kind + right.kind == "Pp"]
    if len(values) < len(names):
        return TextCall(group[0].name, None, raw, is_cut=True)
    arguments = dict(zip(names, values, strict=True))
    return TextCall(group[0].name, arguments, raw, len(arguments) < len(names))


def _value(text: str) -> str:
    """The text of a value, without the line ends next to its tags if it starts on its own line."""
    return text.removeprefix("\n").removesuffix("\n") if text.startswith("\n") else text


def _loose_calls(text: str, tags: Sequence[_Tag], parameters: Parameters, *, is_cut: bool) -> list[TextCall]:
    """Read a sequence that is not well-formed: an unclosed call includes what follows."""
    groups: list[list[_Tag]] = []
    is_open = False
    for group in _groups(tags):
        if is_open:
            groups[-1].extend(group)
        else:
            groups.append(group)
        is_open = not any(tag.kind == "i" for tag in group)
    calls = [_loose_call(text, group, parameters(group[0].name) or ()) for group in groups]
    if is_cut:
        # The missing end would distinguish a quoted call from a real one.
        return [replace(call, is_cut=True) for call in calls]
    return calls


def _loose_call(text: str, group: Sequence[_Tag], known: Collection[str]) -> TextCall:
    """Close each parameter at the last closing tag before the next parameter of the tool or the end of the call."""
    last = max((index for index, tag in enumerate(group) if tag.kind == "i"), default=len(group))
    inside = group[1:last]
    raw = text[group[0].start : group[last].end if last < len(group) else group[-1].end]
    arguments: dict[str, Any] = {}
    opens: list[int] = []
    for index, tag in enumerate(inside):
        if tag.kind == "P" and (tag.name in known or not known) and tag.name not in {inside[k].name for k in opens}:
            opens.append(index)
    for index, following in pairwise([*opens, len(inside)]):
        closes = [tag for tag in inside[index + 1 : following] if tag.kind == "p"]
        if not closes:
            return TextCall(group[0].name, None, raw, is_ambiguous=True, is_cut=last == len(group))
        arguments[inside[index].name] = _value(text[inside[index].end : closes[-1].start])
    return TextCall(group[0].name, arguments, raw, is_ambiguous=True, is_cut=last == len(group))


def _without(text: str, tags: Sequence[_Tag], kinds: str) -> str:
    """The text around the calls: prose before, between and after them."""
    pieces, position = [text[: tags[0].start]], tags[0].end
    if _WHOLE.fullmatch(kinds):
        for left, right in pairwise(tags):
            if left.kind in "iw" and right.kind in "IW":
                pieces.append(text[left.end : right.start])
            position = right.end
        pieces.append(text[position:])
    elif kinds[-1] in "iw":
        pieces.append(text[tags[-1].end :])
    kept = (_EMPTY_FENCE.sub("", piece) if "```" in piece else piece for piece in pieces)
    rest = "\n".join(stripped for piece in kept if (stripped := piece.strip()))
    return _EMPTY_FENCE.sub("", rest).strip() if "```" in rest else rest
