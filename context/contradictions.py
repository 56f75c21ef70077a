"""Marks numbers in the model's words that contradict the record of the run.

Only claims about held-out scores are checked: a number after an evaluation's id, or after a word like *scored*. Numbers
that the model says are its own (cross-validation, training) have no record to be compared with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from runs.state import Attempt, Evaluation, State
from runs.views import verdict

_NUMBER = r"(?P<number>[-+]?(?:\d+\.\d+|\.\d+))(?![\d.]|\s*%)"
_OF_EVALUATION = re.compile(rf"\b(?P<id>\d{{3}}-\d+)\b[^.;\n\d]{{0,40}}?{_NUMBER}")
_OF_SCORE = re.compile(
    rf"\b(?:scored|scores|held-out score|score (?:of|is|was)|score[:=])\s*(?:of|at|about|around)?\s*{_NUMBER}", re.I
)
_OWN = re.compile(
    r"\b(?:cv|cross|oof|out.of.fold|local|train\w*|valid\w*|val|own|fold|expect\w*|hope\w*|target)\b", re.I
)
_BEFORE = 30
"""Characters before a claim in which a word may say that the number is the model's own."""
_ANY_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:e[-+]?\d+)?", re.I)


def mark_contradictions(state: State, attempt: Attempt, words: str) -> str:
    """The words of an attempt, with what the record says after each number that contradicts it.

    The record is that of the attempt's end, so a later result changes no words that were shown before.
    """
    claims = list(_OF_EVALUATION.finditer(words))
    named = {match.end("number") for match in claims}
    marks: dict[int, str] = {}
    for match in claims:
        evaluation = state.evaluations.get(match["id"])
        told = _numbers(evaluation, attempt) if evaluation else []
        if evaluation and told and not _is_own(words, match.start("number")) and not _fits(match["number"], told):
            marks[match.end("number")] = f"[record: {verdict.outcome_shown(evaluation)}]"
    mine = state.evaluations_in(attempt.number)
    compared = [state.evaluations[name] for one in mine if (name := _against(one)) in state.evaluations]
    known = [number for one in (*mine, *compared) for number in _numbers(one, attempt)]
    for match in _OF_SCORE.finditer(words) if known else ():
        at, is_own = match.end("number"), _is_own(words, match.start())
        if at not in named and not is_own and not _fits(match["number"], known):
            marks[at] = "[record: no evaluation of this attempt has this score]"
    for at in sorted(marks, reverse=True):
        words = f"{words[:at]} {marks[at]}{words[at:]}"
    return words


def _numbers(evaluation: Evaluation, attempt: Attempt) -> list[float]:
    """The numbers that an attempt was told of an evaluation: score, gain, and what its solution printed."""
    result = evaluation.finished
    if result is None or (attempt.closing and attempt.closing.seq < result.seq):
        return []
    texts = [verdict.score_shown(evaluation), result.shown_gain]
    found = [float(text) for text in _ANY_NUMBER.findall(" ".join(texts).replace("±", " "))]
    return found + ([result.claimed] if found and result.claimed is not None else [])


def _against(evaluation: Evaluation) -> str:
    return evaluation.finished.against if evaluation.finished else ""


def _is_own(words: str, at: int) -> bool:
    return bool(_OWN.search(words[max(0, at - _BEFORE) : at]))


def _fits(claim: str, numbers: Iterable[float]) -> bool:
    """Whether a claim equals one of the numbers at the claim's own precision."""
    half = 0.5 * 10.0 ** -len(claim.partition(".")[2])
    return any(abs(abs(float(claim)) - abs(number)) <= half * 1.001 for number in numbers)
