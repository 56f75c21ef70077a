"""The linter: refuses words that may not become a lesson which other tasks, or other people, will read.

A lesson is wider than the task it comes from, so it must not name the task's competition, files, columns or rows, nor
contain constants that were copied from its data. And it is shown to a model, so it must contain no addresses, paths,
commands or tags.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from context.ledger.proposals import LONGEST

FAMILIAR_NUMBERS = {"100", "128", "224", "256", "384", "512", "1000", "1024", "10000"}
"""Numbers of more than two digits that say nothing about a data set."""
_PROBLEMS = (
    ("an address", re.compile(r"https?://|www\.|\b[\w.+-]+@[\w-]+\.\w+|\b\d{1,3}(?:\.\d{1,3}){3}\b", re.I)),
    ("a tag", re.compile(r"<[^>\s][^>]*>|<\||\|>|\[/?INST\]|```")),
    ("a path", re.compile(r"(?<![\w/])~?/(?:[\w.-]+/)*[\w.-]+|\b[A-Za-z]:\\|\.\./|\b[\w-]+/[\w-]+/[\w./-]+")),
    (
        "a file name",
        re.compile(
            r"\b[\w-]+\.(?:csv|tsv|json|jsonl|parquet|txt|py|ipynb|zip|pkl|npy|npz|png|jpe?g|tiff?|wav|mp3|h5)\b", re.I
        ),
    ),
    (
        "a command",
        re.compile(
            r"\$\(|&&|\|\||;\s*\w+ -|\b(?:sudo|curl|wget|chmod|rm -|pip install|apt(?:-get)? install|bash -c|sh -c|"
            r"python -c|eval\(|exec\(|os\.system|subprocess)",
            re.I,
        ),
    ),
    ("code", re.compile(r"`[^`]*[=(\[][^`]*`|__\w+__|\w+\[['\"]")),
    (
        "an instruction to the model",
        re.compile(
            r"\b(?:ignore|disregard|forget) (?:all |any |the |your )*"
            r"(?:previous|prior|above|earlier|other|instructions|rules)|\bsystem prompt\b|\bas an ai\b"
            r"|\byou (?:must|are now|have to)\b|\b(?:reveal|print|send|post) (?:the |your )"
            r"|\bassistant:|\buser:|\bsystem:",
            re.I,
        ),
    ),
)
_NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?(?![\w])", re.I)
_WORD = re.compile(r"\w[\w-]*\w|\w")
_MIXED = re.compile(r"(?=\w*\d)(?=\w*[A-Za-z])\w{8,}")
_HEX = re.compile(r"\b[0-9a-f]{8,}\b", re.I)
_SNAKE = re.compile(r"\b[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+\b")


def problem_of(text: str, forbidden: Collection[str] = ()) -> str:
    """Why a text may not become a lesson for other tasks, or empty.

    `forbidden`: words and phrases of the task, in lower case.
    """
    return unsafe_in(text) or ("it names the task or its data" if names_data(text, forbidden) else "")


def unsafe_in(text: str) -> str:
    """Why a text may not become a lesson at all, not even for its own task; empty if it may."""
    if not text.strip():
        return "it is empty"
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if len(text.splitlines()) > 1 or not text.isprintable():
        return "it is not one line of printable text"
    for name, pattern in _PROBLEMS:
        if pattern.search(text):
            return f"it contains {name}"
    if _MIXED.search(text) or _HEX.search(text):
        return "it contains what looks like an id"
    return _copies_constants(text)


def names_data(text: str, forbidden: Collection[str]) -> bool:
    """Whether a text names the task or its data: words with underscores are taken for columns."""
    return names_any(text, forbidden) or bool(_SNAKE.search(text))


def markup_in(text: str) -> str:
    """An address or a tag, such as those of a chat template, that a text contains; empty if it contains neither."""
    return next((name for name, pattern in _PROBLEMS[:2] if pattern.search(text)), "")


def names_any(text: str, terms: Collection[str]) -> bool:
    """Whether a text contains one of these words or phrases, which are in lower case."""
    lowered = text.lower()
    words = {word.lower() for word in _WORD.findall(text)}
    parts = words | {part for word in words for part in re.split(r"[_-]", word)}
    return any(
        term in parts if term.isalnum() else re.search(rf"(?<!\w){re.escape(term)}(?!\w)", lowered) for term in terms
    )


def is_significant(number: str) -> bool:
    """Whether a number has more digits than a rule of thumb needs."""
    digits = re.sub(r"e[+-]?\d+$", "", number.lower()).lstrip("+-").replace(",", "")
    if digits in FAMILIAR_NUMBERS:
        return False
    return len(digits.replace(".", "").strip("0")) > 2


def _copies_constants(text: str) -> str:
    if any(is_significant(match[0]) for match in _NUMBER.finditer(text)):
        return "it contains a number that looks copied from data"
    return ""
