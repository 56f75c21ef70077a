"""Two runs side by side: their best scores over time, figures, and the settings that differ."""

from __future__ import annotations

from typing import Any

from runs.page.facts.run_view import RunView
from runs.usage.lane_time import NAMES
from runs.views.final_choice import result_evaluation
from runs.views.format import (
    duration_text,
    evaluation_medal,
    model_text,
    money_text,
    sandbox_text,
    score_text,
    status_text,
)


def compare(left: RunView, right: RunView) -> dict[str, Any]:
    """The facts of the page that compares two runs."""
    rows = [
        (name, value, other)
        for (name, value), (_, other) in zip(_figures(left).items(), _figures(right).items(), strict=True)
    ]
    return {
        "runs": (left.folder.name, right.folder.name),
        "rows": rows,
        "settings": _differences(left, right),
        "data": [_best_line(left), _best_line(right)],
    }


def _figures(view: RunView) -> dict[str, str]:
    with view.lock:
        state, created = view.state, view.state.created
        result = result_evaluation(state)
        losses = ", ".join(f"{NAMES[part]} {duration_text(seconds)}" for part, seconds in view.times.largest_losses())
        hit = state.cached_tokens / state.prompt_tokens if state.prompt_tokens else 0.0
        return {
            "task": created.task_id if created else "",
            "model": model_text(created) if created else "",
            "sandbox": sandbox_text(created) if created else "",
            "status": status_text(state),
            "score": score_text(result.score, result.noise) if result else "none",
            "medal (estimate)": evaluation_medal(result, state) if result else "",
            "attempts": str(len(state.attempts)),
            "evaluations": str(len(state.evaluations)),
            "turns": f"{state.turns:,}",
            "time": duration_text(view.times.position),
            "cost": money_text(state.cost, state.is_cost_estimated, state.is_cost_known),
            "cache hit": f"{hit:.0%}",
            "largest losses": losses,
        }


def _differences(left: RunView, right: RunView) -> list[tuple[str, str, str]]:
    settings = [view.state.created.settings.model_dump() if view.state.created else {} for view in (left, right)]
    names = sorted(settings[0].keys() | settings[1].keys())
    return [
        (name, _value_text(settings[0].get(name)), _value_text(settings[1].get(name)))
        for name in names
        if settings[0].get(name) != settings[1].get(name)
    ]


def _value_text(value: object) -> str:
    """A setting as a person writes it: hours of a fork are computed, and have many digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _best_line(view: RunView) -> list[tuple[float, float]]:
    with view.lock:
        points = [
            (round(view.positions[one.id] / 3600, 4), one.score)
            for one in view.state.evaluations.values()
            if one.became_best and one.score is not None and one.id in view.positions
        ]
        end = round(view.times.position / 3600, 4)
    return [*points, (end, points[-1][1])] if points and points[-1][0] < end else points
