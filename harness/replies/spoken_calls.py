"""Finds tool calls that stand as text in what a model said, as XML or as JSON, and takes them out of it.

A sequence of tags that is whole is read as it stands. Wherever it is not (a value that holds such tags itself, a tag
too few or too many, a quotation, an example in the middle of a text) every call of it is ambiguous, since a file that
quotes a call must not be taken for the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from harness.replies.json_text import looks_cut
from harness.replies.salvage import NATIVE, PROSE_CUT, STRICT, read_object, unfenced

Parameters = Callable[[str], Collection[str] | None]
"""Gives the parameter names of the tool a name means; None where it means none."""


@dataclass(frozen=True)
class SpokenCall:
    """A call that stood in text. `arguments` is None where they could not be read; `raw` is how they stood there."""

    name: str
    arguments: dict[str, Any] | None
    raw: str
    is_ambiguous: bool = False
    is_cut: bool = False


@dataclass(frozen=True)
class Spoken:
    """The calls found in a text, and the text without them; `ends_with_call` where nothing but blanks followed."""

    calls: tuple[SpokenCall, ...]
    rest: str
    ends_with_call: bool = True


@dataclass(frozen=True)
class _Tag:
    kind: str
    start: int
    end: int
    name: str = ""


# W and w open and close the wrapper, I and i a call, P and p a parameter.
_QUOTED = r"(?:\"[^\"<>\n]*\"|'[^'<>\n]*'|[^\s\"'<>/]+)"
_MINIMAX = re.compile(
    r"<(?:(?P<W>minimax:tool_call|function_calls)>|(?P<w>/(?:minimax:tool_call|function_calls)>)"
    rf"|invoke\s+name\s*=\s*(?P<I>{_QUOTED})\s*(?P<alone>/?)>|(?P<i>/invoke\s*>)"
    rf"|parameter\s+name\s*=\s*(?P<P>{_QUOTED})[^<>\n]*>|(?P<p>/parameter\s*>))"
)
_FUNCTION = re.compile(
    r"<(?:(?P<W>tool_calls?)>|(?P<w>/tool_calls?>)"
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
_LEAKED = re.compile(r"</?(?:minimax:tool_call|function_calls)>")
_EMPTY_FENCE = re.compile(r"```[\w-]*\s*```")
_JSON_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_JSON_TAG = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


def read_spoken(text: str, parameters: Parameters, *, is_cut: bool) -> Spoken:
    """Find the calls in a text, XML before JSON. `is_cut`: the reply ended at the output limit."""
    found = read_xml(text, parameters, is_cut=is_cut)
    return found if found.calls else read_json(found.rest, parameters)


def without_leaks(text: str) -> str:
    """The text without wrapper tags that a server left behind when it took the calls out."""
    return _LEAKED.sub("", text).rstrip() if _LEAKED.search(text) else text


# ------------------------------------------------------------------------------------------------------------------ XML


def read_xml(text: str, parameters: Parameters, *, is_cut: bool) -> Spoken:
    """Find the calls that stand in a text as XML."""
    text = _with_brackets(text)
    tags = _tags(text)
    kinds = "".join(tag.kind for tag in tags)
    if "I" not in kinds or not _is_meant(kinds, tags, parameters):
        return Spoken((), text)
    is_quoted = _is_quoted(text, tags[0].start, tags[-1].end)
    whole, end = _whole_part(text, tags, kinds, is_cut=is_cut)
    if end is None:
        calls = _loose_calls(text, tags, parameters, is_cut=is_cut)
    else:
        calls = [_whole_call(text, group) for group in _groups(tags[:whole])]
        calls += [replace(_whole_call(text, group), is_cut=True) for group in _groups(tags[whole:])]
    if is_quoted:
        calls = [replace(call, is_ambiguous=True) for call in calls]
    return Spoken(tuple(calls), _without(text, tags, kinds), not text[tags[-1].end :].strip(" \t\r\n`"))


def _with_brackets(text: str) -> str:
    """Put back the brackets where a server took all of them for special tokens and dropped them."""
    if "<invoke" in text or "invoke" not in text or not re.search(r"^[ \t]*invoke\s+name=", text, re.MULTILINE):
        return text
    for pattern, replacement in _LOST_BRACKETS:
        text = pattern.sub(replacement, text)
    return text


def _tags(text: str) -> list[_Tag]:
    pattern = _MINIMAX if "<invoke" in text else _FUNCTION if "<function=" in text else None
    tags: list[_Tag] = []
    for found in pattern.finditer(text) if pattern else ():
        kind = next(kind for kind in "WwIiPp" if found[kind] is not None)
        name = found[kind].strip("\"'") if kind in "IP" else ""
        tags.append(_Tag(kind, found.start(), found.end(), name))
        if kind == "I" and found["alone"]:
            tags.append(_Tag("i", found.end(), found.end()))
    return tags


def _is_meant(kinds: str, tags: Sequence[_Tag], parameters: Parameters) -> bool:
    """Whether tags are more than a word about tags: a mention has neither parameters nor an end nor a wrapper."""
    if set(kinds) & set("PiW"):
        return any(tag.kind == "I" and parameters(tag.name) is not None for tag in tags) or "W" in kinds
    return False


def _is_quoted(text: str, start: int, end: int) -> bool:
    """Whether a call stands in code marks and is not all that is said at the end: then it may be an example."""
    if text[max(0, start - 1) : start] == "`" and text[max(0, start - 3) : start] != "```":
        return True
    is_fenced = text.count("```", 0, start) % 2 == 1
    return is_fenced and bool(text[end:].strip().removeprefix("```").strip())


def _whole_part(text: str, tags: Sequence[_Tag], kinds: str, *, is_cut: bool) -> tuple[int, int | None]:
    """How many tags make whole calls, and how many may be read at all (None: the sequence is not in order)."""
    found = _WHOLE.match(kinds)
    whole = found.end() if found else 0
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
    """Whether only blanks stand where nothing can: before and between parameters and before the end of a call."""
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


def _whole_call(text: str, group: Sequence[_Tag]) -> SpokenCall:
    end = group[-1].end if group[-1].kind == "i" else len(text) if group[-1].kind in "PI" else group[-1].end
    raw = text[group[0].start : end]
    names = [tag.name for tag in group if tag.kind == "P"]
    if not names:
        body = text[group[0].end : group[-1].start] if group[-1].kind == "i" else ""
        reading = read_object(body)
        return SpokenCall(
            group[0].name, reading.value if reading else None, raw, bool(reading and reading.is_ambiguous)
        )
    values = [_value(text[left.end : right.start]) for left, right in pairwise(group) if left.kind + right.kind == "Pp"]
    if len(values) < len(names):
        return SpokenCall(group[0].name, None, raw, is_cut=True)
    arguments = dict(zip(names, values, strict=True))
    return SpokenCall(group[0].name, arguments, raw, len(arguments) < len(names))


def _value(text: str) -> str:
    """A value as it stands; where it was set as a block, the line ends that belong to the tags are not part of it."""
    return text.removeprefix("\n").removesuffix("\n") if text.startswith("\n") else text


def _loose_calls(text: str, tags: Sequence[_Tag], parameters: Parameters, *, is_cut: bool) -> list[SpokenCall]:
    """Read a sequence that is not in order as well as it goes: a call that does not end holds what follows."""
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
        # The end that would tell a quoted call from a real one never came.
        return [replace(call, is_cut=True) for call in calls]
    return calls


def _loose_call(text: str, group: Sequence[_Tag], known: Collection[str]) -> SpokenCall:
    """Close each parameter on the last closing tag before the next parameter the tool has, or the call's end."""
    last = max((place for place, tag in enumerate(group) if tag.kind == "i"), default=len(group))
    inside = group[1:last]
    raw = text[group[0].start : group[last].end if last < len(group) else group[-1].end]
    arguments: dict[str, Any] = {}
    opens: list[int] = []
    for place, tag in enumerate(inside):
        if tag.kind == "P" and (tag.name in known or not known) and tag.name not in {inside[k].name for k in opens}:
            opens.append(place)
    for place, following in pairwise([*opens, len(inside)]):
        closes = [tag for tag in inside[place + 1 : following] if tag.kind == "p"]
        if not closes:
            return SpokenCall(group[0].name, None, raw, is_ambiguous=True, is_cut=last == len(group))
        arguments[inside[place].name] = _value(text[inside[place].end : closes[-1].start])
    return SpokenCall(group[0].name, arguments, raw, is_ambiguous=True, is_cut=last == len(group))


