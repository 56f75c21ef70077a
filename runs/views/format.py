"""How a run is spoken of: scores, medals, money, time, who played and under which protection; said once."""

from __future__ import annotations

import math

from runs.events.registry import RunCreated, ThresholdsKnown
from runs.state import Evaluation, State

LABELS_UNPROTECTED = "labels unprotected"
"""Shown beside every score of a run whose sandbox does not keep the agent from the answers."""

DEMO_MODEL = "demo model, not an LLM"
"""What the built-in scripted model is called wherever it shows."""

ESTIMATE = "estimate from held-out rows"
"""What stands beside a medal that no private answer has confirmed."""


def score_text(score: float | None, noise: float | None = None) -> str:
    """A score with one standard error: `0.9642 ± 0.0051`; `-` where there is none."""
    if score is None:
        return "-"
    digits = 4 if noise is None or not 0 < noise < math.inf else max(0, min(8, 1 - math.floor(math.log10(noise))))
    shown = f"{score:.{digits}f}" if digits < 6 or abs(score) >= 1e-4 else f"{score:.6g}"
    return shown if noise is None else f"{shown} ± {noise:.{digits}f}"


def marked_score(score: float | None, noise: float | None, state: State) -> str:
    """A score with its noise, and the mark that belongs beside it where labels were not protected."""
    text = score_text(score, noise)
    return text if score is None or is_protected(state) else f"{text} ({LABELS_UNPROTECTED})"


def evaluation_text(evaluation: Evaluation, state: State) -> str:
    """What came of an evaluation in a few words."""
    if evaluation.score is not None:
        return marked_score(evaluation.score, evaluation.noise, state)
    if evaluation.status == "unscored":
        return "valid, not scored (the task has no labels to hold out)"
    return evaluation.status or "not finished"


def is_protected(state: State) -> bool:
    """Whether no label of a held-out row could be reached in this run."""
    return state.created is not None and state.created.protects_labels


def medal_text(score: float | None, thresholds: ThresholdsKnown | None, lower_is_better: bool) -> str:
    """The medal a score would bring: gold, silver, bronze, `no medal`; empty where nobody knows the lines."""
    if score is None or thresholds is None:
        return ""
    lines = {"gold": thresholds.gold, "silver": thresholds.silver, "bronze": thresholds.bronze}
    known = {word: line for word, line in lines.items() if line is not None}
    reached = (word for word, line in known.items() if (score <= line if lower_is_better else score >= line))
    return next(reached, "no medal") if known else ""


def model_text(created: RunCreated) -> str:
    """Who played."""
    return f"{created.model} ({DEMO_MODEL})" if created.is_demo else created.model


def sandbox_text(created: RunCreated) -> str:
    """Where commands ran."""
    return created.sandbox if created.protects_labels else f"{created.sandbox} ({LABELS_UNPROTECTED})"


def duration_text(seconds: float) -> str:
    """A stretch of time: `23 h 04 min`, `4 min 10 s`, `9 s`; never negative."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def money_text(dollars: float, is_estimated: bool = False) -> str:
    """Dollars: `$0.0312`, `$12.40`, with `~` where tokens had to be estimated."""
    return f"{'~' if is_estimated else ''}${dollars:.{2 if dollars >= 1 or dollars == 0 else 4}f}"


def status_text(state: State) -> str:
    """How the run stands, as far as its journal knows: `ended: …`, `paused: …`, or `open`."""
    if state.ended:
        return f"ended: {state.ended}"
    return f"paused: {one_line(state.paused)}" if state.paused else "open"


def one_line(text: str, width: int = 0) -> str:
    """A text on one line, cut to `width` characters if one is given."""
    flat = " ".join(text.split())
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"
