"""Reads dialects with tags for wrapper, call and parameter, whose values are raw text (MiniMax M2, Qwen, DSML, GLM...).

A well-formed sequence of tags is read as it is. Otherwise (a value that contains such tags, a missing or extra tag, a
quotation, an example in the text) every call is ambiguous: a file that quotes a call must not be taken for the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from harness.parsing.arguments import read_object
from harness.parsing.dialects.base import Block
from harness.parsing.text_call_types import Parameters, TextCall

_WHOLE = re.compile(r"(?:w*W?(?:I(?:Pp)*i)+)*w*")
_END_WITHOUT_INVOKE = re.compile(r"W?I(?:Pp)+w?")
_END_CUT = re.compile(r"W?(?:I(?:Pp)*P?)?")
_BLANKS = " \t\r\n`"

ReadValue = Callable[[str, str], Any]
"""Reads a raw value, given the attributes of its tag. Raises ValueError."""


@dataclass(frozen=True)
class Tag:
    kind: str
    start: int
    end: int
    name: str = ""
    attributes: str = ""


_OWN_LINES = re.compile(r"\r?\n(.*?)(?:\r?\n[ \t]*)?", re.DOTALL)


def value_on_own_lines(text: str, _: str = "") -> str:
    """The text of a value, without the line ends next to its tags (an indented end tag included) if it starts on its
    own line."""
    own = _OWN_LINES.fullmatch(text)
    return own[1] if own else text


def _without_layout(values: Sequence[tuple[Tag, str]]) -> Sequence[tuple[Tag, str]]:
    """The values without the line ends next to their tags, if each stands on its own lines: then those are layout."""
    is_layout = all(text.startswith(("\n", "\r\n")) and text.endswith("\n") for _, text in values)
    return [(tag, value_on_own_lines(text)) for tag, text in values] if is_layout else values


@dataclass(frozen=True)
class Tagged:
    """A dialect of tags.

    Groups of `pattern`: `W` and `w` open and close the wrapper, `I` and `i` a call, `P` and `p` a parameter. The groups
    `I` and `P` match the name; `alone` marks a call tag that closes itself, `more` the attributes of a parameter.
    Without `read_value`, values are text as it stands.
    `stray` finds marks in a value after which its end is uncertain. `body` matches marks around a JSON body.
    `is_distinct`: no text but a call has these marks, so that a call of an unknown tool is answered.
    """

    name: str
    markers: tuple[str, ...]
    pattern: re.Pattern[str]
    read_value: ReadValue | None = None
    stray: re.Pattern[str] | None = None
    body: re.Pattern[str] | None = None
    prepare_text: Callable[[str], str] | None = None
    is_distinct: bool = False

    def prepare(self, text: str) -> str:
        return self.prepare_text(text) if self.prepare_text else text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        tags = self._tags(text)
        kinds = "".join(tag.kind for tag in tags)
        is_meant = self.is_distinct or _is_meant(kinds, tags, parameters)
        if "I" not in kinds or not is_meant:
            return []
        whole, end = _whole_part(text, tags, kinds, is_cut=is_cut)
        if end is None:
            calls = self._loose_calls(text, tags, parameters, is_cut=is_cut)
            return [Block(tags[0].start, tags[-1].end if kinds[-1] in "iw" else len(text), tuple(calls))]
        blocks = self._blocks(text, tags[:whole], is_cut=False)
        return blocks + self._blocks(text, tags[whole:], is_cut=True)

    def _tags(self, text: str) -> list[Tag]:
        tags: list[Tag] = []
        for match in self.pattern.finditer(text):
            groups = match.groupdict()
            kind = next(kind for kind in "WwIiPp" if groups.get(kind) is not None)
            name = match[kind].strip("\"'") if kind in "IP" else ""
            tags.append(Tag(kind, match.start(), match.end(), name, groups.get("more") or ""))
            if kind == "I" and groups.get("alone"):
                tags.append(Tag("i", match.end(), match.end()))
        return tags

    def _blocks(self, text: str, tags: Sequence[Tag], *, is_cut: bool) -> list[Block]:
        """One block per wrapper, or per call without one."""
        runs: list[list[Tag]] = []
        for left, tag in pairwise([None, *tags]):
            if left is None or (tag and left.kind in "iw" and tag.kind in "IW"):
                runs.append([])
            if tag:
                runs[-1].append(tag)
        blocks = []
        for run in runs:
            calls = [self._whole_call(text, group) for group in _groups(run)]
            calls = [replace(call, is_cut=True) for call in calls] if is_cut else calls
            end = run[-1].end if run[-1].kind in "iw" or not is_cut else len(text)
            blocks.append(Block(run[0].start, end, tuple(calls)))
        return blocks

    def _whole_call(self, text: str, group: Sequence[Tag]) -> TextCall:
        end = group[-1].end if group[-1].kind == "i" else len(text) if group[-1].kind in "PI" else group[-1].end
        name, raw = group[0].name, text[group[0].start : end]
        opened = [tag for tag in group if tag.kind == "P"]
        if not opened:
            body = text[group[0].end : group[-1].start] if group[-1].kind == "i" else ""
            reading = read_object(self.body.sub("", body) if self.body else body)
            return TextCall(name, reading.value if reading else None, raw, bool(reading and reading.is_ambiguous))
        values = [(tag, text[tag.end : close.start]) for tag, close in pairwise(group) if tag.kind + close.kind == "Pp"]
        if len(values) < len(opened):
            return TextCall(name, None, raw, is_cut=True)
        try:
            arguments = self._read(values)
        except ValueError:
            return TextCall(name, None, raw)
        is_stray = self.stray is not None and any(self.stray.search(value) for _, value in values)
        return TextCall(name, arguments, raw, is_stray or len(arguments) < len(opened))

    def _read(self, values: Sequence[tuple[Tag, str]]) -> dict[str, Any]:
        """The values by name. Raises ValueError."""
        if self.read_value is None:
            return {tag.name: value for tag, value in _without_layout(values)}
        return {tag.name: self.read_value(value, tag.attributes) for tag, value in values}

    def _loose_calls(self, text: str, tags: Sequence[Tag], parameters: Parameters, *, is_cut: bool) -> list[TextCall]:
        """Read a sequence that is not well-formed: an unclosed call includes what follows."""
        groups: list[list[Tag]] = []
        is_open = False
        for group in _groups(tags):
            if is_open:
                groups[-1].extend(group)
            else:
                groups.append(group)
            is_open = not any(tag.kind == "i" for tag in group)
        calls = [self._loose_call(text, group, parameters(group[0].name) or ()) for group in groups]
        # The missing end would distinguish a quoted call from a real one.
        return [replace(call, is_cut=True) for call in calls] if is_cut else calls

    def _loose_call(self, text: str, group: Sequence[Tag], known: Collection[str]) -> TextCall:
        """Close each parameter at the last closing tag before the next parameter of the tool or the end of the call."""
        last = max((index for index, tag in enumerate(group) if tag.kind == "i"), default=len(group))
        inside = group[1:last]
        raw = text[group[0].start : group[last].end if last < len(group) else group[-1].end]
        unreadable = TextCall(group[0].name, None, raw, is_ambiguous=True, is_cut=last == len(group))
        values: list[tuple[Tag, str]] = []
        opens: list[int] = []
        for index, tag in enumerate(inside):
            if tag.kind == "P" and (tag.name in known or not known) and tag.name not in {inside[k].name for k in opens}:
                opens.append(index)
        for index, following in pairwise([*opens, len(inside)]):
            closes = [tag for tag in inside[index + 1 : following] if tag.kind == "p"]
            if not closes:
                return unreadable
            opened = inside[index]
            values.append((opened, text[opened.end : closes[-1].start]))
        try:
            arguments = self._read(values)
        except ValueError:
            return unreadable
        return TextCall(group[0].name, arguments, raw, is_ambiguous=True, is_cut=last == len(group))


def _is_meant(kinds: str, tags: Sequence[Tag], parameters: Parameters) -> bool:
    """Whether the tags are a call and not a mention of tags, which has no parameters, end or wrapper."""
    if set(kinds) & set("PiW"):
        return any(tag.kind == "I" and parameters(tag.name) is not None for tag in tags) or "W" in kinds
    return False


def _whole_part(text: str, tags: Sequence[Tag], kinds: str, *, is_cut: bool) -> tuple[int, int | None]:
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
    if _END_WITHOUT_INVOKE.fullmatch(rest) and not text[tags[-1].end :].strip(_BLANKS):
        return len(kinds), len(kinds)
    return 0, None


def _has_blank_gaps(text: str, tags: Sequence[Tag]) -> bool:
    """Whether only blanks are before and between parameters and before the end of a call."""
    pairs = {"WI", "IP", "pP", "pi"}
    return not any(
        left.kind + right.kind in pairs and text[left.end : right.start].strip() for left, right in pairwise(tags)
    )


def _groups(tags: Sequence[Tag]) -> list[list[Tag]]:
    groups: list[list[Tag]] = []
    for tag in tags:
        if tag.kind == "I":
            groups.append([])
        if groups and tag.kind in "IPpi":
            groups[-1].append(tag)
    return groups
