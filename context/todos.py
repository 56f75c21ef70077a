"""To-dos: how the open ones are carried over a checkpoint, so that none is lost by how the model writes of it.

An id is `todo-4`: nothing else that is written about a model (T5) or a card (T4) reads like one. A to-do is closed by
its id in `done` and by nothing else; its words stay as they were first written, and what is said of it later is added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_ID = re.compile(r"(?i)(?<![\w-])todo-(\d+)(?!-?\w|\.\w)")
_LEADING = re.compile(r"(?i)[\s*`\[(#-]*(todo-\d+(?!-?\w|\.\w)(?:[\s*`\])(\[,;/&+]|and\b)*)+[\s:.)–—-]*")
_KEPT = re.compile(r"(?:todo-|T)(\d+)")
"""How ids stand in the record; old records call `todo-4` T4."""


def named(texts: Iterable[str]) -> set[str]:
    """The ids that some texts name."""
    return {f"todo-{int(number)}" for text in texts for number in _ID.findall(text)}


def unmentioned(still_open: Mapping[str, str], texts: Iterable[str]) -> list[str]:
    """The open to-dos that texts do not name at all, as `todo-3: …`."""
    found = named(texts)
    return [f"{name}: {text}" for name, text in still_open.items() if name not in found]


def carried(still_open: Mapping[str, str], last: int, done: list[str], todo: list[str]) -> list[str]:
    """All to-dos that are open after a checkpoint, as `todo-3: …`; `last` is the highest number ever given.

    An item of `todo` that begins with ids of open ones is a remark on these; any other is a new to-do.
    """
    kept, again = dict(still_open), set[str]()
    for item in todo:
        text = " ".join(item.split())
        start = _LEADING.match(text)
        known = [name for name in sorted(named([start[0]])) if name in still_open] if start else []
        for name in known:
            kept[name] = _remarked(kept[name], text[start.end() if start else 0 :])
        if text and not known:
            last += 1
            kept[f"todo-{last}"] = text
        again.update(known)
    closed = (named(done) & set(still_open)) - again
    return [f"{name}: {text}" for name, text in kept.items() if name not in closed]


def recorded(todo: Iterable[str]) -> dict[str, str]:
    """To-dos as they stand in the record, by id."""
    told: dict[str, str] = {}
    for item in todo:
        name, _, text = item.partition(": ")
        if found := _KEPT.fullmatch(name):
            told[f"todo-{found[1]}"] = text
    return told


def number(name: str) -> int:
    """The number in an id."""
    return int(name.removeprefix("todo-"))


def _remarked(text: str, remark: str) -> str:
    """A to-do with a remark added, unless it says so already; a remark that repeats all of it takes its place."""
    remark = remark.strip()
    if remark.startswith(text):
        return remark
    return text if remark in text else f"{text}; {remark}"
