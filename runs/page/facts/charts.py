"""The numbers of the charts: the score over time, the strip of hours, tokens, cache and dollars."""

from __future__ import annotations

from typing import Any

from runs.page.facts.run_view import RunView
from runs.state import Evaluation, State
from runs.usage.lane_time import NAMES, PARTS, LaneTimes, bins
from runs.views.format import score_text

STRIP_BINS = 180
USAGE_POINTS = 240
STRIP_WIDTH, STRIP_HEIGHT = 100.0, 46.0
"""Per cent of the page's width, and pixels."""


def chart_data(view: RunView) -> dict[str, Any]:
    """What the browser draws: evaluations, medal lines, and usage over time. Times are hours since the run began."""
    return {
        "end": round(view.times.position / 3600, 4),
        "lower": view.state.lower_is_better,
        "medals": medal_lines(view.state),
        "evaluations": [_point(one, view) for one in view.state.evaluations.values() if one.score is not None],
        "usage": _usage(view),
        "money": _money_sign(view.state),
    }


def _money_sign(state: State) -> str:
    """What stands before a sum of dollars; empty if none may be shown, because prices are unknown."""
    if not state.is_cost_known and not state.cost:
        return ""
    return "~$" if state.is_cost_estimated else "$"


def medal_lines(state: State) -> list[tuple[str, float]]:
    """The known medal lines, the best first."""
    lines = state.thresholds
    known = (
        (("gold", lines.gold), ("silver", lines.silver), ("bronze", lines.bronze), ("median", lines.median))
        if lines
        else ()
    )
    return [(name, value) for name, value in known if value is not None]


def _point(evaluation: Evaluation, view: RunView) -> list[Any]:
    """Hours, score, noise, verdict, name, attempt, whether it became the best, and then the score in words."""
    finished = evaluation.result
    verdict = "distrusted" if finished.distrust_reason else finished.verdict or "unclear"
    hours = round(view.positions.get(evaluation.id, 0.0) / 3600, 4)
    noise = finished.noise if finished.noise is not None and finished.noise < 1e300 else None
    text = score_text(evaluation.score, noise) if evaluation.became_best else ""
    return [hours, evaluation.score, noise, verdict, evaluation.id, evaluation.attempt, evaluation.became_best, text]


def _usage(view: RunView) -> dict[str, list[float | None]]:
    """Cumulative dollars, the window's tokens and the cached share, over time, in at most `USAGE_POINTS` points."""
    turns = [row for row in view.rows if row.turn]
    step = max(1, -(-len(turns) // USAGE_POINTS))
    usage: dict[str, list[float | None]] = {"hours": [], "cost": [], "prompt": [], "cached": []}
    total = 0.0
    for start in range(0, len(turns), step):
        group = turns[start : start + step]
        total += sum(row.cost for row in group)
        prompt = sum(row.prompt for row in group)
        usage["hours"].append(round(group[-1].hours, 4))
        usage["cost"].append(round(total, 4))
        usage["prompt"].append(round(prompt / len(group)))
        usage["cached"].append(round(sum(row.cached for row in group) / prompt, 4) if prompt else None)
    return usage


def hours_strip(times: LaneTimes) -> dict[str, Any]:
    """The strip of hours: per lane stacked columns, each a stretch of time divided by what it was spent on."""
    end = times.position
    width = STRIP_WIDTH / STRIP_BINS
    lanes = [
        {"lane": lane, "rects": _rects(bins(times.segments(lane), end, STRIP_BINS), end / STRIP_BINS, width)}
        for lane in sorted(times.lanes)
    ]
    return {
        "lanes": lanes,
        "ticks": _ticks(end / 3600),
        "legend": [(part, NAMES[part]) for part in PARTS],
    }


def _rects(
    binned: list[dict[Any, float]], seconds: float, width: float
) -> list[tuple[str, float, float, float, float]]:
    """Rectangles (part, x, y, width, height); stretches with one part only are joined."""
    rects: list[tuple[str, float, float, float, float]] = []
    for place, shares in enumerate(binned):
        y = STRIP_HEIGHT
        for part in PARTS:
            height = STRIP_HEIGHT * shares.get(part, 0.0) / seconds if seconds else 0.0
            if height < 0.2:
                continue
            y -= height
            last = rects[-1] if rects else None
            if last and last[0] == part and last[4] == round(height, 2) == STRIP_HEIGHT:
                rects[-1] = (part, last[1], 0.0, round(last[3] + width, 4), STRIP_HEIGHT)
            else:
                rects.append((part, round(place * width, 4), round(max(0.0, y), 2), round(width, 4), round(height, 2)))
    return rects


def _ticks(hours: float) -> list[tuple[float, str]]:
    """Positions and labels of the time axis, in hours or minutes."""
    if hours <= 0:
        return []
    unit, name = (1.0, "h") if hours >= 1.5 else (1 / 60, "min") if hours >= 1 / 30 else (1 / 3600, "s")
    count = hours / unit
    step = next((each for each in (1, 2, 3, 5, 6, 10, 15, 30) if count / each <= 9), 60)
    return [(round(STRIP_WIDTH * place / count, 3), f"{place} {name}") for place in range(0, int(count) + 1, step)]
