"""How views write scores, medals, money, durations, model and sandbox, so that all of them use the same words."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy, and `harness sweep status` needs none of them
    from runs.events.registry import RunCreated, ThresholdsKnown
    from runs.state import Evaluation, State

LABELS_UNPROTECTED = "labels unprotected"
"""Stands next to every score of a run whose sandbox does not hide the held-out labels."""

DEMO_MODEL = "demo model, not an LLM"
"""What every view calls the built-in scripted model."""

ESTIMATE = "estimate from held-out rows"
"""Stands next to every medal that was not graded against the private answers."""


def score_text(score: float | None, noise: float | None = None) -> str:
    """A score with one standard error, such as `0.9642 ± 0.0051`; `-` if there is none."""
    if score is None:
        return "-"
    digits = 4 if noise is None or not 0 < noise < math.inf else max(0, min(8, 1 - math.floor(math.log10(noise))))
    shown = f"{score:.{digits}f}" if digits < 6 or abs(score) >= 1e-4 else f"{score:.6g}"
    return shown if noise is None else f"{shown} ± {noise:.{digits}f}"


def gain_text(gain: float, noise: float | None) -> str:
    """A paired gain with one standard error, such as `+0.0031 ± 0.0017`."""
    return f"{'-' if gain < 0 else '+'}{score_text(abs(gain), noise or None)}"


def marked_score(score: float | None, noise: float | None, state: State) -> str:
    """A score with its noise, marked if the labels were not protected."""
    text = score_text(score, noise)
    return text if score is None or is_protected(state) else f"{text} ({LABELS_UNPROTECTED})"


def evaluation_text(evaluation: Evaluation, state: State) -> str:
    """The score or status of an evaluation, and why it is not trusted, if so."""
    if evaluation.score is not None:
        reason = evaluation.result.distrust_reason
        mark = f", not trusted: {one_line(reason)}" if reason else ""
        return marked_score(evaluation.score, evaluation.noise, state) + mark
    if evaluation.status == "unscored":
        return "valid, not scored (the task has no labels to hold out)"
    return evaluation.status or "not finished"


def fold_text(name: str, state: State) -> str:
    """A fold as people read it: `fold 4 of 5`, `fresh fold 2`, `all labelled rows`."""
    if name == "refit":
        return "all labelled rows"
    fresh = re.fullmatch(r"fresh\d+-fold(\d+)", name)
    if fresh:
        return f"fresh fold {int(fresh[1]) + 1}"
    number = int(name.removeprefix("fold") or 0) + 1 if name.removeprefix("fold").isdigit() or not name else 0
    total = state.plan.folds if state.plan else 0
    return f"fold {number} of {total}" if number and total else f"fold {number}" if number else name


def is_protected(state: State) -> bool:
    """Whether the sandbox of this run hides the held-out labels."""
    return state.created is not None and state.created.protects_labels


def medal_text(
    score: float | None, thresholds: ThresholdsKnown | None, lower_is_better: bool, noise: float | None = None
) -> str:
    """The medal of a score: gold, silver, bronze or `no medal`; empty if score or thresholds are unknown.

    With one standard error of `noise`, every medal that the score may mean: `gold or silver`, `gold to no medal`.
    """
    lines = {"gold": thresholds.gold, "silver": thresholds.silver, "bronze": thresholds.bronze} if thresholds else {}
    known = [(word, line) for word, line in lines.items() if line is not None]
    if score is None or not known:
        return ""
    words = [word for word, _ in known] + ["no medal"]
    error = noise if noise is not None and 0 < noise < math.inf else 0.0
    best, worst = sorted(
        next((place for place, (_, line) in enumerate(known) if (one <= line if lower_is_better else one >= line)), -1)
        % len(words)
        for one in (score - error, score + error)
    )
    joint = " or " if worst - best == 1 else " to "
    return words[best] if best == worst else f"{words[best]}{joint}{words[worst]}"


def evaluation_medal(evaluation: Evaluation, state: State) -> str:
    """Every medal that the score of an evaluation may mean within its noise; empty if there is none to tell."""
    return medal_text(evaluation.score, state.thresholds, state.lower_is_better, evaluation.noise)


def model_text(created: RunCreated) -> str:
    """The model, marked if it is the demo model."""
    return f"{created.settings.model} ({DEMO_MODEL})" if created.is_demo else created.settings.model


def sandbox_text(created: RunCreated) -> str:
    """The sandbox, marked if it does not protect the labels."""
    return created.sandbox if created.protects_labels else f"{created.sandbox} ({LABELS_UNPROTECTED})"


def duration_text(seconds: float) -> str:
    """A duration: `23 h 04 min`, `4 min 10 s`, `9 s`; negative ones are 0."""
    rounded = max(0, round(seconds))
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def money_text(dollars: float, is_estimated: bool = False, is_known: bool = True) -> str:
    """Dollars: `$0.0312`, `$12.40`, with `~` if tokens were estimated; no sum of zero if prices are unknown."""
    if not is_known and not dollars:
        return "unknown cost"
    return f"{'~' if is_estimated else ''}${dollars:.{2 if dollars >= 1 or dollars == 0 else 4}f}"


def status_text(state: State) -> str:
    """The status of a run according to its journal: `ended: …`, `paused: …`, or `open`."""
    if state.ended:
        return f"ended: {state.ended}"
    return f"paused: {one_line(state.paused)}" if state.paused else "open"


_NOT_PLAIN = re.compile(r"[^\t\n -~]")
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\-_])", re.DOTALL)


def printable(text: str) -> str:
    """Text without control sequences and marks of direction: an agent's output must not change its owner's terminal.

    Of a line overwritten with carriage returns the last version stays; tabs and newlines stay.
    """
    if not _NOT_PLAIN.search(text):
        return text
    text = _SEQUENCE.sub("", text)
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "".join(c for c in "\n".join(lines) if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def printable_lines(text: str) -> str:
    """`printable` line by line: a sequence that one line leaves open hides nothing of the next."""
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: str, width: int = 0) -> str:
    """A text on one line, cut to `width` characters (0: not cut)."""
    flat = " ".join(text.split())
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"
