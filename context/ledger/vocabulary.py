"""Which actions a change of a solution is, from a vocabulary that can be extended: `actions.toml`.

Code reads the lines a commit adds, and the model says what it did; an action counts where both name it, or, where they
do not agree on any, where the code shows it. Without code that shows anything the model's words decide.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from context.ledger.database import LedgerError
from context.ledger.types import FACTS, Named

NAME = "actions.toml"
MOST_ACTIONS = 4
"""More actions in one change say nothing about any of them."""
_MODALITIES = {
    "text": ("text", "tabular"),
    "vision": ("image", "segmentation", "audio"),
    "audio": ("audio",),
    "time": ("time_series", "tabular"),
    "segmentation": ("segmentation", "image"),
}
"""Modalities in which actions with such a prefix occur; others occur everywhere."""
BLENDS = ("ensemble.average", "ensemble.stacking", "ensemble.ranks")
MOST_BYTES = 400_000


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,79}$")
    words: str = Field(min_length=1, max_length=300)
    code: str = ""
    said: str = ""
    process: str = ""
    needs: list[str] = []

    @field_validator("needs")
    @classmethod
    def _are_facts(cls, needs: list[str]) -> list[str]:
        if unknown := sorted(set(needs) - FACTS):
            raise ValueError(f"unknown facts {', '.join(unknown)}; known are {', '.join(sorted(FACTS))}")
        return sorted(needs)


@dataclass(frozen=True)
class Action:
    """One action with the patterns that recognise it. `needs`: facts without which it makes no sense."""

    key: str
    words: str
    needs: str
    code: re.Pattern[str] | None
    said: re.Pattern[str] | None
    process: re.Pattern[str] | None


@dataclass(frozen=True)
class Vocabulary:
    """All known actions."""

    actions: Sequence[Action]

    def within(self, modality: str) -> Vocabulary:
        """The actions that can occur in a modality."""
        kinds = {kind for kind, modalities in _MODALITIES.items() if modality not in modalities}
        return Vocabulary(tuple(one for one in self.actions if one.key.partition(".")[0] not in kinds))

    def named(self, keys: Iterable[str]) -> tuple[Named, ...]:
        """The actions with these keys, as a ledger keeps them."""
        wanted = set(keys)
        return tuple(Named(action.key, action.words, action.needs) for action in self.actions if action.key in wanted)

    def in_patch(self, patch: str) -> list[str]:
        """The actions that the added lines of a patch show."""
        added = added_lines(patch)
        return [action.key for action in self.actions if action.code and action.code.search(added)]

    def in_words(self, words: str) -> list[str]:
        """The actions that a text of the model names."""
        return [action.key for action in self.actions if action.said and action.said.search(words)]

    def in_message(self, message: str) -> list[str]:
        """The actions about the process that the message of a failed evaluation calls for: the first that fits."""
        found = (action.key for action in self.actions if action.process and action.process.search(message))
        return list(found)[:1]

    def of_change(self, patch: str, words: str) -> list[str]:
        """The actions that a change is: those that both patch and words show, else those of one of them.

        A blend is one action: the models that it averages are not what changed. Empty if so much changed at once
        that no action can be credited.
        """
        shown, said = self.in_patch(patch), self.in_words(words)
        both = [key for key in shown if key in said]
        found = both or shown or said
        found = [key for key in found if key in BLENDS] or found
        return found if len(found) <= MOST_ACTIONS else []


@cache
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary that comes with the harness."""
    return load_vocabulary()


def load_vocabulary(more: Path | None = None) -> Vocabulary:
    """The shipped vocabulary, with the actions of another file; of equal keys the last counts. Raises `LedgerError`."""
    found = {action.key: action for action in _read(Path(__file__).parent / NAME)}
    if more is not None and more.is_file():
        found.update({action.key: action for action in _read(more)})
    return Vocabulary(tuple(found.values()))


def added_lines(patch: str) -> str:
    """The lines that a patch adds, without their marks."""
    lines = (
        line[1:] for line in patch[:MOST_BYTES].splitlines() if line.startswith("+") and not line.startswith("+++")
    )
    return "\n".join(lines)


def _read(path: Path) -> list[Action]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("action", [])
        return [_compiled(_Entry.model_validate(entry)) for entry in entries]
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, re.error, TypeError, AttributeError) as error:
        raise LedgerError(f"{path} cannot be read as a vocabulary of actions: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise LedgerError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _compiled(entry: _Entry) -> Action:
    patterns = [re.compile(text, re.I) if text else None for text in (entry.code, entry.said, entry.process)]
    return Action(entry.key, entry.words, " ".join(entry.needs), *patterns)
