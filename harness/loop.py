"""The loop: a run is attempts until a budget is spent; then the final selection chooses the submission of record."""

from __future__ import annotations

from collections.abc import Callable

from harness import budget, lanes
from harness.evaluation import final_selection, submission
from harness.request import warn_of_no_calls
from harness.run import Run


def play(run: Run, learn: Callable[[], None]) -> None:
    """Play a run until a budget is spent, then finish it. A resumed run continues where its journal ends.

    `learn` records what the run showed, for later runs.
    """
    lanes.play(run)
    # The last evaluation may change the plan, and so give back time that was kept for the final selection.
    while (why := _why_select(run)) is None:
        lanes.play(run)
    final_selection.select(run)
    learn()
    warn_of_no_calls(run)
    submission.finish(run, why)


def _why_select(run: Run) -> budget.Why | None:
    """Which budget allows no further attempt, so that the final selection begins; from then on nothing extends it."""
    with run.lock:
        why = budget.no_attempt_reason(run.state, run.active_seconds())
        run.is_selecting = why is not None
        return why
