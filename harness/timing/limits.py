"""How long one evaluation may take."""

from __future__ import annotations

from harness.run import Run
from runs.run_settings import RunSettings

SLOWDOWN = 5.0
"""How many times longer than the longest successful evaluation one may take by default."""


def evaluation_limit(run: Run, asked: float = 0.0) -> float:
    """Seconds an evaluation may take: a command that hangs must not take the whole run.

    By default `evaluation_seconds`, or SLOWDOWN times the longest one that succeeded; `asked` replaces that, up to
    `longest_evaluation`.
    """
    settings = run.settings
    succeeded = (e.result.seconds for e in run.state.evaluations.values() if e.status in ("scored", "unscored"))
    default = max(settings.evaluation_seconds, SLOWDOWN * max(succeeded, default=0.0))
    return min(longest_evaluation(settings), asked or default)


def longest_evaluation(settings: RunSettings) -> float:
    """Seconds that `minutes` may ask for: `evaluation_share` of the run."""
    return max(settings.evaluation_seconds, settings.evaluation_share * 3600 * (settings.hours or 24.0))
