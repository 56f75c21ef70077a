"""Ranking: how well passages fit a question in plain words, and which of their lines say most."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MOST_WORDS = 24
QUERY_CHARACTERS, WORD_CHARACTERS = 2_000, 100
NEAR_LINES = 1
"""Lines before and after a line that count as near it."""
NEAR_WEIGHT = 1.5
"""How much more a word counts near the others than elsewhere in its passage."""
LINE_WEIGHT = 0.1
TITLE_WEIGHT = 1.0
_WORD = re.compile(r"[\w][\w.\-/=:+]*", re.UNICODE)
_PIECE = re.compile(r"[^\W_]+", re.UNICODE)
_LINE_END = re.compile(r"\n")
_SUFFIX = re.compile(r"(?:ations?|ances?|ences?|ments?|ables?|ings?|ions?|ants?|ents?|ied|ies|ed|es|ers?|s|e|y)$")
ALIASES = {
    "lightgbm": "lgb", "catboost": "cat", "xgboost": "xgb", "learning rate": "lr", "out-of-fold": "oof",
    "cross-validation": "cv", "cross-validated": "cv", "network": "nn", "validation": "val",
    "crash": "error", "fail": "error",
}  # fmt: skip
"""Words of a question that are often written shorter in code and logs."""
STOP_TEXT = (
    "a about after again all also am an and any anything are as at be been before being but by can could did do does "
    "doing done during each ever for from get give given gave go got had happen happened has have having he her here "
    "him his how i if in into is it its just last let like made make many me mine most much my no nor not of off on "
    "once only or other our out over own please say says she should show so some such tell than that the their them "
    "then there these they thing things this those through to told too under up us use used using very was we were "
    "what when where whether which while who whom whose why will with would you your"
)
STOP_WORDS = frozenset(STOP_TEXT.split())


@dataclass(frozen=True)
class Question:
    """A question: its words without stop words, and a pattern with one group per word."""

    phrase: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]

    @classmethod
    def read(cls, query: str) -> Question:
        """Read a query; of a long one only the beginning counts."""
        text = query[:QUERY_CHARACTERS].lower()
        aliases = [short for word, short in ALIASES.items() if word in text]
        found = [word[:WORD_CHARACTERS].strip(".-/=:+_") for word in [*_WORD.findall(text), *aliases]]
        found = list(dict.fromkeys(word for word in found if _PIECE.search(word)))
        words = [word for word in found if word not in STOP_WORDS][:MOST_WORDS] or found[:MOST_WORDS]
        words.sort(key=len, reverse=True)  # of two that begin alike the longer one is tried first
        pattern = "|".join(f"({_pattern_of(word)})" for word in words)
        return cls(" ".join(text.split()).strip(" ?.!\"'"), tuple(words), re.compile(pattern or r"(?!)"))

    def expressions(self) -> list[str]:
        """One full-text expression per word: its parts in a row, the last one by its beginning if it is a word."""
        quoted = (f'"{" ".join(_PIECE.findall(word))}"' for word in self.words)
        return [text + ("*" if _is_stem(word) else "") for text, word in zip(quoted, self.words, strict=True)]


def _pattern_of(word: str) -> str:
    """Finds a word by its beginning, so that `trained` finds `training`; numbers and short words only whole."""
    stem = _SUFFIX.sub("", word) if len(word) > 4 and word.isalpha() else word
    stem = stem if len(stem) >= 4 else word
    end = "" if _is_stem(stem) else r"(?![^\W_])"
    parts = r"[\W_]{1,3}".join(map(re.escape, _PIECE.findall(stem)))
    return rf"(?<![^\W_]){parts}{end}"


def _is_stem(word: str) -> bool:
    return word.isalpha() and len(word) >= 3


@dataclass(frozen=True)
class Fit:
    """How well a passage fits: `exact` if it contains the whole question, then `score`; `lines` match, best first."""

    exact: bool
    score: float
    lines: tuple[int, ...]


def rate(question: Question, title: str, text: str, weights: Sequence[float]) -> Fit:
    """Rate one passage. `weights` says how rare each word of the question is."""
    lowered = text.lower()
    ends = [match.end() for match in _LINE_END.finditer(lowered)]
    lines: dict[int, set[int]] = {}
    for match in question.pattern.finditer(lowered):
        lines.setdefault(bisect_right(ends, match.start()), set()).add((match.lastindex or 1) - 1)
    near = {index: _weigh_line(index, lines, weights) for index in lines}
    inside = set[int]().union(*lines.values())
    titled = {(match.lastindex or 1) - 1 for match in question.pattern.finditer(title.lower())} - inside
    is_exact = len(question.words) > 1 and question.phrase in " ".join(lowered.split())
    best = max(near.values(), default=0.0)
    score = _weigh(inside, weights) + NEAR_WEIGHT * best + TITLE_WEIGHT * _weigh(titled, weights)
    return Fit(is_exact, score, tuple(sorted(near, key=lambda index: -near[index])))


def _weigh_line(index: int, lines: Mapping[int, set[int]], weights: Sequence[float]) -> float:
    """The weight of the words on a line and near it; of neighbours the one with more words counts more."""
    around = set[int]().union(*(lines.get(index + step, ()) for step in range(-NEAR_LINES, NEAR_LINES + 1)))
    return _weigh(around, weights) + LINE_WEIGHT * _weigh(lines[index], weights)


def _weigh(words: Iterable[int], weights: Sequence[float]) -> float:
    return sum(weights[word] for word in words)


def weigh_words(counts: Sequence[int], total: int) -> list[float]:
    """The weight of each word, from the number of passages that contain it: rare words say more."""
    return [math.log(1 + total / (1 + count)) for count in counts]
