"""What a dialect is: a syntax for tool calls in the text of a reply. A new model is one module here and its cases.

Rules for every dialect: a call is returned only at its own marks; an argument that has no end, or more than one
possible end, makes the call unreadable or ambiguous; no name is guessed from arguments. Whether a call is meant or
quoted is decided for all dialects in `gather`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.parsing.text_call_types import Parameters, TextCall

NAME = r"[A-Za-z_][\w.\-]{0,63}"
"""A tool name as models write it."""


@dataclass(frozen=True)
class Block:
    """A part of the text that is calls, with its marks: from `start` to `end`."""

    start: int
    end: int
    calls: tuple[TextCall, ...]


class Dialect(Protocol):
    """One syntax. `name` is the family; a text without any of `markers` contains no call of it."""

    @property
    def name(self) -> str: ...

    @property
    def markers(self) -> Sequence[str]: ...

    def prepare(self, text: str) -> str:
        """The text with characters restored that servers drop. The positions of blocks refer to it."""

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        """The calls of a prepared text, in order, without overlap. `is_cut`: the reply ended at the output limit."""
