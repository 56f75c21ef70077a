"""Where a run of a sweep stands: a fold over its log, with what its own files say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness.sweep.store import Store
from harness.sweep.types import Plan, Row

State = Literal["waiting", "running", "done", "failed"]
SAME_REASON = 3
"""So many failures for the same reason end the tries of a run."""
ANY_REASON = 10
Kind = Literal["done", "failed", "refused", "stopped", "unfit", "later", "lost"]


@dataclass(frozen=True)
class History:
    """What the log of a run amounts to. `reason` is why it waits or failed; `worker` who plays it, or did last."""

    state: State = "waiting"
    reason: str = ""
    worker: str = ""
    tries: int = 0
    failures: int = 0
    last_kind: str = ""
    since: str = ""


def history_of(log: Sequence[Mapping[str, Any]], is_claimed: bool) -> History:
    """Fold the log of a run."""
    reasons: Counter[str] = Counter()
    tries, lost = 0, 0
    worker = reason = since = last_kind = ""
    events, is_open, is_done, refused = -1, False, False, False
    for line in log:
        what = line.get("what")
        if what == "retry":
            reasons.clear()
            lost, refused, reason, last_kind = 0, False, "", ""
        elif what == "started":
            if is_open:
                lost = lost + 1 if line.get("events", 0) <= events else 0
                reason, last_kind = "its worker disappeared", "lost"
            events, is_open = line.get("events", 0), True
            tries, worker, since = tries + 1, line.get("worker", ""), line.get("at", "")
        elif what in ("ended", "waits"):
            is_open = False if what == "ended" else is_open
            last_kind, reason = line.get("kind", "later"), line.get("reason", "")
            is_done |= last_kind == "done"
            refused |= last_kind == "refused"
            if last_kind == "failed":
                reasons[same_reason(reason)] += 1
    known = History("waiting", reason, worker, tries, sum(reasons.values()), last_kind, since)
    if is_done:
        return replace(known, state="done", last_kind="done")
    if is_claimed:
        return known if last_kind == "later" and not is_open else replace(known, state="running", reason="")
    if is_open:
        lost += 1
        known = replace(known, reason="its worker disappeared", last_kind="lost")
    most = max(reasons.values(), default=0)
    if refused or most >= SAME_REASON or known.failures >= ANY_REASON or lost >= SAME_REASON:
        return replace(known, state="failed")
    return known


def same_reason(reason: str) -> str:
    """A reason without what differs between equal failures: numbers, ids, paths."""
    return re.sub(r"\d+", "#", re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|/\S+", "#", reason))


@dataclass(frozen=True)
class RowState:
    """A run of the sweep as it stands now. `summary` and `grade` are its files, empty if there are none."""

    row: Row
    history: History
    summary: Mapping[str, Any] = field(default_factory=dict)
    grade: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """Waiting, running, done or failed."""
        return self.history.state

    @property
    def hours(self) -> float:
        """Hours that the run was active, over all its tries."""
        return float(self.summary.get("active_seconds") or 0.0) / 3600

    @property
    def cost(self) -> float:
        """Dollars that the run spent."""
        return float(self.summary.get("cost") or 0.0)

    @property
    def medal(self) -> str:
        """The graded medal, `none`, or empty for a run that is not graded or whose task awards none."""
        report = self.grade.get("report") or {}
        if not report or report.get("gold_threshold") is None:
            return ""
        return next((name for name in ("gold", "silver", "bronze") if report.get(f"{name}_medal")), "none")


class Reader:
    """Reads where the runs stand, and reads a file again only if it has changed."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self._cache: dict[Path, tuple[tuple[int, int], Any]] = {}

    def rows(self) -> list[RowState]:
        """All runs, in the order of the table."""
        return [self.row(row) for row in self.plan.rows]

    def row(self, row: Row) -> RowState:
        """One run."""
        home = self.store.home
        log = self._cached(self.store.folder / "rows" / f"{row.key}.jsonl", lambda _: self.store.log(row.key)) or []
        if not log:
            return RowState(row, history_of(log, self.store.is_claimed(row.key)))
        history = history_of(log, log[-1].get("kind") != "done" and self.store.is_claimed(row.key))
        folder = home / "runs" / row.run_id
        summary = self._cached(folder / "summary.json", _read_json) or {}
        grade = (
            self._cached(home / "grades" / f"{row.run_id}.json", _read_json) or {} if history.state == "done" else {}
        )
        return RowState(row, history, summary, grade)

    def _cached(self, path: Path, read: Any) -> Any:
        try:
            stat = path.stat()
        except OSError:
            return None
        mark = (stat.st_mtime_ns, stat.st_size)
        known = self._cache.get(path)
        if known is None or known[0] != mark:
            known = self._cache[path] = (mark, read(path))
        return known[1]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
