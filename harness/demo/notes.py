"""What the demo model writes into the memory when it finishes: the idea's tag, the score, an honest comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.demo.ideas import Idea
from harness.demo.read_request import Card, Tried, Verdict
from harness.demo.search import Choice, History, choose


def finish_words(
    card: Card, ideas: tuple[Idea, ...], choice: Choice, verdicts: Sequence[Verdict], unexpected: str
) -> dict[str, Any]:
    """The arguments of `finish`. The tags in `did` are what later attempts read."""
    if not verdicts:
        did = f"[failed: {choice.tag}] was not evaluated. {unexpected}".strip()
        return {
            "did": did,
            "criticism": "Nothing was learned in this attempt.",
            "next": _next(card, ideas, None),
            "lessons": [],
        }
    first, last = verdicts[0], verdicts[-1]
    history = History(ideas, card.memory, card.lower_is_better)
    if first.is_valid:
        did = f"[idea: {choice.tag}] {_what(ideas, choice)}: {_told(last)}{_against(history, last)}."
        criticism, lessons = _criticism(history, choice, last), _lessons(history, choice, last)
        done = Tried(card.attempt, (str(choice.tag),), (), last.score, last.noise)
    else:
        second = (
            f" [idea: safe] a small forest on the number columns instead: {_told(last)}." if len(verdicts) > 1 else ""
        )
        did = f"[failed: {choice.tag}] was {first.status}: {_plain(first.reason)}.{second}"
        criticism = "The idea itself was not measured; the code has to be looked at before it is tried again."
        lessons, done = [], Tried(card.attempt, (), (str(choice.tag),))
    return {"did": did, "criticism": criticism, "next": _next(card, ideas, done), "lessons": lessons}


def _what(ideas: tuple[Idea, ...], choice: Choice) -> str:
    known = {idea.name: idea.what for idea in ideas}
    return "; ".join(known[v.removesuffix(" tuned")] for v in choice.tag.variants)


def _plain(text: str) -> str:
    """Words of others, without brackets that could be taken for a tag."""
    return text.replace("[", "(").replace("]", ")")


def _told(verdict: Verdict) -> str:
    if verdict.score is None:
        return verdict.status
    noise = "" if verdict.noise is None else f" ± {verdict.noise:g}"
    return f"scored {verdict.score:g}{noise}"


def _against(history: History, verdict: Verdict) -> str:
    if verdict.score is None or not history.best:
        return ""
    before = history.scores[history.best]
    word = "equals" if verdict.score == before else "beats" if _gain(history, verdict) > 0 else "does not reach"
    return f", which {word} the best before, {before:g} by {history.best}"


def _gain(history: History, verdict: Verdict) -> float:
    """By how much the score beats the best before (negative: falls short), whichever direction is better."""
    difference = (verdict.score or 0.0) - history.scores[history.best]
    return -difference if history.lower else difference


def _noise(history: History, verdict: Verdict) -> float:
    return max(verdict.noise or 0.0, history.noise)


def _criticism(history: History, choice: Choice, verdict: Verdict) -> str:
    if verdict.score is None:
        return "Without a score nothing can be said about its worth."
    if not history.best:
        return "A start only: settings are guesses, and there is nothing to compare with."
    gain, noise = _gain(history, verdict), _noise(history, verdict)
    if abs(gain) <= noise:
        return (
            f"The difference of {gain:+.4g} lies within the noise of the held-out rows ({noise:g}): it proves little."
        )
    if gain < 0:
        return f"Clearly worse ({gain:+.4g}): this direction is not worth extending on this data."
    return f"A real gain ({gain:+.4g}), though on one set of held-out rows only."


def _lessons(history: History, choice: Choice, verdict: Verdict) -> list[str]:
    if verdict.score is None:
        return []
    lesson = f"{choice.tag} {_told(verdict)}"
    if not history.best:
        return [lesson]
    close = abs(_gain(history, verdict)) <= _noise(history, verdict)
    relation = "no clear difference to" if close else "better than" if _gain(history, verdict) > 0 else "worse than"
    return [f"{lesson}; {relation} {history.best} ({history.scores[history.best]:g})"]


def _next(card: Card, ideas: tuple[Idea, ...], done: Tried | None) -> str:
    after = replace(card, attempt=card.attempt + 1, memory=(*card.memory, done or Tried(card.attempt)))
    choice = choose(ideas, after)
    return f"{choice.tag}, because {choice.why}."
