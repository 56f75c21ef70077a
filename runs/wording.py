"""How a run is spoken of: scores, medals, times, who played and under which protection, the same words everywhere."""

from __future__ import annotations

from runs.events import RunCreated, ThresholdsKnown
from runs.state import Evaluation, State

UNPROTECTED = "labels unprotected"
DEMO = "demo model, not an LLM"


def score_text(score: float | None, noise: float | None, is_protected: bool) -> str:
    """A score with one standard error, marked where labels were not protected; `no score` without one."""
    if score is None:
        return "no score"
    text = f"{score:.6g}" + (f" ± {noise:.2g}" if noise is not None else "")
    return text if is_protected else f"{text} ({UNPROTECTED})"


def evaluation_text(evaluation: Evaluation, state: State) -> str:
    """What came of an evaluation in a few words."""
    if evaluation.status == "scored":
        return score_text(evaluation.score, evaluation.noise, is_protected(state))
    return evaluation.status or "not finished"


def is_protected(state: State) -> bool:
    """Whether no label of a held-out row could be reached in this run."""
    return state.created is not None and state.created.protects_labels


def medal_text(score: float | None, thresholds: ThresholdsKnown | None, lower_is_better: bool) -> str:
    """The medal a held-out score would bring, in words; empty where there is no score or no thresholds."""
    if score is None or thresholds is None:
        return ""
    lines = (("gold", thresholds.gold), ("silver", thresholds.silver), ("bronze", thresholds.bronze))
    for word, line in (*lines, ("above median", thresholds.median)):
        if line is not None and (score <= line if lower_is_better else score >= line):
            return word
    return "no medal"


def model_text(created: RunCreated) -> str:
    """Who played."""
    return f"{created.model} ({DEMO})" if created.is_demo else created.model


def sandbox_text(created: RunCreated) -> str:
    """Where commands ran."""
    return created.sandbox if created.protects_labels else f"{created.sandbox} ({UNPROTECTED})"


def duration_text(seconds: float) -> str:
    """Seconds as people read them: `8 s`, `3 min 20 s`, `5 h 02 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def cost_text(cost: float, is_estimated: bool = False) -> str:
    """Dollars; marked where tokens were estimated."""
    return f"${cost:.2f}" + (" (estimated)" if is_estimated else "")


def status_text(state: State) -> str:
    """How the run stands, as far as its journal knows: `ended: …`, `paused: …`, or `open`."""
    if state.ended:
        return f"ended: {state.ended}"
    return f"paused: {state.paused}" if state.paused else "open"


def one_line(text: str, width: int = 0) -> str:
    """A text on one line, cut to `width` characters if one is given."""
    flat = " ".join(text.split())
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"
