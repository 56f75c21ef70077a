"""One line of advice at the head of an attempt, computed from the record: plateau, untried kinds, time left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runs.branches import count_quiet
from runs.state import Attempt, State

QUIET, PLATEAU = 3, 6
"""Attempts without a new best from which on the line says so, and from which on the prompt of the move does."""
CHOOSING = ("draft", "improve")
"""Moves that leave the idea to the model."""
FEW = 12
"""With fewer evaluations than this left, the line says how many fit."""
KINDS = {
    "linear model": r"logistic|ridge|lasso|linear|elastic",
    "kernel method": r"\bsv[cmr]s?\b|linearsv|support.vector|kernel (?:ridge|method)|gaussian.process",
    "forest": r"forest|extra.?trees|bagging",
    "gradient boosting": r"boost|lightgbm|lgbm|catboost|xgb|\bgbm\b",
    "neural network": r"neural|\bmlp|torch|keras|\bcnn|transformer|bert|efficientnet|resnet|perceptron",
    "nearest neighbours": r"neighbou?r|\bknn",
    "blend or stack": r"blend|stack|ensembl|averag",
}
"""Kinds of solutions, by the words with which reports and commands name them."""
_KINDS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in KINDS.items()}


def render_advice(state: State, seconds_left: float, evaluation_seconds: float, move: str = "improve") -> str:
    """The line; empty in the first attempt, which has nothing to go by.

    A move that says what to do with given solutions (`repair`, `combine`, `ensemble`) gets no other ideas.
    """
    return "; ".join(_parts(state, seconds_left, evaluation_seconds, move))


def kinds_of(text: str) -> list[str]:
    """The kinds of solutions that a text names."""
    return [kind for kind, pattern in _KINDS.items() if pattern.search(text)]


def _parts(state: State, seconds_left: float, evaluation_seconds: float, move: str) -> Iterator[str]:
    ended = state.ended_attempts
    if not ended:
        return
    if move in CHOOSING:
        yield from _ideas(state, ended)
    fits = int(max(0.0, seconds_left) / evaluation_seconds) if evaluation_seconds > 0 and seconds_left < 1e9 else FEW
    if fits < FEW:
        yield f"about {fits} more evaluations as long as the best one's fit into the time"


def _ideas(state: State, ended: Sequence[Attempt]) -> Iterator[str]:
    quiet = count_quiet(state)
    if QUIET <= quiet < PLATEAU:
        yield f"no new best in the last {quiet} attempts: try another kind of solution or other features, not settings"
    tried = kinds_of("\n".join([attempt.did for attempt in ended] + [e.command for e in state.evaluations.values()]))
    untried = [kind for kind in KINDS if kind not in tried]
    if tried and untried:
        yield f"kinds that the reports name: {', '.join(tried)}; not yet: {', '.join(untried)}"
