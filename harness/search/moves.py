"""Moves: what an attempt does, and which commits it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["draft", "improve", "repair", "combine", "ensemble"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Move:
    """The move of one attempt.

    `draft` starts from an empty workspace with a new approach. `improve` makes one change to its parent. `repair` fixes
    an attempt that failed. `combine` adds what helped in a second parent to the first. `ensemble` blends the
    predictions of all its parents. `parents` are commits; the workspace starts as the first one. `focus` is a sentence
    for the model, `reasons` are for people.
    """

    kind: Kind
    parents: tuple[str, ...] = ()
    focus: str = ""
    reasons: tuple[str, ...] = ()

    def problem(self) -> str:
        """What is wrong with the move as a user's own policy may return it; empty if nothing is."""
        for name, texts in (("parents", self.parents), ("reasons", self.reasons), ("focus", (self.focus,))):
            if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
                return f"its {name} are {texts!r}; parents and reasons are tuples of texts, focus is a text"
        least, most = {"draft": (0, 0), "improve": (1, 1), "repair": (1, 1), "combine": (2, 2)}.get(self.kind, (2, 99))
        if self.kind not in KINDS:
            return f"there is no move {self.kind!r}; the moves are {', '.join(KINDS)}"
        if not least <= len(self.parents) <= most:
            return f"{self.kind} has {len(self.parents)} parents"
        return ""
