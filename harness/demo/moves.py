"""The moves of the demo model: which one comes next, decided from the memory, and what each one does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from harness.demo.read_request import Card
from harness.demo.solutions import SHARED, SOLUTION, Idea, families, solution, template, variants

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Choice:
    """A move, the tag it tries, and why, as a clause after "because"."""

    move: str
    tag: str
    why: str


class Scores:
    """The scores in the memory by tag, first results only. `ranked` holds the tags, best first."""

    def __init__(self, ideas: Sequence[Idea], card: Card) -> None:
        names = {idea.name for idea in ideas}
        self.by_tag: dict[str, float] = {}
        for entry in card.memory:
            for tag in entry.tags:
                if entry.score is not None and names.issuperset(families(tag)):
                    self.by_tag.setdefault(tag, entry.score)
        sign = 1 if card.lower_is_better else -1
        self.ranked = sorted(self.by_tag, key=lambda tag: sign * self.by_tag[tag])

    def best_by_family(self) -> list[str]:
        """Each family's best variant, best family first; blends are left out."""
        best: dict[str, str] = {}
        for tag in self.ranked:
            if len(variants(tag)) == 1:
                best.setdefault(families(tag)[0], tag)
        return list(best.values())


def choose(ideas: Sequence[Idea], card: Card) -> Choice:
    """The next move.

    Each attempt without tags (it ended before `finish`) skips one candidate, so that an idea that cannot be finished is
    not tried forever.
    """
    tried = {tag for entry in card.memory for tag in (*entry.tags, *entry.failed)}
    skipped = sum(1 for entry in card.memory if not entry.tags and not entry.failed)
    untried = [choice for choice in _candidates(ideas, card) if choice.tag not in tried]
    asked = {"draft": "draft", "combine": "combine", "ensemble": "combine"}.get(card.move)
    order = _advised(ideas, card)
    untried.sort(key=lambda choice: (bool(asked) and choice.move != asked, order.get(choice.tag, 0)))
    if skipped < len(untried):
        return untried[skipped]
    return Choice("draft", ideas[(card.attempt - 1) % len(ideas)].name, "everything else was tried before")


def _advised(ideas: Sequence[Idea], card: Card) -> dict[str, int]:
    """A priority for each idea that a lesson of earlier runs is about: below 0 to try first, above 0 to try last.

    A lesson is about the idea whose description has most words in common with it.
    """
    stems = {idea.name: _stems(f"{idea.name} {idea.what}") for idea in ideas}
    order: dict[str, int] = {}
    for place, advice in enumerate(card.lessons):
        said = _stems(advice.words)
        name = max(stems, key=lambda one: len(stems[one] & said) / (len(stems[one]) + len(said) or 1))
        if 4 * len(stems[name] & said) > len(stems[name] | said):
            order.setdefault(name, place - len(card.lessons) if advice.is_do else 1)
    return order


def _stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"[a-z]{3,}", text.lower())} - _STOP_WORDS


_STOP_WORDS = {"add", "and", "are", "but", "for", "from", "into", "more", "most", "not", "than", "that", "the", "them"}
_STOP_WORDS |= {"then", "they", "train", "use", "where", "with", "befor", "model", "on", "colum"}


def _candidates(ideas: Sequence[Idea], card: Card) -> Iterator[Choice]:
    """All possible moves, the most promising first, including those already made."""
    scores, known = Scores(ideas, card), {idea.name: idea for idea in ideas}
    best = [tag for tag in scores.best_by_family() if known[families(tag)[0]].member]
    improvable = [tag for tag in best[:3] if tag in known and known[tag].grid]
    has_gained = len(scores.ranked) > 1 and scores.ranked[0] in card.memory[-1].tags
    if has_gained and scores.ranked[0] in improvable:
        yield Choice("improve", f"{scores.ranked[0]} tuned", "it just gained with guessed settings")
    if len(best) >= 3:
        yield Choice("combine", f"blend of {best[0]} + {best[1]}", "they scored best, and families err differently")
    for idea in ideas:
        yield Choice("draft", idea.name, "it is an untried family" if card.memory else "it is simple and solid")
    for tag in improvable:
        yield Choice("improve", f"{tag} tuned", "it does well with guessed settings")
    for size in (2, 3):
        for group in combinations(best[:4], size):
            yield Choice("combine", f"blend of {' + '.join(group)}", f"no other {size} untried families score better")


# ------------------------------------------------------------------------------------------------------------ handlers


def write(choice: Choice, card: Card, ideas: Sequence[Idea]) -> list[Call]:
    """Write the solution of a tag, and the file that families share where the workspace does not have it."""
    is_family = any(idea.member for idea in ideas if idea.name == families(choice.tag)[0])
    shared = [_write(SHARED, template("tabular"))] if is_family and card.starts_empty else []
    return [*shared, _write(SOLUTION, solution(choice.tag, ideas, card.metric, card.positive))]


def repair(choice: Choice, card: Card, ideas: Sequence[Idea]) -> list[Call]:
    """Replace a solution that failed by one that is simple and uses no shared file."""
    return [_write(SOLUTION, template("safe").replace("{metric}", card.metric).replace("{positive}", card.positive))]


HANDLERS: Mapping[str, Callable[[Choice, Card, Sequence[Idea]], list[Call]]] = {
    "draft": write,
    "improve": write,
    "combine": write,
    "repair": repair,
}


def _write(path: str, content: str) -> Call:
    return "write_file", {"path": path, "content": content}
