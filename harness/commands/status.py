"""`harness status`: the runs that are being played at this moment, a line each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from harness import budget, errors
from harness.commands.show import run_folders
from harness.settings import Settings
from harness.ui.table import table
from runs.journal import JournalError, is_driven, read_events
from runs.state import State, fold
from runs.views.final_choice import result_evaluation
from runs.views.format import duration_text, evaluation_text, model_text, money_text

HEADER = ("run", "model", "attempts", "best so far", "active", "left", "spend", "last event")


def show_status(settings: Settings) -> int:
    """Print a line for each run that a process is playing."""
    rows = [_row(folder) for folder in run_folders(settings) if is_driven(folder)]
    if rows:
        print(table([HEADER, *rows]))
    else:
        print("No run is being played. `harness runs` lists all runs.")
    return errors.DONE


def _row(folder: Path) -> tuple[str, ...]:
    try:
        state = fold(read_events(folder))
    except (JournalError, OSError) as error:
        return (folder.name, "", "", f"cannot be read: {error}", "", "", "", "")
    created = state.created
    if created is None:
        return (folder.name, "", "", "starting", "", "", "", "")
    best = result_evaluation(state)
    limit = created.settings.attempts
    return (
        folder.name,
        model_text(created),
        f"{len(state.attempts)}{f' of {limit}' if limit else ''}",
        evaluation_text(best, state) if best else "none yet",
        duration_text(state.active_seconds),
        _time_left(state) + (" (paused)" if state.control.is_paused else ""),
        money_text(state.cost, state.is_cost_estimated, state.is_cost_known),
        f"{duration_text(_seconds_since(state.last_at))} ago",
    )


def _time_left(state: State) -> str:
    assert state.created is not None
    if state.created.settings.hours is None:
        return "no limit"
    return duration_text(budget.final_seconds_left(state.created.settings, state.active_seconds))


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
