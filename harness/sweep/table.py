"""The live table of a sweep: rich text for a terminal, plain lines, a page, and JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.sweep.progress import Progress, progress_of
from harness.sweep.row_state import RowState
from harness.sweep.store import Store
from harness.sweep.types import Plan, levels_text
from harness.ui.table import table
from runs.views.format import (
    DEMO_MODEL,
    ESTIMATE,
    LABELS_UNPROTECTED,
    duration_text,
    money_text,
    one_line,
    printable,
    score_text,
)

if TYPE_CHECKING:
    from rich.console import Group

HEADER = ("task", "seed", "factors", "state", "tries", "score", "medal", "cost", "active", "worker", "")
ORDER = {"running": 0, "failed": 1, "waiting": 2, "done": 3}
STYLES = {"running": "bold green", "failed": "bold red", "waiting": "dim", "done": ""}
PAGE_SECONDS = 10


def cells(one: RowState) -> tuple[str, ...]:
    """The columns of a run."""
    facts, history = one.summary, one.history
    medal = one.medal or (f"{facts['medal_estimate']} (estimate)" if facts.get("medal_estimate") else "")
    return (
        one.row.task_id,
        str(one.row.seed),
        levels_text(one.row),
        history.state,
        str(history.tries or ""),
        score_text(facts["score"], facts.get("noise")) if facts.get("score") is not None else "",
        medal,
        money_text(one.cost, bool(facts.get("is_cost_estimated")), bool(facts.get("is_cost_known"))) if facts else "",
        duration_text(one.hours * 3600) if facts else "",
        history.worker,
        printable(one_line(history.reason, 120)),
    )


def headline(plan: Plan, rows: Sequence[RowState], store: Store, workers: int = 1) -> list[str]:
    """The sums as lines, with what belongs beside every result."""
    progress = progress_of(rows, workers)
    remarks = [DEMO_MODEL] if any(one.summary.get("is_demo") for one in rows) else []
    unprotected = any(one.summary and not one.summary.get("protects_labels") for one in rows)
    remarks = [", ".join([*remarks, *([LABELS_UNPROTECTED] if unprotected else [])])] if remarks or unprotected else []
    counts = ", ".join(f"{progress.counts[state]} {state}" for state in ("done", "running", "waiting", "failed"))
    stopping = " (stopping)" if store.is_stopped and progress.counts["running"] else ""
    lines = [f"sweep {plan.name}: {progress.total} runs, {counts}{stopping}", _medals(progress)]
    money = money_text(progress.dollars)
    unknown = f" (the cost of {progress.unpriced} runs is unknown)" if progress.unpriced else ""
    left = f"about {duration_text(progress.hours_left * 3600)} left" if progress.hours_left else "nothing left to play"
    if not progress.hours_left and progress.counts["waiting"] + progress.counts["running"]:
        left = "the runs that are left have taken longer than those that ended"
    lines.append(f"{money}{unknown}, {progress.hours:.1f} hours, {progress.gpu_hours:.1f} GPU hours; {left}")
    lines += remarks
    lines += [f"worker {name} cannot run: {why}" for name, why in store.unfit_workers().items()]
    return lines


def _medals(progress: Progress) -> str:
    rate = progress.medal_rate
    estimated = f"{progress.estimated} more by {ESTIMATE}" if progress.estimated else ""
    if rate is None:
        return f"medals: no run is graded yet{'; ' + estimated if estimated else ''}"
    noise = f" ± {rate[1]:.1f}" if progress.graded > 1 else ""
    shown = f"medals: {progress.medals} of {progress.graded} graded runs, {rate[0]:.1f}{noise} %"
    return f"{shown}{'; ' + estimated if estimated else ''}"


def chosen(rows: Sequence[RowState], most: int | None) -> tuple[list[RowState], int]:
    """The rows to show, those first that somebody should look at, and how many are left out."""
    order = sorted(rows, key=lambda one: ORDER[one.state]) if most is not None and len(rows) > most else list(rows)
    return order[:most], max(0, len(rows) - len(order[:most]))


def as_text(plan: Plan, rows: Sequence[RowState], store: Store, workers: int, most: int | None) -> str:
    """The sums and the table as plain text."""
    shown, hidden = chosen(rows, most)
    lines = headline(plan, rows, store, workers)
    lines += ["", table([HEADER, *map(cells, shown)], right=(1, 4))]
    if hidden:
        lines.append(f"and {hidden} more: --all shows them")
    return "\n".join(lines)


def as_rich(plan: Plan, rows: Sequence[RowState], store: Store, workers: int, most: int) -> Group:
    """The sums and the table for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown, hidden = chosen(rows, most)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(HEADER):
        grid.add_column(title, justify="right" if number in (1, 4) else "left", no_wrap=number != len(HEADER) - 1)
    for one in shown:
        grid.add_row(*(Text(cell, style=STYLES[one.state]) for cell in cells(one)))
    sums = Text("\n".join(headline(plan, rows, store, workers)))
    return Group(sums, grid, Text(f"and {hidden} more" if hidden else ""))


def as_page(plan: Plan, rows: Sequence[RowState], store: Store, workers: int) -> str:
    """The sums and the table as a page that loads nothing and reloads itself."""
    return "\n".join(_page(plan, rows, store, workers))


def _page(plan: Plan, rows: Sequence[RowState], store: Store, workers: int) -> Iterator[str]:
    style = (
        "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:2px 10px;text-align:left}"
        "tr.failed{color:#b00020}tr.running{color:#0a6b2d}tr.waiting{color:#777}"
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>sweep {html.escape(plan.name)}</title>'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield f'<meta http-equiv="refresh" content="{PAGE_SECONDS}"><style>{style}</style></head><body>'
    first, *others = headline(plan, rows, store, workers)
    yield f"<h1>{html.escape(first)}</h1>"
    yield from (f"<p>{html.escape(line)}</p>" for line in others)
    yield "<table><tr>" + "".join(f"<th>{title}</th>" for title in HEADER) + "</tr>"
    for one in rows:
        texts = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(one))
        yield f'<tr class="{one.state}">{texts}</tr>'
    yield "</table></body></html>"


def as_json(plan: Plan, rows: Sequence[RowState], store: Store, workers: int) -> str:
    """The sums and all rows as one JSON object."""
    progress = progress_of(rows, workers)
    rate = progress.medal_rate
    sums: dict[str, Any] = {
        "sweep": plan.name,
        "runs": progress.total,
        **{state: progress.counts[state] for state in ORDER},
        "graded": progress.graded,
        "medals": progress.medals,
        "medal_percent": rate[0] if rate else None,
        "medal_standard_error": rate[1] if rate else None,
        "cost": round(progress.dollars, 6),
        "hours": round(progress.hours, 4),
        "gpu_hours": round(progress.gpu_hours, 4),
        "hours_left": round(progress.hours_left, 4),
        "unfit_workers": store.unfit_workers(),
    }
    return json.dumps({**sums, "rows": [_row(one) for one in rows]}, indent=1)


def _row(one: RowState) -> dict[str, Any]:
    return {
        "run": one.row.run_id,
        "task": one.row.task_id,
        "seed": one.row.seed,
        "factors": dict(one.row.levels),
        "state": one.state,
        "reason": one.history.reason,
        "tries": one.history.tries,
        "worker": one.history.worker,
        "score": one.summary.get("score"),
        "medal": one.medal or None,
        "cost": one.cost,
        "hours": round(one.hours, 4),
        "note": DEMO_MODEL if one.summary.get("is_demo") else "",
    }
