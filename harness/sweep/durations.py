"""How long runs take, as ended runs of this sweep and of earlier ones in its home show."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from harness.errors import UsageError
from harness.sweep.queue import Alike, alike, in_order
from harness.sweep.row_state import Reader, RowState
from harness.sweep.store import Store, list_sweeps
from harness.sweep.types import Plan, Row


def hours_shown(one: RowState) -> float | None:
    """Hours that runs like an ended one take; None if it does not show them: somebody, or its replies, ended it."""
    status = str(one.summary.get("status", ""))
    if one.state != "done" or status in ("ended: stopped", "ended: unusable_replies"):
        return None
    return one.hours or None


def known_hours(home: Path) -> dict[Alike, float]:
    """The longest time that ended runs took in the sweeps of a home, by what runs have in common."""
    known: dict[Alike, float] = {}
    for name in list_sweeps(home):
        store = Store(home, name)
        with suppress(UsageError):  # its plan is damaged: that is said where somebody asks for it
            for one in Reader(store, store.plan()).rows():
                if hours := hours_shown(one):
                    known[alike(one.row)] = max(hours, known.get(alike(one.row), 0.0))
    return known


def open_rows(store: Store, plan: Plan) -> list[Row]:
    """The rows of a sweep that are not over, in the order in which they should start."""
    left = [one for one in Reader(store, plan).rows() if one.state in ("waiting", "running")]
    return in_order([one.row for one in left], known_hours(store.home), {one.row.key: one.hours for one in left})
