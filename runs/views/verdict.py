"""What the model may read of a scored evaluation wherever it is named: its score, its gain, its verdict.

Every number is a text of the journal, rounded once when the verdict was reached; none is computed from another text.
"""

from __future__ import annotations

from runs.state_types import Evaluation


def score_shown(evaluation: Evaluation) -> str:
    """The score as the model may see it; empty for an *unclear* one, whose score is within noise of another's."""
    return "" if not evaluation.finished or evaluation.finished.verdict == "unclear" else evaluation.shown_score


def gain_shown(evaluation: Evaluation) -> str:
    """The paired gain, such as `gain over 003-1: +0.0033 ± 0.0013 (paired, 5 folds): real`; empty if none is shown."""
    finished = evaluation.finished
    if finished is None or not finished.shown_gain:
        return ""
    folds = f"{finished.gain_folds} folds" if finished.gain_folds > 1 else "1 fold"
    return f"gain over {finished.against}: {finished.shown_gain} (paired, {folds}): {finished.verdict}"


def comparison_shown(evaluation: Evaluation) -> str:
    """The verdict in a few words, with the gain where it is shown; empty if there is no verdict."""
    finished = evaluation.finished
    if finished is None or not finished.verdict or (finished.distrust_reason and not is_number(finished.shown_score)):
        return ""
    if finished.verdict == "first":
        return "first score"
    return gain_shown(evaluation) or f"{finished.verdict} against {finished.against}"


def outcome_shown(evaluation: Evaluation) -> str:
    """The status with the score or the verdict: `scored 0.95 ± 0.01`, `scored, unclear against 003-1`, `failed`."""
    status, score = evaluation.status or "open", score_shown(evaluation)
    if status == "sampled":
        status = f"sampled ({evaluation.started.sample:.0%} of the training rows)"
    if score:
        return f"{status} {score}" if is_number(score) else f"{status}, score {score}"
    comparison = comparison_shown(evaluation)
    return f"{status}, {comparison}" if comparison else status


def is_number(shown_score: str) -> bool:
    """Whether a shown score is a number, and not words such as `below the best`."""
    return shown_score[:1] in tuple("-0123456789")


def distrust_shown(evaluation: Evaluation) -> str:
    """Why an evaluation is not trusted, for a list; empty if it is trusted."""
    reason = evaluation.finished.distrust_reason if evaluation.finished else ""
    return f"not trusted: {reason}" if reason else ""
