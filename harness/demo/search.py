"""What to try next, decided from what the memory says was tried and how it scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, count
from statistics import median

from harness.demo.ideas import Idea, Tag
from harness.demo.read_request import Card, Tried


@dataclass(frozen=True)
class Choice:
    """The tag to try, and why in a clause that follows "because"."""

    tag: Tag
    why: str


@dataclass(frozen=True)
class History:
    """The memory seen as scores: what was tried, what each variant scored, which families are worth extending."""

    ideas: tuple[Idea, ...]
    memory: tuple[Tried, ...]
    lower: bool

    @cached_property
    def tried(self) -> set[str]:
        return {tag for entry in self.memory for tag in entry.tags + entry.failed}

    @cached_property
    def scores(self) -> dict[str, float]:
        """Tag -> its score (the better one, should it stand there twice); only tags that the ideas can write again."""
        found: dict[str, float] = {}
        for entry in self.memory:
            for tag in entry.tags:
                if entry.score is not None and self.knows(tag):
                    found[tag] = self.better(entry.score, found.get(tag, entry.score))
        return found

    def knows(self, tag: str) -> bool:
        """Whether the solution of this tag can be written again from the ideas."""
        return Tag.parse(tag).families <= {idea.name for idea in self.ideas}

    def better(self, a: float, b: float) -> float:
        return min(a, b) if self.lower else max(a, b)

    def gap(self, score: float) -> float:
        """How far a score lies behind the best one; never negative."""
        best = self.scores[self.best]
        return max(0.0, score - best if self.lower else best - score)

    @cached_property
    def best(self) -> str:
        """The tag with the best score, the earliest of equals; "" while nothing has scored."""
        ranked = sorted(self.scores.items(), key=lambda item: item[1] if self.lower else -item[1])
        return ranked[0][0] if ranked else ""

    @cached_property
    def noise(self) -> float:
        """The usual noise of a score: the median, since a perfect score is told with none, yet proves no more."""
        return median([entry.noise for entry in self.memory if entry.noise is not None] or [0.0])

    @cached_property
    def patience(self) -> float:
        """A score further behind the best than this is bad: three times the noise, or 3 % where no noise is told."""
        return 3 * self.noise or 0.03 * abs(self.scores[self.best])

    def families(self) -> list[str]:
        """Each family's best variant that scored (`kernel` or `kernel tuned`), best family first."""
        single = {t: s for t, s in self.scores.items() if len(Tag.parse(t).variants) == 1 and not Tag.parse(t).bag}
        ranked = sorted(single, key=lambda tag: single[tag] if self.lower else -single[tag])
        seen: dict[str, str] = {}
        for tag in ranked:
            seen.setdefault(tag.removesuffix(" tuned"), tag)
        return list(seen.values())

    def worthwhile(self) -> list[str]:
        """Those of `families` that can be blended and did not do badly."""
        members = {idea.name for idea in self.ideas if idea.member}
        ours = [tag for tag in self.families() if tag.removesuffix(" tuned") in members]
        return [tag for tag in ours if self.gap(self.scores[tag]) <= self.patience]

    def last_gain(self) -> str:
        """The tag of the last attempt, if it made a run that had a score better; else ""."""
        if len(self.scores) < 2 or not self.memory[-1].tags:
            return ""
        tag = self.memory[-1].tags[-1]
        before = History(self.ideas, self.memory[:-1], self.lower)
        return tag if tag == self.best and before.best not in ("", tag) else ""


def choose(ideas: Sequence[Idea], card: Card) -> Choice:
    """The next thing to try. Attempts whose entry names no idea (cut off before `finish`) each pass one candidate over,
    so that an idea that cannot be finished is not tried for ever."""
    history = History(tuple(ideas), card.memory, card.lower_is_better)
    blends = {Tag.parse(tag).families for tag in history.tried if len(Tag.parse(tag).variants) > 1}
    untold = sum(1 for entry in card.memory if not entry.tags and not entry.failed)
    fresh = (
        choice
        for choice in candidates(history)
        if str(choice.tag) not in history.tried
        and not (len(choice.tag.variants) > 1 and not choice.tag.bag and choice.tag.families in blends)
    )
    seen: dict[str, Choice] = {}
    for choice in fresh:
        seen.setdefault(str(choice.tag), choice)
        if len(seen) > untold:
            return choice
    turn = ideas[(card.attempt - 1) % len(ideas)]
    return Choice(Tag((turn.name,)), "everything else was tried before")


def candidates(history: History) -> Iterator[Choice]:
    """All that could be done, most promising first; what was tried already is among it."""
    yield from after_a_gain(history)
    good = history.worthwhile() if history.scores else []
    if len(history.families()) >= 3 and len(good) >= 2:
        yield Choice(
            Tag(tuple(good[:2])), f"{good[0]} and {good[1]} scored best so far, and unlike families err on unlike rows"
        )
    for idea in history.ideas:
        reason = (
            "it is untried, and a new family teaches more than a detail" if history.memory else "it is simple and solid"
        )
        yield Choice(Tag((idea.name,)), reason)
    yield from tunings(history, good)
    for size in (3, 2):
        for group in combinations(good[:4], size):
            yield Choice(Tag(group), f"these {size} are the best pairing not yet blended")
    best = Tag.parse(history.best) if history.scores else Tag(())
    if set(good) and best.families <= {tag.removesuffix(" tuned") for tag in good}:
        for number in count(1):
            yield Choice(
                Tag(best.variants, number), f"averaging over row samples steadies {history.best}, the best so far"
            )


def after_a_gain(history: History) -> Iterator[Choice]:
    """Going further in the direction that just paid: tune a family, widen a blend."""
    gain = history.last_gain()
    if not gain:
        return
    tag, good = Tag.parse(gain), history.worthwhile()
    if tag.is_plain:
        yield from tunings(history, [gain])
    others = [variant for variant in good if variant.removesuffix(" tuned") not in tag.families]
    if len(tag.variants) == 2 and others:
        wider = (*tag.variants, others[0])
        yield Choice(Tag(wider), f"the blend just gained, and {others[0]} is the best family not yet in it")


def tunings(history: History, variants: Sequence[str]) -> Iterator[Choice]:
    """A search over the settings of each plain variant that has some."""
    searchable = {idea.name for idea in history.ideas if idea.grid}
    for variant in variants:
        if variant in searchable:
            yield Choice(
                Tag((f"{variant} tuned",)), f"{variant} does well with guessed settings, so better ones may be near"
            )