def _without(text: str, tags: Sequence[_Tag], kinds: str) -> str:
    """The text around the calls: prose before, between and after them."""
    pieces, at = [text[: tags[0].start]], tags[0].end
    if _WHOLE.fullmatch(kinds):
        for left, right in pairwise(tags):
            if left.kind in "iw" and right.kind in "IW":
                pieces.append(text[left.end : right.start])
            at = right.end
        pieces.append(text[at:])
    elif kinds[-1] in "iw":
        pieces.append(text[tags[-1].end :])
    kept = (_EMPTY_FENCE.sub("", piece) if "```" in piece else piece for piece in pieces)
    rest = "\n".join(stripped for piece in kept if (stripped := piece.strip()))
    return _EMPTY_FENCE.sub("", rest).strip() if "```" in rest else rest


# ----------------------------------------------------------------------------------------------------------------- JSON


def read_json(text: str, parameters: Parameters) -> Spoken:
    """Find calls that stand in a text as JSON: all of it, in a fence, or in `<tool_call>` tags."""
    if "{" not in text:
        return Spoken((), text)
    if calls := _json_calls(unfenced(text), parameters):
        return Spoken(tuple(calls), "")
    pattern = _JSON_TAG if "<tool_call>" in text else _JSON_FENCE
    calls, rest, end = [], [], 0
    for found in pattern.finditer(text):
        if inner := _json_calls(found[1], parameters):
            calls += inner
            rest.append(text[end : found.start()].strip())
            end = found.end()
    if not calls:
        return Spoken((), text)
    tail = text[end:].strip()
    if tail and pattern is _JSON_FENCE:
        calls = [replace(call, is_ambiguous=True) for call in calls]
    return Spoken(tuple(calls), "\n".join(piece for piece in [*rest, tail] if piece), not tail)


