"""The loop: a run is attempts until a budget is spent; then the final selection chooses the submission of record."""

from __future__ import annotations

from harness import attempt, budget
from harness.evaluation import final_selection, submission
from harness.run import Run


def play(run: Run) -> None:
    """Play a run until a budget is spent, then finish it. A resumed run continues where its journal ends."""
    (lane,) = run.lanes
    while not (why := budget.run_over(run.state, run.active_seconds())):
        attempt.play(lane)
    if lane.state.attempt:
        attempt.end(lane, "unusable_replies" if why == "unusable_replies" else "budget")
    final_selection.select(run)
    submission.finish(run, why)
