"""The panel of a run: time, best score, spend, a row for each lane, the last evaluations. It fits 80 x 24."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.ui.chart import chart
from harness.ui.event_lines import marks
from harness.ui.format import standing
from harness.ui.lane_status import final_selection_text, lane_text
from runs.views.control import steered_text
from runs.views.format import duration_text, gain_text, money_text, one_line, printable, score_text

if TYPE_CHECKING:
    from rich.panel import Panel

    from runs.events.registry import RunCreated
    from runs.state import Evaluation, State

LAST = 3
"""Evaluations that are listed."""
MOST_LANES, MOST_TAIL = 6, 4
SCROLLED = 3
"""Lines of the terminal that are left for the events above the panel."""
CHART_WIDTH = 40
PACE_SECONDS = 60.0
"""Before so much time, dollars an hour mean nothing."""


@dataclass(frozen=True)
class PanelContent:
    """What the panel shows: the state, seconds since its last event, what lanes said they wait for, and the end of the
    output of a running job."""

    state: State
    waited: float = 0.0
    details: Mapping[int, str] = field(default_factory=dict)
    tail: str = ""

    def render(self, width: int, height: int) -> Panel:
        """The panel for a terminal of this size."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        created = self.state.created
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows_of(self.state, self.waited):
            grid.add_row(name, Text(value))
        rows = [*_chart_rows(self.state, self.waited, width), *self._lanes(), *last_evaluations(self.state)]
        for name, value in rows:
            grid.add_row(name, Text(printable(value), no_wrap=True, overflow="ellipsis"))
        room = max(0, min(MOST_TAIL, height - 2 - SCROLLED - grid.row_count - 1))
        tail = [line for line in printable(self.tail[-8000:]).split("\n") if line.strip()][-room:] if room else []
        lines = (Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in tail)
        title = f" {created.task_id} · {' · '.join(marks(created))} " if created else " harness "
        return Panel(Group(grid, *lines), title=Text(title), title_align="left")

    def _lanes(self) -> list[tuple[str, str]]:
        """What each lane does, a row each."""
        state, rows = self.state, []
        numbers = [number for number, lane in sorted(state.lanes.items()) if lane.attempt]
        for number in numbers[:MOST_LANES]:
            attempt = state.lanes[number].attempt
            assert attempt is not None
            head = f"{attempt.number} {attempt.move}, turn {attempt.turns}: "
            detail = self.details.get(number, "")
            rows.append((f"lane {number + 1}", head + lane_text(state, number) + (f" ({detail})" if detail else "")))
        if len(numbers) > MOST_LANES:
            rows.append(("", f"and {len(numbers) - MOST_LANES} more lanes"))
        if not numbers and not state.ended and (text := final_selection_text(state) or self.details.get(0, "")):
            rows.append(("doing", text))
        return rows


def rows_of(state: State, waited: float = 0.0) -> list[tuple[str, str]]:
    """The first rows of the panel, name and value; `waited` are the seconds since the last event."""
    created = state.created
    if created is None:
        return []
    attempts = f"{len(state.attempts)}" + (f" of {created.settings.attempts}" if created.settings.attempts else "")
    turns = f"{state.turns}{f' of {created.settings.turns}' if created.settings.turns else ''}"
    active = state.active_seconds + (0.0 if state.control.is_paused or state.paused or state.ended else waited)
    notes = [f"paused: {state.paused}"] if state.paused else ["paused"] if state.control.is_paused else []
    notes += ["ending, since a person stopped it"] if state.control.is_stopping and not state.ended else []
    notes += [steered_text(state)] if state.control.steered else []
    return [
        ("time", _time_text(created, active)),
        ("best", standing(state)),
        ("spend", _spend_text(state, created, active)),
        ("run", f"attempt {attempts}, turn {turns} of {created.run_id}" + (f" ({'; '.join(notes)})" if notes else "")),
    ]


def last_evaluations(state: State) -> list[tuple[str, str]]:
    """The last evaluations with score, gain and verdict, the newest first."""
    done = [e for e in state.evaluations.values() if e.finished]
    done = sorted(done, key=lambda e: e.ended_active)[-LAST:]
    return [("last" if place == 0 else "", _evaluation_line(e)) for place, e in enumerate(reversed(done))]


def _evaluation_line(evaluation: Evaluation) -> str:
    result = evaluation.result
    if evaluation.score is None:
        reason = f": {one_line(result.message)}" if result.message else ""
        return f"{evaluation.id}  {evaluation.status}{reason}"
    parts = [f"{evaluation.id}  {score_text(evaluation.score, evaluation.noise)}"]
    if result.gain is not None:
        parts.append(f"gain {gain_text(result.gain, result.gain_noise)}")
    parts += [result.verdict] if result.verdict else []
    parts += ["new best"] if evaluation.became_best and result.verdict != "first" else []
    parts += [f"not trusted: {one_line(result.distrust_reason)}"] if result.distrust_reason else []
    return "  ".join(parts)


def _chart_rows(state: State, waited: float, width: int) -> list[tuple[str, str]]:
    """The best score over time with the medal lines."""
    points = [(e.ended_active, e.score) for e in state.evaluations.values() if e.became_best and e.score is not None]
    thresholds = state.thresholds
    known = {name: getattr(thresholds, name) for name in ("gold", "silver", "bronze")} if thresholds else {}
    lines = {name: value for name, value in known.items() if value is not None}
    end = max(1.0, state.active_seconds + waited)
    columns = min(CHART_WIDTH, width - 40)
    rows = chart(sorted(points), end, lines, state.lower_is_better, columns)
    return [("score" if place == 0 else "", row) for place, row in enumerate(rows)]


def _spend_text(state: State, created: RunCreated, active_seconds: float) -> str:
    spend = money_text(state.cost, state.is_cost_estimated, state.is_cost_known)
    spend += f" of {money_text(created.settings.cost)}" if created.settings.cost else ""
    if state.cost and active_seconds >= PACE_SECONDS:
        spend += f" ({money_text(state.cost / active_seconds * 3600)} an hour)"
    return f"{spend}, {state.prompt_tokens + state.completion_tokens:,} tokens"


def _time_text(created: RunCreated, active_seconds: float) -> str:
    used = f"{duration_text(active_seconds)} so far"
    if created.settings.hours is None:
        return used
    left = max(0.0, created.settings.hours * 3600 - active_seconds)
    until = time.strftime("%H:%M", time.localtime(time.time() + left))
    return f"{duration_text(left)} left, until {until}; {used}"
