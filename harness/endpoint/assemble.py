"""Joins the chunks of a streamed reply into one message.

Chunks are joined at the end, because only the whole stream shows whether they add to the text or repeat it. Some
endpoints send cumulative chunks, some proxies send each chunk twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import lt
from typing import Any, Literal

from harness.parsing.json_text import fix_surrogates

Style = Literal["auto", "delta", "cumulative"]

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_GROWING = ("text", "summary", "data", "signature")


def assemble(
    deltas: Sequence[tuple[dict[str, Any], str]], style: Style = "auto", is_usually_delta: bool = False
) -> tuple[dict[str, Any], Style]:
    """Join (delta, finish_reason) pairs into one message, and detect the style of the stream.

    A tuple of texts stands for a chunk for each. The message has `content`, `reasoning_details`, `reasoning_content`,
    `reasoning` and `tool_calls`; each is None if it never came. Reasoning that came in two fields stays in both.
    """
    parts = [delta for delta, _ in _once(deltas)]
    texts: dict[str, list[str]] = {name: [] for name in TEXTS}
    others: list[Mapping[str, Any]] = []
    for part in parts:
        for name, value in part.items():
            if type(value) is tuple:
                texts[name] += value
            elif name in texts:
                if value:
                    texts[name].append(value if type(value) is str else plain(value))
            elif not others or others[-1] is not part:
                others.append(part)
    details = _details(others)
    calls = _calls(others)
    runs = [*texts.values(), *(e.runs[k] for e in details for k in e.runs), *(call.arguments for call in calls)]
    style = _style(runs, is_usually_delta) if style == "auto" else style
    message: dict[str, Any] = {
        "content": join(texts["content"] or texts["refusal"], style),
        "reasoning_details": [entry.joined(style) for entry in details] or None,
        "reasoning_content": join(texts["reasoning_content"], style),
        "reasoning": join(texts["reasoning"], style),
        "tool_calls": [call.joined(style) for call in calls] or None,
    }
    return message, style


def join(pieces: Sequence[str], style: Style) -> str | None:
    """The text of the pieces; None if there are none."""
    if not pieces:
        return None
    if style == "cumulative":
        text = pieces[0]
        for piece in pieces[1:]:
            text = piece if piece.startswith(text) else text if text.startswith(piece) else text + piece
        return fix_surrogates(text)
    text = "".join(pieces)
    # A delta stream whose last chunk repeats the whole text.
    if len(pieces) > 2 and len(pieces[-1]) >= 32 and text == pieces[-1] * 2:
        return fix_surrogates(pieces[-1])
    return fix_surrogates(text)


def plain(content: Any) -> str:
    """Content as text; some endpoints send a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _style(runs: Sequence[Sequence[str]], is_usually_delta: bool) -> Style:
    """`cumulative` if each piece of every text begins with the one before, and some text grew that way.

    If other streams of the endpoint were deltas, two short pieces that happen to fit do not count.
    """
    grew, longest = 0, 0
    for pieces in runs:
        following = pieces[1:]
        if not all(map(str.startswith, following, pieces)):
            return "delta"
        lengths = [*map(len, pieces)]
        grew += sum(map(lt, lengths, lengths[1:]))
        longest = max(longest, *lengths[:-1], 0)
    proof = grew > 2 or longest >= 32 if is_usually_delta else grew > 0
    return "cumulative" if grew and proof else "auto"


def _once(deltas: Sequence[tuple[dict[str, Any], str]]) -> Sequence[tuple[dict[str, Any], str]]:
    """Drop duplicates of a proxy that sends every chunk twice, the last one included."""
    if sum(1 for _, reason in deltas if reason) != 2:
        return deltas
    each = [one for delta in deltas for one in _single_chunks(delta)]
    if len(each) % 2 == 0 and all(a == b for a, b in zip(each[::2], each[1::2], strict=True)):
        return each[::2]
    return each


def _single_chunks(delta: tuple[dict[str, Any], str]) -> Iterator[tuple[dict[str, Any], str]]:
    for name, value in delta[0].items():
        if type(value) is tuple:
            yield from (({name: text}, "") for text in value)
            return
    yield delta


def only_text(delta: Mapping[str, Any]) -> str:
    value = next(iter(delta.values()))
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0].get("text")
    return value if isinstance(value, str) else ""