def _json_calls(text: str, parameters: Parameters) -> list[SpokenCall]:
    text = text.strip()
    if not text.startswith(("{", "[")):
        return []
    if text.startswith("["):
        text = '{"tool_calls":' + text + "}"
    reading = read_object(text)
    if reading is None or not text.endswith("}") or (reading.rung != NATIVE and looks_cut(text)):
        return []
    listed = reading.value.get("tool_calls", [reading.value])
    calls = [_json_call(item, text, parameters) for item in listed] if isinstance(listed, list) else []
    found = [call for call in calls if call is not None]
    if not found or len(found) < len(calls):
        return []
    return [replace(call, is_ambiguous=call.is_ambiguous or reading.is_ambiguous) for call in found]


def _json_call(item: Any, text: str, parameters: Parameters) -> SpokenCall | None:
    """Read one object as a call. It is one only if it names a tool and carries arguments, and little else."""
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("function"), dict):
        item = item["function"]
    name = item.get("name", item.get("tool", item.get("function")))
    carriers = [key for key in ("arguments", "parameters", "input", "args") if key in item]
    others = set(item) - {"name", "tool", "function", "id", "type", *carriers}
    if not isinstance(name, str) or len(carriers) != 1 or others:
        return None
    if parameters(name) is None and set(item) != {"name", "arguments"}:
        return None
    reading = read_object(item[carriers[0]])
    if reading is None:
        return SpokenCall(name, None, text)
    return SpokenCall(name, reading.value, text, reading.is_ambiguous and reading.rung not in (STRICT, PROSE_CUT))
