"""Text for the terminal beyond `runs/views/format.py`: where a run stands."""

from __future__ import annotations

from runs.state import Evaluation, State
from runs.views.final_choice import result_evaluation
from runs.views.format import ESTIMATE, evaluation_medal, evaluation_text


def standing(state: State) -> str:
    """The best score (of an ended run, that of its submission) with its estimated medal and its marks."""
    evaluation = result_evaluation(state)
    if evaluation is None:
        return "no score yet"
    if evaluation.score is None:
        return "a valid submission without a score: the task has no labels to hold out"
    return f"{evaluation_text(evaluation, state)}, {estimate(evaluation, state)}"


def estimate(evaluation: Evaluation, state: State) -> str:
    """The medal for a held-out score, marked as an estimate."""
    medal = evaluation_medal(evaluation, state)
    return f"{medal} ({ESTIMATE})" if medal else ESTIMATE