@dataclass
class _Detail:
    """One entry of `reasoning_details`: its fields as first received, and the pieces of the growing ones."""

    first: dict[str, Any]
    runs: dict[str, list[str]] = field(default_factory=dict)

    def joined(self, style: Style) -> dict[str, Any]:
        return self.first | {key: join(pieces, style) for key, pieces in self.runs.items()}


def _details(parts: Sequence[Mapping[str, Any]]) -> list[_Detail]:
    known: list[_Detail] = []
    for part in parts:
        entries = part.get("reasoning_details")
        entries = [{"text": entries}] if isinstance(entries, str) else entries
        for position, entry in enumerate(entries if isinstance(entries, list) else []):
            if not isinstance(entry, dict):
                continue
            detail = _same_detail(known, entry, position)
            if detail is None:
                detail = _Detail({})
                known.append(detail)
            for key, value in entry.items():
                if key in _GROWING and isinstance(value, str):
                    detail.first.setdefault(key, "")
                    detail.runs.setdefault(key, []).extend([value] if value else [])
                elif value is not None or key not in detail.first:
                    detail.first[key] = value
    for detail in known:
        detail.runs = {key: pieces for key, pieces in detail.runs.items() if pieces}
    return known


def _same_detail(known: Sequence[_Detail], entry: Mapping[str, Any], position: int) -> _Detail | None:
    """The entry that this piece continues: by index if given, else by position."""
    if entry.get("index") is not None:
        return next((candidate for candidate in known if candidate.first.get("index") == entry["index"]), None)
    if position >= len(known):
        return None
    old = known[position] if position else known[-1]
    return old if entry.get("type") in (None, old.first.get("type")) else None


@dataclass
class _PartCall:
    """A tool call received in pieces."""

    index: Any
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    odd_arguments: Any = None

    def joined(self, style: Style) -> dict[str, Any]:
        arguments: Any = join(self.arguments, style)
        other = join(self.arguments, "delta" if style == "cumulative" else "cumulative")
        if arguments != other and not _is_json(arguments) and _is_json(other):
            arguments = other
        if arguments is None:
            arguments = self.odd_arguments
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": arguments}}


def _calls(parts: Sequence[Mapping[str, Any]]) -> list[_PartCall]:
    known: list[_PartCall] = []
    for part in parts:
        entries = part.get("tool_calls")
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, dict):
                continue
            function = entry.get("function")
            function = function if isinstance(function, dict) else {}
            name, arguments = function.get("name") or "", function.get("arguments")
            call = _same_call(known, entry, str(name))
            if call is None:
                call = _PartCall(entry.get("index"), str(entry.get("id") or ""))
                known.append(call)
            call.id = call.id or str(entry.get("id") or "")
            call.name = join([call.name, str(name)], "cumulative") or ""
            if isinstance(arguments, str):
                call.arguments += [arguments] if arguments else []
                call.odd_arguments = "" if call.odd_arguments is None else call.odd_arguments
            elif arguments is not None:
                call.odd_arguments = arguments
    return known


def _same_call(known: Sequence[_PartCall], entry: Mapping[str, Any], name: str) -> _PartCall | None:
    """The call that this piece continues; None if it begins another."""
    index, given = entry.get("index"), entry.get("id")
    if not known:
        return None
    if index is None:
        is_other = (given and given != known[-1].id) or _is_second_object(known[-1], entry, name)
        return None if is_other else known[-1]
    same = next((candidate for candidate in reversed(known) if candidate.index == index), None)
    if same is None:
        # An entry without name and id is the rest of the last call under a wrong index.
        return None if name or given else known[-1]
    # One index for every call, distinguished by id: a second name after the arguments of the first call began.
    has_begun = bool(same.arguments) or same.odd_arguments not in (None, "")
    begins = bool(given and same.id and given != same.id and name and has_begun)
    return None if begins or _is_second_object(same, entry, name) else same


def _is_second_object(call: _PartCall, entry: Mapping[str, Any], name: str) -> bool:
    """Whether an entry without an id is another call: arguments that come as an object come whole."""
    function = entry.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    are_objects = isinstance(arguments, dict) and isinstance(call.odd_arguments, dict)
    return bool(name and are_objects and not entry.get("id") and (name, arguments) != (call.name, call.odd_arguments))


def _is_json(text: Any) -> bool:
    try:
        json.loads(text)
    except (TypeError, ValueError):
        return False
    return True
