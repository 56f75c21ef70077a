"""Tool calls found in the text of a reply."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

Parameters = Callable[[str], Collection[str] | None]
"""Returns the parameters of the tool that a name stands for (a mapping to their schemas); None if there is none."""


@dataclass(frozen=True)
class TextCall:
    """A call written as text. `arguments` is None if they could not be read; `raw` is the original text.

    `id` is the id that the text gives the call, in dialects that have one.
    """

    name: str
    arguments: dict[str, Any] | None
    raw: str
    is_ambiguous: bool = False
    is_cut: bool = False
    id: str = ""

    def as_ambiguous(self) -> TextCall:
        """The same call, marked as having more than one meaning."""
        return replace(self, is_ambiguous=True)


@dataclass(frozen=True)
class TextCalls:
    """The calls of a text, and the text without them. `ends_with_call`: only blanks follow the last call.

    `dialect` is the syntax of the calls; empty without any.
    """

    calls: tuple[TextCall, ...]
    rest: str
    ends_with_call: bool = True
    dialect: str = ""
